//! Parsing of public keys: PEM, a JWK, or another issuer's JWKS. A JWKS may also contain HMAC secrets; single
//! secrets are parsed in `secret.rs`.

use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};
use super::fault::{KeyFault, KeySetFault};
use super::pem::Section;
use super::verifying::VerifyingKey;
use super::{der, jwk, pem};
use crate::model::{Kid, limits};
use crate::token::json::{Duplicates, parse_json};

/// A JWKS published by another issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    /// The usable keys.
    pub keys: Vec<SetKey>,
    /// The unusable keys: their positions in the set, from 0, and the reasons. They don't affect the others
    /// (RFC 7517 5).
    pub skipped: Vec<(usize, KeyFault)>,
}

#[derive(Clone, Debug)]
pub struct SetKey {
    /// The key. Without a `kid`, its id is its thumbprint.
    pub key: VerifyingKey,
    /// The key has a `kid`, which tokens must name.
    pub named: bool,
}

impl KeySet {
    /// Parses a JWKS (RFC 7517 5).
    ///
    /// ```
    /// use quash_core::token::KeySet;
    /// let set = KeySet::parse(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// assert_eq!(set.keys.len(), 1);
    /// # Ok::<_, quash_core::token::KeySetFault>(())
    /// ```
    ///
    /// # Errors
    /// The text isn't a JWKS, or is an ambiguous one.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetFault> {
        let Ok(Value::Object(mut set)) = parse_json(text, Duplicates::Refuse) else {
            return Err(KeySetFault::Malformed);
        };
        let Some(Value::Array(members)) = set.remove("keys") else {
            return Err(KeySetFault::Malformed);
        };
        if members.len() > limits::JWK_SET_KEYS {
            return Err(KeySetFault::TooMany);
        }
        let secret = |member: &Value| member.get("kty").and_then(Value::as_str) == Some("oct");
        if members.iter().any(secret) && !members.iter().all(secret) {
            return Err(KeySetFault::SecretAmongPublic);
        }
        let mut kids: Vec<&str> = members.iter().filter_map(|member| member.get("kid")?.as_str()).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(KeySetFault::KidTwice);
        }
        let mut found = Self::default();
        for (place, member) in members.iter().enumerate() {
            let Value::Object(members) = member else { return Err(KeySetFault::Malformed) };
            match read_verifying(members) {
                Ok(key) => found.keys.push(key),
                Err(fault) => found.skipped.push((place, fault)),
            }
        }
        Ok(found)
    }
}

impl SetKey {
    /// The `kid` that tokens must name; `None` if the key has none.
    pub fn token_kid(&self) -> Option<Kid> {
        self.named.then(|| self.key.kid().clone())
    }
}

impl VerifyingKey {
    /// Parses a public key from PEM or a JWK.
    ///
    /// # Errors
    /// The text isn't a public key for this algorithm.
    pub fn read(algorithm: Algorithm, text: &str) -> Result<Self, KeyFault> {
        let unusable = KeyFault::Unusable(algorithm);
        if algorithm.family() == Family::Hmac {
            return Err(unusable);
        }
        if text.trim_start().starts_with('{') {
            let mut members = jwk::parse(text)?;
            members.entry("alg").or_insert_with(|| algorithm.as_str().into());
            let key = read_verifying(&members)?.key;
            return if key.algorithm() == algorithm { Ok(key) } else { Err(unusable) };
        }
        let der = match pem::parse(text)? {
            Section::Private(_) => return Err(KeyFault::Private),
            Section::RsaPublic(der) => return Self::rsa_der(algorithm, &der),
            Section::Public(der) => der,
        };
        match (algorithm.family(), der::subject_public_key(&der).ok_or(unusable)?) {
            (Family::Ed25519, (der::ED25519, key)) => Self::ed25519(key),
            (Family::Ec, (der::EC, key)) => Self::ec(algorithm, key),
            (Family::Rsa, (der::RSA, key)) => Self::rsa_der(algorithm, key),
            _ => Err(unusable),
        }
    }
}

/// Reads a verifying key from its members.
fn read_verifying(members: &Map<String, Value>) -> Result<SetKey, KeyFault> {
    jwk::check_use(members)?;
    let algorithm = jwk::algorithm(members)?;
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(Kid::parse(kid).map_err(|_| KeyFault::MalformedJwk)?),
        Some(_) => return Err(KeyFault::MalformedJwk),
    };
    let named = kid.is_some();
    let key = match algorithm.family() {
        Family::Hmac => {
            let unnamed = Kid::parse("unnamed").map_err(|_| KeyFault::MalformedJwk)?;
            VerifyingKey::hmac(algorithm, &jwk::bytes(members, "k")?, kid.unwrap_or(unnamed))?
        }
        _ if members.contains_key("d") => return Err(KeyFault::Private),
        Family::Ed25519 => VerifyingKey::ed25519(&jwk::sized(members, "x", 32)?)?.renamed(kid),
        Family::Ec => VerifyingKey::ec(algorithm, &jwk::point(members)?)?.renamed(kid),
        Family::Rsa => {
            VerifyingKey::rsa(algorithm, &jwk::bytes(members, "n")?, &jwk::bytes(members, "e")?)?.renamed(kid)
        }
    };
    Ok(SetKey { key, named })
}
