//! Bytes in text, and values that carry a hash over their own text.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FrameFault;

/// A value with a hash over its own text. Values that decide how long a verifier is proven current must
/// arrive exactly as they were sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Digested<T> {
    #[serde(flatten)]
    pub(super) fields: T,
    pub(super) digest: Bytes<32>,
}

/// Bytes of fixed length, in base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes<const N: usize>(pub(super) [u8; N]);

impl<T: Serialize> Digested<T> {
    pub(super) fn whole(self) -> Result<T, FrameFault> {
        if digest_of(&self.fields) == self.digest { Ok(self.fields) } else { Err(FrameFault::Malformed) }
    }
}

/// The hash over a value's JSON.
pub(super) fn digest_of(fields: &impl Serialize) -> Bytes<32> {
    // Strings, numbers and lists of them can't fail to serialize.
    hash_of(&serde_json::to_vec(fields).unwrap_or_default())
}

/// The hash over a text.
pub(super) fn hash_of(text: &[u8]) -> Bytes<32> {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    Bytes(bytes)
}

impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<const N: usize>;
        impl<const N: usize> serde::de::Visitor<'_> for Text<N> {
            type Value = Bytes<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes in base64url")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes<N>, E> {
                let mut bytes = [0; N];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
                    Ok(length) if length == N => Ok(Bytes(bytes)),
                    _ => Err(E::custom(FrameFault::Malformed)),
                }
            }
        }
        deserializer.deserialize_str(Text)
    }
}
