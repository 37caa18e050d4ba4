//! Keys as JSON (RFC 7517): the published form, and strict parsing of members. A published key has no private
//! members. Keys are built from members in `public.rs` and `secret.rs`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Family, curve};
use super::fault::KeyFault;
use crate::token::json::{Duplicates, parse_json};

/// A public key as published (RFC 7517, RFC 7518 6, RFC 8037 2). It has no private members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Jwk {
    pub(super) kty: &'static str,
    #[serde(rename = "use")]
    pub(super) usage: &'static str,
    pub(super) alg: &'static str,
    pub(super) kid: String,
    #[serde(flatten)]
    pub(super) members: Members,
}

/// The public members of a key, in base64url.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Members {
    /// A point on P-256 or P-384 (RFC 7518 6.2.1).
    Ec { crv: &'static str, x: String, y: String },
    /// An Ed25519 key (RFC 8037 2).
    Okp { crv: &'static str, x: String },
    /// An RSA key (RFC 7518 6.3.1).
    Rsa { n: String, e: String },
}

/// A set of public keys as published (RFC 7517 5).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct JwkSet {
    pub(super) keys: Vec<Jwk>,
}

impl Members {
    /// The input of the thumbprint: the required members, in order, without white space (RFC 7638 3.2).
    pub(super) fn canonical(&self) -> String {
        match self {
            Self::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        }
    }

    pub(super) const fn kty(&self) -> &'static str {
        match self {
            Self::Ec { .. } => "EC",
            Self::Okp { .. } => "OKP",
            Self::Rsa { .. } => "RSA",
        }
    }
}

/// Parses one key as text.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, KeyFault> {
    match parse_json(text.as_bytes(), Duplicates::Refuse) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(KeyFault::MalformedJwk),
    }
}

/// The private members of a key, without its metadata.
pub(super) enum PrivateMembers {
    /// The seed.
    Ed25519(Zeroizing<Vec<u8>>),
    /// The scalar and its point.
    Ec(Zeroizing<Vec<u8>>, Vec<u8>),
    /// n, e, d, p, q, dp, dq, qi.
    Rsa(Box<[Zeroizing<Vec<u8>>; 8]>),
    Hmac(Zeroizing<Vec<u8>>),
}

/// Reads the private members of a signing key.
pub(super) fn read_private(
    wanted: Algorithm,
    members: &Map<String, Value>,
) -> Result<PrivateMembers, KeyFault> {
    check_use(members)?;
    // A key without `alg` may be used with any algorithm of its kind.
    let stated = if members.contains_key("alg") { algorithm(members)? } else { wanted };
    if stated != wanted || !fits(wanted, members) {
        return Err(KeyFault::Unusable(wanted));
    }
    let secret = |name| bytes(members, name).map(Zeroizing::new);
    if wanted.family() != Family::Hmac && !members.contains_key("d") {
        return Err(KeyFault::Public);
    }
    Ok(match wanted.family() {
        Family::Hmac => PrivateMembers::Hmac(secret("k")?),
        Family::Ed25519 => PrivateMembers::Ed25519(Zeroizing::new(sized(members, "d", 32)?)),
        Family::Ec => {
            let point = point(members)?;
            PrivateMembers::Ec(Zeroizing::new(sized(members, "d", point.len() / 2)?), point)
        }
        Family::Rsa => PrivateMembers::Rsa(Box::new([
            secret("n")?,
            secret("e")?,
            secret("d")?,
            secret("p")?,
            secret("q")?,
            secret("dp")?,
            secret("dq")?,
            secret("qi")?,
        ])),
    })
}

/// The key's algorithm: its `alg`, else the default for its kind. Never the one in a token's header.
pub(super) fn algorithm(members: &Map<String, Value>) -> Result<Algorithm, KeyFault> {
    let stated = match members.get("alg") {
        None => None,
        Some(Value::String(name)) => Some(Algorithm::parse(name).ok_or(KeyFault::Unknown)?),
        Some(_) => return Err(KeyFault::MalformedJwk),
    };
    let by_kind = match (text(members, "kty")?, members.get("crv").and_then(Value::as_str)) {
        ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
        ("EC", Some("P-256")) => Algorithm::Es256,
        ("EC", Some("P-384")) => Algorithm::Es384,
        ("RSA", _) => Algorithm::Rs256,
        ("oct", _) => Algorithm::Hs256,
        _ => return Err(KeyFault::Unknown),
    };
    let algorithm = stated.unwrap_or(by_kind);
    if fits(algorithm, members) { Ok(algorithm) } else { Err(KeyFault::AlgorithmMismatch) }
}

fn fits(algorithm: Algorithm, members: &Map<String, Value>) -> bool {
    let said = |name| members.get(name).and_then(Value::as_str);
    match algorithm.family() {
        Family::Ed25519 => (said("kty"), said("crv")) == (Some("OKP"), Some("Ed25519")),
        Family::Ec => (said("kty"), said("crv")) == (Some("EC"), Some(curve(algorithm))),
        Family::Rsa => said("kty") == Some("RSA"),
        Family::Hmac => said("kty") == Some("oct"),
    }
}

/// Checks that `use` and `key_ops`, if present, allow signatures (RFC 7517 4.2, 4.3).
pub(super) fn check_use(members: &Map<String, Value>) -> Result<(), KeyFault> {
    match members.get("use") {
        None => {}
        Some(Value::String(usage)) if usage == "sig" => {}
        Some(_) => return Err(KeyFault::NotForSignatures),
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations))
            if operations.iter().any(|operation| matches!(operation.as_str(), Some("verify" | "sign"))) =>
        {
            Ok(())
        }
        Some(_) => Err(KeyFault::NotForSignatures),
    }
}

/// An uncompressed point (SEC 1 2.3.3). Both coordinates have the curve's full length (RFC 7518 6.2.1.2).
pub(super) fn point(members: &Map<String, Value>) -> Result<Vec<u8>, KeyFault> {
    let length = match text(members, "crv")? {
        "P-256" => 32,
        "P-384" => 48,
        _ => return Err(KeyFault::Unknown),
    };
    let mut point = vec![4];
    point.append(&mut sized(members, "x", length)?);
    point.append(&mut sized(members, "y", length)?);
    Ok(point)
}

pub(super) fn sized(members: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, KeyFault> {
    bytes(members, name)
        .and_then(|bytes| if bytes.len() == length { Ok(bytes) } else { Err(KeyFault::MalformedJwk) })
}

pub(super) fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyFault> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).map_err(|_| KeyFault::MalformedJwk)
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, KeyFault> {
    members.get(name).and_then(Value::as_str).ok_or(KeyFault::MalformedJwk)
}
