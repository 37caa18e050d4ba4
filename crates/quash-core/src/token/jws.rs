//! Compact JWS (RFC 7515 7.1), strictly: exactly three parts, canonical base64url, a header that asks for nothing
//! beyond what quash understands. No claim is read here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json::{Duplicates, parse_json};
use super::keys::{Candidate, KeyRing, VerifyingKey};
use crate::model::{Invalid, limits};

/// A text of the right form. Nothing in it is believed.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// What a header says. Nothing in it is believed: a key's own algorithm decides, the header only has to agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// `alg`.
    pub algorithm: String,
    /// `kid`.
    pub kid: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Cuts a text into its three parts.
    ///
    /// # Errors
    /// It is too long or has another number of parts. Whether the parts are base64url is seen when they are read.
    pub fn parse(text: &'a str) -> Result<Self, Invalid> {
        if text.len() > limits::TOKEN_BYTES {
            return Err(Invalid::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        if payload.contains('.') {
            return Err(Invalid::Malformed);
        }
        Ok(Self { signed, header, payload, signature })
    }

    /// What its header says.
    ///
    /// # Errors
    /// It isn't a JSON object in base64url, has no algorithm, or asks for something that isn't understood.
    pub fn header(&self) -> Result<Header, Invalid> {
        let Ok(Value::Object(mut members)) = parse_json(&decode(self.header)?, Duplicates::Refuse) else {
            return Err(Invalid::Malformed);
        };
        // RFC 7515 4.1.11: what must be understood and isn't makes the token invalid. quash understands no extension.
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(Invalid::Header);
        }
        // RFC 8725 3.11: a token of another kind isn't an access or a refresh token, however well it is signed. What RFC
        // 9068 2.1 calls an access token is one; whether it is here its claims tell.
        match members.get("typ") {
            None => {}
            Some(Value::String(kind))
                if kind.eq_ignore_ascii_case("JWT") || kind.eq_ignore_ascii_case("at+jwt") => {}
            Some(_) => return Err(Invalid::HeaderType),
        }
        let Some(Value::String(algorithm)) = members.remove("alg") else {
            return Err(Invalid::Algorithm);
        };
        let kid = match members.remove("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => return Err(Invalid::Key),
        };
        Ok(Header { algorithm, kid })
    }

    /// The payload and the key that signed it. This is the signature's layer alone: the payload may be anything.
    ///
    /// # Errors
    /// No key of the ring did.
    pub fn verify(&self, ring: &'a KeyRing) -> Result<(Vec<u8>, &'a VerifyingKey), Invalid> {
        self.find(ring).map(|(payload, candidate)| (payload, candidate.key))
    }

    /// The payload, and the key that signed it with whose it may be.
    pub(super) fn find(&self, ring: &'a KeyRing) -> Result<(Vec<u8>, Candidate<'a>), Invalid> {
        // A header that is to the letter what quash writes needn't be parsed.
        if let Some(candidate) = ring.by_header(self.header) {
            return self.signed_by(candidate);
        }
        let mut refused = Invalid::Key;
        for candidate in ring.candidates(&self.header()?)? {
            match self.signed_by(candidate) {
                Ok(found) => return Ok(found),
                Err(invalid) => refused = invalid,
            }
        }
        Err(refused)
    }

    fn signed_by(&self, candidate: Candidate<'a>) -> Result<(Vec<u8>, Candidate<'a>), Invalid> {
        let signature = decode(self.signature)?;
        if !candidate.key.verifies(self.signed.as_bytes(), &signature) {
            return Err(Invalid::Signature);
        }
        Ok((decode(self.payload)?, candidate))
    }

    /// The payload as it stands, for whoever wants to look at a token without believing it.
    ///
    /// # Errors
    /// It isn't base64url.
    pub fn payload_unverified(&self) -> Result<Vec<u8>, Invalid> {
        decode(self.payload)
    }
}

/// Canonical base64url: no padding, no line ends, and zero in the bits that are left over, so that one token has one
/// spelling.
fn decode(part: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Malformed)
}
