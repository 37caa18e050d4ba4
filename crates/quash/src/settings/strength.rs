//! What a private key or secret of the settings must be, and what may pass with a warning.

use quash_core::model::Kid;
use quash_core::token::{Algorithm, Family, KeyFault, SigningKey, read_secret};
use zeroize::Zeroizing;

use super::secret::SecretText;

/// Whether a secret may pass that can be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ShortSecrets {
    Allowed,
    Refused,
}

/// A key that may be used.
pub(crate) struct Checked {
    /// As the store keeps it.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    /// What is wrong with it and yet allowed, to be read after the key's name.
    pub(crate) doubt: Option<String>,
}

/// What Django's `startproject` puts before the secrets that it makes: they stand in the site's repository.
const OF_A_TEMPLATE: &[u8] = b"django-insecure-";

impl ShortSecrets {
    pub(crate) fn allowed_if(insecure: bool) -> Self {
        if insecure { Self::Allowed } else { Self::Refused }
    }
}

/// Reads a private key or a secret, and asks how strong it is.
///
/// # Errors
/// It is none for this algorithm, or too weak.
pub(crate) fn check(
    algorithm: Algorithm,
    text: &SecretText,
    short: ShortSecrets,
) -> Result<Checked, KeyFault> {
    let secret = read_secret(algorithm, text.expose())?;
    // The store gives it the kid that it goes by.
    let kid = || Kid::parse("unnamed").ok();
    let doubt = match SigningKey::new(algorithm, &secret, kid()) {
        Ok(_) if algorithm.family() == Family::Hmac && secret.starts_with(OF_A_TEMPLATE) => {
            Some("begins with django-insecure-, so it stands in a site's repository: whoever can read that can sign".to_owned())
        }
        Ok(_) => None,
        Err(fault @ (KeyFault::TooShort(_) | KeyFault::Published)) if short == ShortSecrets::Allowed => {
            SigningKey::insecure_new(algorithm, &secret, kid())?;
            Some(format!("{fault}: it can be guessed from one token, and whoever guesses it can sign"))
        }
        Err(fault) => return Err(fault),
    };
    Ok(Checked { secret, doubt })
}

/// What to do about a key that can't be used.
pub(crate) fn remedy(fault: KeyFault) -> &'static str {
    match fault {
        KeyFault::TooShort(_) | KeyFault::Published => {
            "take a longer one, such as 64 random bytes in Base64; insecure_short_secret = true lets this one pass for a while"
        }
        KeyFault::KeyTextAsSecret(_) => {
            "write a secret that nobody else knows, or name the algorithm that the key is for"
        }
        KeyFault::Public => "write the private key; whoever verifies gets the public one",
        KeyFault::Private => "write the public key alone, and keep the private one where tokens are signed",
        _ => "write a key for the algorithm, in PEM or as a JWK; or, for HS algorithms, the secret itself",
    }
}
