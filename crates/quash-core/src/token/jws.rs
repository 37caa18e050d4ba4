//! Strict parsing of compact JWS (RFC 7515 7.1): exactly three parts, canonical base64url, and a header
//! without unknown requirements. Claims are read in `claims/`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json::{Duplicates, parse_json};
use super::keys::{Candidate, KeyRing, VerifyingKey};
use crate::model::{Invalid, Timestamp, limits};

/// Text of the right form. Nothing in it is trusted.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// A token's header. It isn't trusted: the key's own algorithm decides, and the header must match it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub algorithm: String,
    pub kid: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Splits a text into its three parts.
    ///
    /// # Errors
    /// The text is too long or has another number of parts. The parts' base64url is checked when they are
    /// read.
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

    /// Parses the header.
    ///
    /// # Errors
    /// The header isn't a JSON object in base64url, has no algorithm, or requires something that quash
    /// doesn't understand.
    pub fn header(&self) -> Result<Header, Invalid> {
        let Ok(Value::Object(mut members)) = parse_json(&decode(self.header)?, Duplicates::Refuse) else {
            return Err(Invalid::Malformed);
        };
        // RFC 7515 4.1.11: an extension that isn't understood makes the token invalid. quash understands
        // none.
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(Invalid::Header);
        }
        // RFC 8725 3.11: a validly signed token of another kind isn't an access or a refresh token. `at+jwt`
        // (RFC 9068 2.1) is accepted here; the claims then determine the token's type.
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

    /// Returns the payload and the key that signed it. Only checks the signature: the payload may be
    /// anything.
    ///
    /// # Errors
    /// No key of the ring signed the text.
    pub fn verify(&self, ring: &'a KeyRing) -> Result<(Vec<u8>, &'a VerifyingKey), Invalid> {
        self.verify_candidate(ring).map(|(payload, candidate)| (payload, candidate.key))
    }

    /// Returns the payload and the key that signed it, with its possible issuers.
    pub(super) fn verify_candidate(&self, ring: &'a KeyRing) -> Result<(Vec<u8>, Candidate<'a>), Invalid> {
        // A header with the exact text that quash writes needn't be parsed.
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

    /// Like [`Unverified::verify_candidate`], with the keys of earlier rings.
    pub(super) fn verify_former(
        &self,
        ring: &'a KeyRing,
        now: Timestamp,
    ) -> Result<(Vec<u8>, Candidate<'a>), Invalid> {
        self.signed_by(ring.former(&self.header()?, now).ok_or(Invalid::Key)?)
    }

    fn signed_by(&self, candidate: Candidate<'a>) -> Result<(Vec<u8>, Candidate<'a>), Invalid> {
        let signature = decode(self.signature)?;
        if !candidate.key.verifies(self.signed.as_bytes(), &signature) {
            return Err(Invalid::Signature);
        }
        Ok((decode(self.payload)?, candidate))
    }

    /// The payload without verification, for inspecting a token.
    ///
    /// # Errors
    /// The payload isn't base64url.
    pub fn payload_unverified(&self) -> Result<Vec<u8>, Invalid> {
        decode(self.payload)
    }
}

/// Decodes canonical base64url: no padding, no line breaks, and zero in the unused bits, so that one token
/// has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Malformed)
}
