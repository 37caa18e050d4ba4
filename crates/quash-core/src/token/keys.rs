//! Keys: one key, one algorithm. A verifying key has no private half to publish by mistake; a signing key can't be
//! printed.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::model::{Generation, Jti, Kid, SessionId};

/// What a key signs with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// HMAC with SHA-256 (RFC 7518 3.2).
    Hs256,
}

/// A key that signs.
pub struct SigningKey {
    secret: Secret,
    verifying: VerifyingKey,
}

/// A key that verifies: a public key, or the secret of an HMAC.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Kid,
    algorithm: Algorithm,
    material: Material,
    header: String,
}

/// The keys a verifier believes, and how often the ring has changed.
#[derive(Clone, Default, Debug)]
pub struct KeyRing {
    version: u64,
    keys: Vec<VerifyingKey>,
}

/// What derives the ids of refresh tokens. Not a signing key: whoever steals one of these still lacks the other.
#[derive(Clone)]
pub struct RefreshKey(hmac::Key);

/// A public key as it is published (RFC 7517, RFC 8037 2). It has no private members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Jwk {
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: String,
    crv: &'static str,
    x: String,
}

/// A set of public keys as it is published (RFC 7517 5).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

/// Why bytes aren't a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFault {
    /// Not a key of this algorithm.
    #[error("not a key for {}", .0.as_str())]
    Unusable(Algorithm),
    /// A secret shorter than the hash it is used with (RFC 7518 3.2).
    #[error("a secret of fewer than 32 bytes")]
    TooShort,
}

enum Secret {
    Ed25519(Box<Ed25519KeyPair>),
    Hs256(Box<hmac::Key>),
}

#[derive(Clone)]
enum Material {
    Ed25519(ParsedPublicKey),
    Hs256(Box<hmac::Key>),
}

impl Algorithm {
    /// Its registered name, as in a token's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of a registered name; names are case-sensitive (RFC 7515 4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        [Self::EdDsa, Self::Hs256].into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl SigningKey {
    /// A key from its secret: the 32-byte seed of Ed25519, whose kid is its thumbprint, or an HMAC secret, whose kid
    /// is `kid`.
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
    /// The secret isn't one of this algorithm, or an HMAC secret comes without a kid.
    pub fn new(algorithm: Algorithm, secret: &[u8], kid: Option<Kid>) -> Result<Self, KeyFault> {
        match algorithm {
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_seed_unchecked(secret).map_err(|_| KeyFault::Unusable(algorithm))?;
                let verifying = VerifyingKey::ed25519(pair.public_key().as_ref())?;
                Ok(Self { secret: Secret::Ed25519(Box::new(pair)), verifying })
            }
            Algorithm::Hs256 => {
                let verifying = VerifyingKey::hs256(secret, kid.ok_or(KeyFault::Unusable(algorithm))?)?;
                Ok(Self { secret: Secret::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))), verifying })
            }
        }
    }

    /// Its verifying half.
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// A compact JWS over `payload` (RFC 7515 7.1).
    pub fn sign(&self, payload: &[u8]) -> String {
        let mut text = String::with_capacity(self.verifying.header.len() + payload.len() * 4 / 3 + 96);
        text.push_str(&self.verifying.header);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        match &self.secret {
            Secret::Ed25519(pair) => {
                let signature = pair.sign(text.as_bytes());
                text.push('.');
                URL_SAFE_NO_PAD.encode_string(signature, &mut text);
            }
            Secret::Hs256(key) => {
                let tag = hmac::sign(key, text.as_bytes());
                text.push('.');
                URL_SAFE_NO_PAD.encode_string(tag, &mut text);
            }
        }
        text
    }
}

impl VerifyingKey {
    /// An Ed25519 public key of 32 bytes; its kid is its thumbprint (RFC 7638 3).
    ///
    /// # Errors
    /// The bytes aren't a point on the curve.
    pub fn ed25519(public: &[u8]) -> Result<Self, KeyFault> {
        let algorithm = Algorithm::EdDsa;
        let parsed = ParsedPublicKey::new(&ED25519, public).map_err(|_| KeyFault::Unusable(algorithm))?;
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()));
        let kid = Kid::parse(&thumbprint).map_err(|_| KeyFault::Unusable(algorithm))?;
        Ok(Self { header: header_of(algorithm, &kid), kid, algorithm, material: Material::Ed25519(parsed) })
    }

    /// An HMAC secret of at least 32 bytes under a kid.
    ///
    /// # Errors
    /// The secret is too short.
    pub fn hs256(secret: &[u8], kid: Kid) -> Result<Self, KeyFault> {
        if secret.len() < 32 {
            return Err(KeyFault::TooShort);
        }
        let algorithm = Algorithm::Hs256;
        let key = Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret));
        Ok(Self { header: header_of(algorithm, &kid), kid, algorithm, material: Material::Hs256(key) })
    }

    /// Its id.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// Its one algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The first part of every token that quash signs with it.
    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// Whether `signature` is this key's over `text`. HMACs are compared in constant time.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Ed25519(key) => key.verify_sig(text, signature).is_ok(),
            Material::Hs256(key) => hmac::verify(key, text, signature).is_ok(),
        }
    }

    /// The key as it is published; `None` for a secret.
    fn jwk(&self) -> Option<Jwk> {
        match &self.material {
            Material::Ed25519(key) => Some(Jwk {
                kty: "OKP",
                usage: "sig",
                alg: self.algorithm.as_str(),
                kid: self.kid.as_str().to_owned(),
                crv: "Ed25519",
                x: URL_SAFE_NO_PAD.encode(key),
            }),
            Material::Hs256(_) => None,
        }
    }
}

impl KeyRing {
    /// The ring of these keys. Two rings of one process have two versions.
    pub fn new(version: u64, keys: Vec<VerifyingKey>) -> Self {
        Self { version, keys }
    }

    /// How often the ring has changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Its keys.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The key of an id.
    pub fn key(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.iter().find(|key| key.kid.as_str() == kid)
    }

    /// The public keys of the ring. Secrets are never in it.
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.keys.iter().filter_map(VerifyingKey::jwk).collect() }
    }
}

impl RefreshKey {
    /// A key from 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The id of the refresh token of a generation: it can be made again, so it needn't be stored.
    pub fn jti(&self, session: SessionId, seed: &[u8; 16], generation: Generation) -> Jti {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(seed);
        context.update(session.as_bytes());
        context.update(&generation.0.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&context.sign().as_ref()[..16]);
        Jti::from_bytes(id)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.verifying.kid).finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshKey(..)")
    }
}

fn header_of(algorithm: Algorithm, kid: &Kid) -> String {
    let header = serde_json::json!({ "alg": algorithm.as_str(), "typ": "JWT", "kid": kid.as_str() });
    URL_SAFE_NO_PAD.encode(header.to_string())
}
