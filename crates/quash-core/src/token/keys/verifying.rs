//! Verifying keys: public keys and HMAC secrets. Neither contains a private half that could be published by
//! mistake.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::{Algorithm, curve};
use super::fault::KeyFault;
use super::jwk::{Jwk, Members};
use super::{der, rsa, secret};
use crate::model::Kid;

/// A verifying key. Each has one algorithm, which a token's header must match.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Kid,
    algorithm: Algorithm,
    material: Material,
    /// A hash over the key material, for comparing keys: the thumbprint of a public key (RFC 7638).
    fingerprint: [u8; 32],
    header: String,
}

#[derive(Clone)]
enum Material {
    Public(ParsedPublicKey, Members),
    Hmac(Box<hmac::Key>),
}

impl VerifyingKey {
    /// Creates a key from 32 bytes of an Ed25519 public key. Its `kid` is its thumbprint (RFC 7638 3).
    ///
    /// # Errors
    /// The bytes aren't a point on the curve, or are a point of small order, for which anyone can forge
    /// signatures.
    pub fn ed25519(public: &[u8]) -> Result<Self, KeyFault> {
        let algorithm = Algorithm::EdDsa;
        if is_of_small_order(public) {
            return Err(KeyFault::SmallOrder);
        }
        let parsed = ParsedPublicKey::new(&ED25519, public).map_err(|_| KeyFault::Unusable(algorithm))?;
        Self::public(algorithm, parsed, Members::Okp { crv: "Ed25519", x: URL_SAFE_NO_PAD.encode(public) })
    }

