//! Signing keys. `Debug` doesn't print the secret.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::algorithm::{Algorithm, Family};
use super::fault::KeyFault;
use super::secret;
use super::secret::ec_signing;
use super::verifying::{VerifyingKey, hmac_algorithm};
use crate::model::Kid;

pub struct SigningKey {
    secret: Secret,
    verifying: VerifyingKey,
}

/// The crypto library failed to sign: it is out of memory, or broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the crypto library did not sign")]
pub struct Unsigned;

enum Secret {
    Ed25519(Box<Ed25519KeyPair>),
    Ec(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>, &'static RsaSignatureEncoding),
    Hmac(Box<hmac::Key>),
}

impl SigningKey {
    /// Creates a key from the stored form: the 32-byte seed of an Ed25519 key or a private key in PKCS #8,
    /// with its thumbprint as the `kid`; or an HMAC secret, with the given `kid`.
    ///
    /// ```
    /// use quash_core::model::Kid;
    /// use quash_core::token::{Algorithm, SigningKey};
    /// let key = SigningKey::new(Algorithm::EdDsa, &[7; 32], None)?;
    /// assert_eq!(key.verifying().kid().as_str().len(), 43);
    /// # Ok::<_, quash_core::token::KeyFault>(())
    /// ```
    ///
    /// # Errors
    /// The secret isn't valid for this algorithm or is too weak, or an HMAC secret comes without a `kid`.
    pub fn new(algorithm: Algorithm, secret: &[u8], kid: Option<Kid>) -> Result<Self, KeyFault> {
        if algorithm.family() == Family::Hmac {
            secret::check_strength(algorithm, secret)?;
        }
        Self::insecure_new(algorithm, secret, kid)
    }

    /// Like [`SigningKey::new`], but accepts HMAC secrets of any length.
    ///
    /// # Errors
    /// The secret isn't valid for this algorithm, or an HMAC secret comes without a `kid`.
    pub fn insecure_new(algorithm: Algorithm, secret: &[u8], kid: Option<Kid>) -> Result<Self, KeyFault> {
        let unusable = KeyFault::Unusable(algorithm);
        match algorithm.family() {
            Family::Ed25519 => {
                let pair = match secret.len() {
                    32 => Ed25519KeyPair::from_seed_unchecked(secret),
                    _ => Ed25519KeyPair::from_pkcs8_maybe_unchecked(secret),
                }
                .map_err(|_| unusable)?;
                let verifying = VerifyingKey::ed25519(pair.public_key().as_ref())?;
                Ok(Self { secret: Secret::Ed25519(Box::new(pair)), verifying })
            }
            Family::Ec => {
                let pair = EcdsaKeyPair::from_pkcs8(ec_signing(algorithm)?, secret).map_err(|_| unusable)?;
                let verifying = VerifyingKey::ec(algorithm, pair.public_key().as_ref())?;
                Ok(Self { secret: Secret::Ec(Box::new(pair)), verifying })
            }
            Family::Rsa => {
                let pair = RsaKeyPair::from_pkcs8(secret).map_err(|_| unusable)?;
                let verifying = VerifyingKey::rsa_der(algorithm, pair.public_key().as_ref())?;
                Ok(Self { secret: Secret::Rsa(Box::new(pair), rsa_signing(algorithm)?), verifying })
            }
            Family::Hmac => {
                let verifying = VerifyingKey::insecure_hmac(algorithm, secret, kid.ok_or(unusable)?)?;
                let key = hmac::Key::new(hmac_algorithm(algorithm).ok_or(unusable)?, secret);
                Ok(Self { secret: Secret::Hmac(Box::new(key)), verifying })
            }
        }
    }

    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs `payload` as a compact JWS (RFC 7515 7.1). ECDSA and PSS signatures use the crypto library's own
    /// randomness: two signatures over the same payload differ.
    ///
    /// # Errors
    /// The crypto library fails.
    pub fn sign(&self, payload: &[u8]) -> Result<String, Unsigned> {
        let header = self.verifying.header();
        let mut text = String::with_capacity(header.len() + payload.len() * 4 / 3 + 96);
        text.push_str(header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signed = text.len();
        text.push('.');
        self.secret.sign(signed, &mut text)?;
        Ok(text)
    }
}

impl Secret {
    /// Appends the signature over the first `signed` bytes of `text`.
    fn sign(&self, signed: usize, text: &mut String) -> Result<(), Unsigned> {
        let message = &text.as_bytes()[..signed];
        match self {
            Self::Ed25519(pair) => {
                let signature = pair.try_sign(message).map_err(|_| Unsigned)?;
                URL_SAFE_NO_PAD.encode_string(signature, text);
            }
            Self::Ec(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| Unsigned)?;
                URL_SAFE_NO_PAD.encode_string(signature, text);
            }
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature).map_err(|_| Unsigned)?;
                URL_SAFE_NO_PAD.encode_string(signature, text);
            }
            Self::Hmac(key) => {
                let tag = hmac::sign(key, message);
                URL_SAFE_NO_PAD.encode_string(tag, text);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", self.verifying.kid()).finish_non_exhaustive()
    }
}

fn rsa_signing(algorithm: Algorithm) -> Result<&'static RsaSignatureEncoding, KeyFault> {
    match algorithm {
        Algorithm::Rs256 => Ok(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Ok(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Ok(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Ok(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Ok(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Ok(&RSA_PSS_SHA512),
        _ => Err(KeyFault::Unusable(algorithm)),
    }
}
