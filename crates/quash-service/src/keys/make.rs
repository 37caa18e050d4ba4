//! Key generation. Ed25519 seeds and HMAC secrets come from the process's entropy source; the crypto library
//! generates other keys with its own.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RsaKeyPair,
};
use quash_core::hex;
use quash_core::model::{Entropy, KeyRecord, KeySource, KeyState, Kid, Timestamp, draw};
use quash_core::token::{Algorithm, Family, KeyFault, SigningKey};
use zeroize::Zeroizing;

use crate::vault::MasterKey;

/// Stronger than needed today, because a key may be used for years.
const RSA: KeySize = KeySize::Rsa3072;

/// Generates a private key or secret in the store's encoding. `None` if the crypto library fails.
pub(crate) fn secret(algorithm: Algorithm, entropy: &dyn Entropy) -> Option<Zeroizing<Vec<u8>>> {
    Some(Zeroizing::new(match algorithm.family() {
        Family::Ed25519 => draw::<32>(entropy).to_vec(),
        Family::Hmac => draw::<64>(entropy).to_vec(),
        Family::Ec if algorithm == Algorithm::Es384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING)?,
        Family::Ec => ec(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
        Family::Rsa => {
            let pair = RsaKeyPair::generate(RSA).ok()?;
            let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            der.as_ref().to_vec()
        }
    }))
}

fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> Option<Vec<u8>> {
    let pair = EcdsaKeyPair::generate(algorithm).ok()?;
    Some(pair.to_pkcs8v1().ok()?.as_ref().to_vec())
}

/// The store's record of a key.
///
/// # Errors
/// The secret isn't valid for the algorithm.
pub(crate) fn record(
    algorithm: Algorithm,
    secret: &[u8],
    source: KeySource,
    state: KeyState,
    master: &MasterKey,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<KeyRecord, KeyFault> {
    let key = SigningKey::insecure_new(algorithm, secret, random_kid(entropy))?;
    let kid = key.verifying().kid().clone();
    let secret = master.seal(kid.as_str(), secret, entropy);
    Ok(KeyRecord { kid, algorithm, state, secret, created_at: now, source })
}

/// A random id for a secret, which has no public half to take a thumbprint of.
pub(crate) fn random_kid(entropy: &dyn Entropy) -> Option<Kid> {
    kid(&draw::<16>(entropy))
}

/// The id made of these bytes, in hex.
pub(crate) fn kid(bytes: &[u8; 16]) -> Option<Kid> {
    Kid::parse(&hex::encode(bytes)).ok()
}
