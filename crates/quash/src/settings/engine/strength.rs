//! Checks the strength of private keys and secrets in the settings.

use quash_core::model::Kid;
use quash_core::token::{Algorithm, Family, KeyFault, SigningKey, read_secret};
use zeroize::Zeroizing;

use super::secret::SecretText;

/// The handling of secrets that can be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ShortSecrets {
    Allowed,
    Refused,
}

/// An accepted key.
pub(crate) struct Checked {
    /// The key in the form of the store.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    /// A weakness that is allowed, worded to follow the key's name.
    pub(crate) weakness: Option<String>,
}

/// The prefix of secrets that Django's `startproject` generates: they are in the site's repository.
const OF_A_TEMPLATE: &[u8] = b"django-insecure-";

impl ShortSecrets {
    pub(crate) fn allowed_if(insecure: bool) -> Self {
        if insecure { Self::Allowed } else { Self::Refused }
    }
}

/// Reads a private key or a secret, and checks its strength.
///
/// # Errors
/// It isn't a key for this algorithm, or is too weak.
pub(crate) fn check(
    algorithm: Algorithm,
    text: &SecretText,
    short: ShortSecrets,
) -> Result<Checked, KeyFault> {
    let secret = read_secret(algorithm, text.expose())?;
    // The store assigns the real kid.
    let kid = || Kid::parse("unnamed").ok();
    let weakness = match SigningKey::new(algorithm, &secret, kid()) {
        Ok(_) if algorithm.family() == Family::Hmac && secret.starts_with(OF_A_TEMPLATE) => {
            Some("begins with django-insecure-, so it is in a site's repository: everyone who can read that can sign".to_owned())
        }
        Ok(_) => None,
        Err(fault @ (KeyFault::TooShort(_) | KeyFault::PubliclyKnown)) if short == ShortSecrets::Allowed => {
            SigningKey::insecure_new(algorithm, &secret, kid())?;
            Some(format!("{fault}: an attacker can guess it from one token, and then sign"))
        }
        Err(fault) => return Err(fault),
    };
    Ok(Checked { secret, weakness })
}

/// Returns the remedy for an unusable key.
pub(crate) fn remedy(fault: KeyFault) -> &'static str {
    match fault {
        KeyFault::TooShort(_) | KeyFault::PubliclyKnown => {
            "use a longer one, such as 64 random bytes in Base64; insecure_short_secret = true accepts this one for a while"
        }
        KeyFault::KeyTextAsSecret(_) => "write a secret that only you know, or set the key's own algorithm",
        KeyFault::Public => "write the private key; verifiers get the public one",
        KeyFault::Private => "write the public key alone, and keep the private one where tokens are signed",
        _ => "write a key for the algorithm, in PEM or as a JWK; or, for HS algorithms, the secret itself",
    }
}
