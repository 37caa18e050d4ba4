//! Parsing of signing keys: a private key in PEM or as a JWK, or an HMAC secret as text.
//!
//! The result is the form that the store encrypts: the seed of an Ed25519 key, PKCS #8 of an elliptic-curve
//! or RSA key, or the bytes of a secret.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RsaKeyPair,
};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Family};
use super::fault::KeyFault;
use super::jwk::{self, PrivateMembers};
use super::pem::{self, Section};

/// Secrets from well-known tutorials that are long enough to pass the length check.
const PUBLISHED: [&str; 4] = [
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
];

/// Parses a private key or a secret.
///
/// ```
/// use quash_core::token::{Algorithm, KeyFault, read_secret};
/// assert_eq!(read_secret(Algorithm::Hs256, "fifty characters from a site's settings, say so").map(|secret| secret.len()), Ok(47));
/// let public = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n";
/// assert_eq!(read_secret(Algorithm::Hs256, public), Err(KeyFault::KeyTextAsSecret(Algorithm::Hs256)));
/// ```
///
/// # Errors
/// The text isn't a key for this algorithm. The strength of a secret isn't checked.
pub fn read_secret(algorithm: Algorithm, text: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    if text.is_empty() {
        return Err(KeyFault::Empty);
    }
    let is_jwk = text.trim_start().starts_with('{');
    if algorithm.family() == Family::Hmac {
        return read_hmac(algorithm, text, is_jwk);
    }
    if is_jwk {
        return of_members(algorithm, jwk::read_private(algorithm, &jwk::parse(text)?)?);
    }
    match pem::parse(text)? {
        Section::Private(der) => of_der(algorithm, der),
        Section::Public(_) | Section::RsaPublic(_) => Err(KeyFault::Public),
    }
}

/// Checks that an HMAC secret is at least as long as its hash and isn't publicly known.
pub(super) fn check_strength(algorithm: Algorithm, secret: &[u8]) -> Result<(), KeyFault> {
    match secret {
        [] => Err(KeyFault::Empty),
        _ if secret.len() < algorithm.secret_bytes() => Err(KeyFault::TooShort(algorithm)),
        _ if PUBLISHED.iter().any(|published| published.as_bytes() == secret) => Err(KeyFault::PubliclyKnown),
        _ => Ok(()),
    }
}

/// Reads a secret as the text itself, as Simple JWT does. The text of a key pair is rejected: anyone with the
/// public half could know it (CVE-2017-11424 and many after it).
fn read_hmac(algorithm: Algorithm, text: &str, is_jwk: bool) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    if pem::looks_like(text) {
        return Err(KeyFault::KeyTextAsSecret(algorithm));
    }
    match jwk::parse(text) {
        Ok(members) if is_jwk => match jwk::read_private(algorithm, &members) {
            Ok(PrivateMembers::Hmac(secret)) => Ok(secret),
            _ => Err(KeyFault::KeyTextAsSecret(algorithm)),
        },
        _ => Ok(Zeroizing::new(text.as_bytes().to_vec())),
    }
}

fn of_der(algorithm: Algorithm, der: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let unusable = |_| KeyFault::Unusable(algorithm);
    match algorithm.family() {
        Family::Ec => {
            let pair = EcdsaKeyPair::from_private_key_der(ec_signing(algorithm)?, &der).map_err(unusable)?;
            stored_ec(algorithm, &pair)
        }
        Family::Rsa => {
            let pair =
                RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).map_err(unusable)?;
            stored_rsa(algorithm, &pair)
        }
        // The library can't export the seed of its key, so the PKCS #8 is kept unchanged.
        Family::Ed25519 | Family::Hmac => Ok(der),
    }
}

fn of_members(algorithm: Algorithm, members: PrivateMembers) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let unusable = |_| KeyFault::Unusable(algorithm);
    match members {
        PrivateMembers::Ed25519(seed) => Ok(seed),
        PrivateMembers::Hmac(secret) => Ok(secret),
        PrivateMembers::Ec(scalar, point) => {
            let pair = EcdsaKeyPair::from_private_key_and_public_key(ec_signing(algorithm)?, &scalar, &point)
                .map_err(unusable)?;
            stored_ec(algorithm, &pair)
        }
        PrivateMembers::Rsa(numbers) => {
            let [n, e, d, p, q, dp, dq, qi] = &*numbers;
            let public_key = PublicKeyComponents { n: n.as_slice(), e: e.as_slice() };
            let [d, p, q, d_p, d_q, q_inv] = [d, p, q, dp, dq, qi].map(|number| number.as_slice());
            let components = KeyPairComponents { public_key, d, p, q, dP: d_p, dQ: d_q, qInv: q_inv };
            stored_rsa(algorithm, &RsaKeyPair::from_components(&components).map_err(unusable)?)
        }
    }
}

fn stored_ec(algorithm: Algorithm, pair: &EcdsaKeyPair) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    pair.to_pkcs8v1()
        .map(|der| Zeroizing::new(der.as_ref().to_vec()))
        .map_err(|_| KeyFault::Unusable(algorithm))
}

fn stored_rsa(algorithm: Algorithm, pair: &RsaKeyPair) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyFault::Unusable(algorithm))?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

/// The crypto library's name of an ECDSA algorithm.
pub(super) fn ec_signing(algorithm: Algorithm) -> Result<&'static EcdsaSigningAlgorithm, KeyFault> {
    match algorithm {
        Algorithm::Es256 => Ok(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => Ok(&ECDSA_P384_SHA384_FIXED_SIGNING),
        _ => Err(KeyFault::Unusable(algorithm)),
    }
}
