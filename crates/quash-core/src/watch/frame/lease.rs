//! The lease on the wire: the answer, and the nonce of the request that it answers.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digested::{Bytes, Digested, serialize_digested};
use super::{Cursor, FrameFault, millis};
use crate::model::{Chain, Timestamp};

/// The answer to a verifier's request for a lease.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Digested<GrantFields>")]
pub struct LeaseGrant {
    fields: GrantFields,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct GrantFields {
    nonce: LeaseNonce,
    cursor: Cursor,
    chain: Bytes<32>,
    term_ms: u64,
    server_time: i64,
}

/// The nonce by which a verifier recognises the answer to its request: it draws one for each. A replayed
/// answer, or one to another verifier, proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseNonce(pub [u8; 16]);

impl LeaseGrant {
    /// Answers the request with this nonce, for a log that ends at `cursor` with the hash `chain`.
    pub fn new(
        nonce: LeaseNonce,
        cursor: Cursor,
        chain: &Chain,
        term: Duration,
        server_time: Timestamp,
    ) -> Self {
        let server_time = server_time.as_millis();
        Self {
            fields: GrantFields { nonce, cursor, chain: Bytes(*chain), term_ms: millis(term), server_time },
        }
    }

    /// The nonce of the request.
    pub fn nonce(&self) -> LeaseNonce {
        self.fields.nonce
    }

    /// The end of the log, read after the request had arrived.
    pub fn cursor(&self) -> &Cursor {
        &self.fields.cursor
    }

    /// The hash over the log up to the cursor.
    pub fn chain(&self) -> Chain {
        self.fields.chain.0
    }

    /// The lifetime of the lease, from the time of the request.
    pub fn term(&self) -> Duration {
        Duration::from_millis(self.fields.term_ms)
    }
}

impl LeaseNonce {
    /// Parses a nonce: 22 characters of base64url.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, FrameFault> {
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(FrameFault::Malformed)
    }
}

impl fmt::Display for LeaseNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Serialize for LeaseNonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LeaseNonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::<16>::deserialize(deserializer).map(|bytes| Self(bytes.0))
    }
}

impl Serialize for LeaseGrant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_digested(&self.fields, serializer)
    }
}

impl From<Digested<GrantFields>> for LeaseGrant {
    fn from(digested: Digested<GrantFields>) -> Self {
        Self { fields: digested.fields }
    }
}
