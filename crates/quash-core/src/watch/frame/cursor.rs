//! Places in the log, as they travel: a number with the proof that the issuer has given it out.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FrameFault;
use crate::model::Seq;

/// A place in the log, with the proof that the issuer has given it out: `<seq>.<mac>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor {
    seq: Seq,
    mac: [u8; 16],
}

/// What makes and recognises cursors: the issuer's alone.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

impl Cursor {
    /// The number.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// A cursor from its text. Whether the issuer has given it out is for the issuer to say.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<Self, FrameFault> {
        let (seq, mac) = text.split_once('.').ok_or(FrameFault::Malformed)?;
        let is_canonical = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit()) && (seq == "0" || !seq.starts_with('0'));
        let seq = seq.parse().ok().filter(|&seq| is_canonical && seq < 1 << 53).ok_or(FrameFault::Malformed)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok().and_then(|mac| mac.try_into().ok()).ok_or(FrameFault::Malformed)?;
        Ok(Self { seq: Seq::from_u64(seq), mac })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, URL_SAFE_NO_PAD.encode(self.mac))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({})", self.seq)
    }
}

impl CursorKey {
    /// A key from 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The cursor of a number.
    pub fn cursor(&self, seq: Seq) -> Cursor {
        let mut mac = [0; 16];
        mac.copy_from_slice(&hmac::sign(&self.0, &seq.as_u64().to_be_bytes()).as_ref()[..16]);
        Cursor { seq, mac }
    }

    /// Whether the issuer has given out a cursor, and so has had its number.
    pub fn has_given(&self, cursor: &Cursor) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.cursor(cursor.seq).mac, &cursor.mac).is_ok()
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
