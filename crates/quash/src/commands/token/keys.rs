//! The keys of `quash token verify`, from the files that its flags name. What can't be used is told with the file, the
//! fault and the remedy; a key is never quoted.

use std::fmt::Display;
use std::path::Path;

use quash_core::model::Kid;
use quash_core::token::{Algorithm, Family, KeyFault, KeySet, KeySetFault, VerifyingKey};

use super::judge::Keys;
use crate::error::{CommandError, Exit};
use crate::output;
use crate::settings::{Checked, SecretText, ShortSecrets, Wrong, check_secret, key_remedy, read_text};

/// The public keys of a JWK set.
///
/// # Errors
/// The file can't be read, isn't a set, or has no key that can be used.
pub(super) fn of_set(path: &Path) -> Result<Keys, CommandError> {
    let text = read_text(path).map_err(|wrong| unreadable(path, &wrong))?;
    let KeySet { mut keys, skipped } =
        KeySet::parse(text.as_bytes()).map_err(|fault| unusable(path, fault, set_remedy(fault)))?;
    for (place, fault) in &skipped {
        output::note(&format!("{}: key {} is not used: it {fault}", path.display(), place + 1));
    }
    let count = keys.len();
    keys.retain(|key| key.key.algorithm().family() != Family::Hmac);
    match (keys.len(), count) {
        (0, 1..) => Err(unusable(
            path,
            "is a set of secrets, which is published nowhere",
            "name a secret with --secret-file, in a file of its own",
        )),
        (0, 0) => Err(unusable(
            path,
            "has no key that can be used",
            "ask whoever signs for the set that has the key of this token",
        )),
        _ => Ok(Keys::Set(keys)),
    }
}

/// One public key.
///
/// # Errors
/// The file can't be read, or holds no public key for the algorithm.
pub(super) fn of_public_key(path: &Path, algorithm: Algorithm) -> Result<Keys, CommandError> {
    let text = read_text(path).map_err(|wrong| unreadable(path, &wrong))?;
    let key = VerifyingKey::read(algorithm, &text).map_err(|fault| match algorithm.family() {
        Family::Hmac => no_algorithm(algorithm, "a public key", "name the secret with --secret-file"),
        _ => unusable(path, fault, remedy(fault)),
    })?;
    Ok(Keys::One(key))
}

/// A secret.
///
/// # Errors
/// Others may use the file, or it holds no secret for the algorithm, or one that can be guessed.
pub(super) fn of_secret(
    path: &Path,
    algorithm: Algorithm,
    short: ShortSecrets,
) -> Result<Keys, CommandError> {
    if algorithm.family() != Family::Hmac {
        return Err(no_algorithm(
            algorithm,
            "a secret",
            "name a public key with --public-key-file; secrets go with HS256, HS384 and HS512",
        ));
    }
    let text = SecretText::read(path).map_err(|wrong| unreadable(path, &wrong))?;
    let Checked { secret, doubt } =
        check_secret(algorithm, &text, short).map_err(|fault| unusable(path, fault, remedy(fault)))?;
    if let Some(doubt) = doubt {
        output::note(&format!("warning: the secret in {} {doubt}", path.display()));
    }
    // It goes by whatever the token calls it.
    let key = Kid::parse("unnamed").map_err(|_| KeyFault::Unusable(algorithm));
    let key = key.and_then(|kid| VerifyingKey::insecure_hmac(algorithm, &secret, kid));
    key.map(Keys::One).map_err(|fault| unusable(path, fault, remedy(fault)))
}

fn no_algorithm(algorithm: Algorithm, what: &str, remedy: &str) -> CommandError {
    CommandError::new(Exit::Usage, format!("{} isn't an algorithm for {what}", algorithm.as_str()))
        .hint(remedy)
}

fn unusable(path: &Path, fault: impl Display, remedy: impl Into<String>) -> CommandError {
    CommandError::new(Exit::Usage, format!("{} {fault}", path.display())).hint(remedy)
}

fn unreadable(path: &Path, wrong: &Wrong) -> CommandError {
    unusable(path, &wrong.fault, wrong.remedy.clone())
}

fn remedy(fault: KeyFault) -> &'static str {
    match fault {
        KeyFault::TooShort(_) | KeyFault::Published => {
            "whoever signs should take a longer one; --insecure-short-secret lets this one pass"
        }
        other => key_remedy(other),
    }
}

fn set_remedy(fault: KeySetFault) -> &'static str {
    match fault {
        KeySetFault::Malformed => {
            "name a file like {\"keys\":[..]}, as a server publishes it; a single key goes with --public-key-file"
        }
        KeySetFault::KidTwice | KeySetFault::SecretAmongPublic | KeySetFault::TooMany => {
            "ask whoever publishes it for one that can be used"
        }
    }
}
