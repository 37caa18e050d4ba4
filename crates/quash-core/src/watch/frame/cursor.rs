//! Positions in the log that verifiers send back. They prove to an issuer how far its log had come, and which
//! log it was.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FrameFault;
use crate::model::{Chain, Seq};

/// A position in the log, with the proof that the issuer has made it: `<seq>.<tag and mac>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    seq: Seq,
    /// The first bytes of the hash over the log up to the number. If the store has lost its latest changes
    /// and its log has grown since, the log has the same number with another hash.
    tag: [u8; 8],
    /// The MAC over both. An attacker who guesses one must ask the issuer at every try.
    mac: [u8; 8],
}

/// The key of the MAC in cursors. Only the issuer has it, and only for one store: a copy of the store with
/// another id has another key, so that a position in the copy proves nothing to the original.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

impl Cursor {
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Returns whether this is a position in the log that has this hash up to the cursor's number.
    pub fn is_of(&self, chain: &Chain) -> bool {
        self.tag == tag(chain)
    }

    /// Parses a cursor. Only the issuer can check that it has made the cursor.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, FrameFault> {
        let (seq, proof) = text.split_once('.').ok_or(FrameFault::Malformed)?;
        let is_canonical = !seq.is_empty()
            && seq.bytes().all(|byte| byte.is_ascii_digit())
            && (seq == "0" || !seq.starts_with('0'));
        let seq =
            seq.parse().ok().filter(|&seq| is_canonical && seq < 1 << 53).ok_or(FrameFault::Malformed)?;
        let proof: [u8; 16] = URL_SAFE_NO_PAD
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or(FrameFault::Malformed)?;
        let (mut tag, mut mac) = ([0; 8], [0; 8]);
        tag.copy_from_slice(&proof[..8]);
        mac.copy_from_slice(&proof[8..]);
        Ok(Self { seq: Seq::from_u64(seq), tag, mac })
    }
}

impl CursorKey {
    /// Derives the key of the store with this id from 32 random bytes.
    pub fn new(secret: &[u8; 32], store_id: &str) -> Self {
        let of_store = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), store_id.as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, of_store.as_ref()))
    }

    /// Returns the cursor for a number in the log that has this hash up to the number.
    pub fn cursor(&self, seq: Seq, chain: &Chain) -> Cursor {
        let tag = tag(chain);
        Cursor { seq, tag, mac: self.mac(seq, &tag) }
    }

    /// Returns whether the issuer has made this cursor, and so has had its number.
    pub fn has_issued(&self, cursor: &Cursor) -> bool {
        constant_time::verify_slices_are_equal(&self.mac(cursor.seq, &cursor.tag), &cursor.mac).is_ok()
    }

    fn mac(&self, seq: Seq, tag: &[u8; 8]) -> [u8; 8] {
        let mut mac = [0; 8];
        mac.copy_from_slice(&hmac::sign(&self.0, &[seq.as_u64().to_be_bytes(), *tag].concat()).as_ref()[..8]);
        mac
    }
}

fn tag(chain: &Chain) -> [u8; 8] {
    let mut tag = [0; 8];
    tag.copy_from_slice(&chain[..8]);
    tag
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, URL_SAFE_NO_PAD.encode([self.tag, self.mac].concat()))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({})", self.seq)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