    /// Creates a key from an uncompressed point on the curve of ES256 or ES384 (SEC 1 2.3.3). Its `kid` is
    /// its thumbprint.
    ///
    /// # Errors
    /// The algorithm is another, or the bytes aren't a point on its curve.
    pub fn ec(algorithm: Algorithm, point: &[u8]) -> Result<Self, KeyFault> {
        let unusable = KeyFault::Unusable(algorithm);
        let verification = match algorithm {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            _ => return Err(unusable),
        };
        let [4, coordinates @ ..] = point else { return Err(unusable) };
        let parsed = ParsedPublicKey::new(verification, point).map_err(|_| unusable)?;
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let members =
            Members::Ec { crv: curve(algorithm), x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) };
        Self::public(algorithm, parsed, members)
    }

    /// Creates a key from a big-endian RSA modulus and exponent. Its `kid` is its thumbprint.
    ///
    /// # Errors
    /// The algorithm is another, or the key is invalid, too small, too large or weak.
    pub fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyFault> {
        let parameters = rsa_parameters(algorithm).ok_or(KeyFault::Unusable(algorithm))?;
        // RFC 7518 6.3.1.1: no leading zeros.
        rsa::check(modulus, exponent)?;
        let components = RsaPublicKeyComponents { n: modulus, e: exponent };
        let parsed =
            components.to_parsed_public_key(parameters).map_err(|_| KeyFault::Unusable(algorithm))?;
        Self::public(
            algorithm,
            parsed,
            Members::Rsa { n: URL_SAFE_NO_PAD.encode(modulus), e: URL_SAFE_NO_PAD.encode(exponent) },
        )
    }

    /// Creates a key from an HMAC secret, at least as long as its hash (RFC 7518 3.2), and a `kid`.
    ///
    /// # Errors
    /// The algorithm is another, or the secret is too short or publicly known.
    pub fn hmac(algorithm: Algorithm, secret: &[u8], kid: Kid) -> Result<Self, KeyFault> {
        secret::check_strength(algorithm, secret)?;
        Self::insecure_hmac(algorithm, secret, kid)
    }

    /// Like [`VerifyingKey::hmac`], but accepts secrets of any length.
    ///
    /// # Errors
    /// The algorithm is another, or the secret is empty.
    pub fn insecure_hmac(algorithm: Algorithm, secret: &[u8], kid: Kid) -> Result<Self, KeyFault> {
        if secret.is_empty() {
            return Err(KeyFault::Empty);
        }
        let key =
            Box::new(hmac::Key::new(hmac_algorithm(algorithm).ok_or(KeyFault::Unusable(algorithm))?, secret));
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"oct\0");
        hash.update(secret);
        Ok(Self::new(algorithm, kid, Material::Hmac(key), hash.finish()))
    }

    /// Creates a key from an RSAPublicKey (RFC 8017 A.1.1).
    pub(super) fn rsa_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyFault> {
        let (modulus, exponent) = der::rsa_public_key(der).ok_or(KeyFault::Unusable(algorithm))?;
        Self::rsa(algorithm, modulus, exponent)
    }

    fn public(algorithm: Algorithm, parsed: ParsedPublicKey, members: Members) -> Result<Self, KeyFault> {
        let thumbprint = digest::digest(&digest::SHA256, members.canonical().as_bytes());
        let kid =
            Kid::parse(&URL_SAFE_NO_PAD.encode(thumbprint)).map_err(|_| KeyFault::Unusable(algorithm))?;
        Ok(Self::new(algorithm, kid, Material::Public(parsed, members), thumbprint))
    }

    fn new(algorithm: Algorithm, kid: Kid, material: Material, hash: digest::Digest) -> Self {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.as_ref());
        Self { header: header_of(algorithm, &kid), kid, algorithm, material, fingerprint }
    }

    /// Sets the key's id, if one is given.
    #[must_use]
    pub fn renamed(self, kid: Option<Kid>) -> Self {
        match kid {
            Some(kid) => Self { header: header_of(self.algorithm, &kid), kid, ..self },
            None => self,
        }
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns whether both are the same key, regardless of their ids and algorithms.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// A hash over the key material.
    pub(in crate::token) fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// A value that identifies a secret without revealing it; `None` for a public key.
    pub fn check_value(&self) -> Option<[u8; 32]> {
        let Material::Hmac(key) = &self.material else { return None };
        let mut check = [0; 32];
        check.copy_from_slice(&hmac::sign(key, self.checked_text().as_bytes()).as_ref()[..32]);
        Some(check)
    }

    /// Returns whether the key is the secret that a check value identifies.
    pub fn matches_check_value(&self, check: &[u8; 32]) -> bool {
        self.check_value().is_some_and(|own| verify_slices_are_equal(&own, check).is_ok())
    }

    /// Text with spaces, so that its signature can't be a token's.
    fn checked_text(&self) -> String {
        format!("quash checks {}", self.kid)
    }

    /// The encoded header of every token that quash signs with the key.
    pub(in crate::token) fn header(&self) -> &str {
        &self.header
    }

    /// Returns whether `signature` is valid for `text`. HMACs are compared in constant time.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Public(key, _) => key.verify_sig(text, signature).is_ok(),
            Material::Hmac(key) => hmac::verify(key, text, signature).is_ok(),
        }
    }

    /// The key as published; `None` for a secret.
    pub(super) fn jwk(&self) -> Option<Jwk> {
        match &self.material {
            Material::Public(_, members) => Some(Jwk {
                kty: members.kty(),
                usage: "sig",
                alg: self.algorithm.as_str(),
                kid: self.kid.as_str().to_owned(),
                members: members.clone(),
            }),
            Material::Hmac(_) => None,
        }
    }
}

impl VerifyingKey {
    /// The key as JSON, with this `kid`; `None` for a secret.
    pub(crate) fn jwk_named(&self, kid: Option<String>) -> Option<Value> {
        let Ok(Value::Object(mut members)) = serde_json::to_value(self.jwk()?) else { return None };
        match kid {
            Some(kid) => members.insert("kid".into(), kid.into()),
            None => members.remove("kid"),
        };
        Some(Value::Object(members))
    }
}

/// Returns whether an Ed25519 key is a point of small order, for which a signature can be made without a
/// private key.
fn is_of_small_order(public: &[u8]) -> bool {
    /// The encodings of those points, canonical or not, with the sign bit cleared.
    const ORDER_8: [[u8; 32]; 2] = [
        *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
        *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    ];
    let Ok(mut point) = <[u8; 32]>::try_from(public) else { return false };
    point[31] &= 0x7f;
    match point {
        [0 | 1, middle @ .., 0] => middle == [0; 30],
        [0xec..=0xee, middle @ .., 0x7f] => middle == [0xff; 30],
        point => ORDER_8.contains(&point),
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

pub(super) fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn header_of(algorithm: Algorithm, kid: &Kid) -> String {
    let header = serde_json::json!({ "alg": algorithm.as_str(), "typ": "JWT", "kid": kid.as_str() });
    URL_SAFE_NO_PAD.encode(header.to_string())
}
