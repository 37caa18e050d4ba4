//! Reads the keys of `quash token verify` from files. Errors name the file, the fault and the remedy, and
//! never quote a key.

use std::fmt::Display;
use std::path::Path;

use quash_core::model::Kid;
use quash_core::token::{Algorithm, Family, KeyFault, KeySet, KeySetFault, VerifyingKey};

use super::offline::Keys;
use crate::error::{CommandError, Exit};
use crate::output;
use crate::settings::{Checked, SecretText, ShortSecrets, ValueFault, check_secret, key_remedy, read_text};

/// Reads the public keys of a JWK set.
///
/// # Errors
/// The file can't be read, isn't a set, or has no usable key.
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
            "is a set of secrets, which must not be published",
            "name a secret with --secret-file, in a file of its own",
        )),
        (0, 0) => Err(unusable(
            path,
            "has no usable key",
            "ask the issuer for the set that has the key of this token",
        )),
        _ => Ok(Keys::Set(keys)),
    }
}

/// Reads one public key.
///
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

/// Reads a secret.
///
/// # Errors
/// Other users have access to the file, or it holds no secret for the algorithm, or a secret that can be
/// guessed.
pub(super) fn of_secret(
    path: &Path,
    algorithm: Algorithm,
    short: ShortSecrets,
) -> Result<Keys, CommandError> {
    if algorithm.family() != Family::Hmac {
        return Err(no_algorithm(
            algorithm,
            "a secret",
            "name a public key with --public-key-file; only HS256, HS384 and HS512 use secrets",
        ));
    }
    let text = SecretText::read(path).map_err(|wrong| unreadable(path, &wrong))?;
    let Checked { secret, weakness } =
        check_secret(algorithm, &text, short).map_err(|fault| unusable(path, fault, remedy(fault)))?;
    if let Some(weakness) = weakness {
        output::note(&format!("warning: the secret in {} {weakness}", path.display()));
    }
    // The id is replaced by the token's own `kid`.
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

fn unreadable(path: &Path, wrong: &ValueFault) -> CommandError {
    unusable(path, &wrong.fault, wrong.remedy.clone())
}

fn remedy(fault: KeyFault) -> &'static str {
    match fault {
        KeyFault::TooShort(_) | KeyFault::PubliclyKnown => {
            "the issuer should use a longer one; --insecure-short-secret accepts this one"
        }
        other => key_remedy(other),
    }
}

fn set_remedy(fault: KeySetFault) -> &'static str {
    match fault {
        KeySetFault::Malformed => {
            "name a file like {\"keys\":[..]}, as a server publishes it; a single key needs --public-key-file"
        }
        KeySetFault::KidTwice | KeySetFault::SecretAmongPublic | KeySetFault::TooMany => {
            "ask the issuer for a usable set"
        }
    }
}
