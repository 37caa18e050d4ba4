//! Bytes in text, and values that carry a hash over all their members.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::FrameFault;

/// A value with a hash over all its members. Values that decide how long a verifier is proven current must
/// arrive exactly as they were sent. The hash also covers members that this program doesn't know: a newer
/// issuer may add some (decision 0040).
#[derive(Serialize)]
pub(super) struct Digested<T> {
    #[serde(flatten)]
    pub(super) fields: T,
    pub(super) digest: Bytes<32>,
}

/// Bytes of fixed length, in base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes<const N: usize>(pub(super) [u8; N]);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Digested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let digest = members.remove("digest").ok_or_else(|| Error::missing_field("digest"))?;
        let digest = Bytes::deserialize(digest).map_err(Error::custom)?;
        let members = Value::Object(members);
        if hash_of(&canonical(&members)) != digest {
            return Err(Error::custom(FrameFault::Malformed));
        }
        Ok(Self { fields: T::deserialize(members).map_err(Error::custom)?, digest })
    }
}

/// Serializes a value with a hash over its members.
pub(super) fn serialize_digested<S: Serializer>(
    fields: &impl Serialize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let digest = digest_of_members(fields).map_err(serde::ser::Error::custom)?;
    Digested { fields, digest }.serialize(serializer)
}

/// The hash over a value's members, in the one form that doesn't depend on their order.
///
/// # Errors
/// The value can't be serialized.
pub(super) fn digest_of_members(fields: &impl Serialize) -> Result<Bytes<32>, FrameFault> {
    let members = serde_json::to_value(fields).map_err(|_| FrameFault::Unwritable)?;
    Ok(hash_of(&canonical(&members)))
}

/// The canonical JSON of a value (RFC 8785). The numbers in the feed are integers.
fn canonical(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // RFC 8785 3.2.3: the order of the names' UTF-16 code units.
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            write_list(b"{", members, b"}", text, |(name, value), text| {
                write_canonical(&Value::String(name.clone()), text);
                text.push(b':');
                write_canonical(value, text);
            });
        }
        Value::Array(items) => write_list(b"[", items, b"]", text, write_canonical),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.extend(value.to_string().into_bytes());
        }
    }
}

fn write_list<T>(
    open: &[u8],
    items: impl IntoIterator<Item = T>,
    close: &[u8],
    text: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    text.extend_from_slice(open);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        write(item, text);
    }
    text.extend_from_slice(close);
}

/// The hash over a value's JSON, as it is sent.
///
/// # Errors
/// The value can't be serialized.
pub(super) fn digest_of(fields: &impl Serialize) -> Result<Bytes<32>, FrameFault> {
    Ok(hash_of(&serde_json::to_vec(fields).map_err(|_| FrameFault::Unwritable)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing;

    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not now"))
        }
    }

    #[test]
    fn unserializable_values_have_no_digest() {
        assert!(digest_of(&Failing).is_err() && digest_of_members(&Failing).is_err());
        assert!(serialize_digested(&Failing, serde_json::value::Serializer).is_err());
    }

    #[test]
    fn canonical_json_is_that_of_rfc_8785() {
        let text = r#"{ "peach": [1, {"b": null, "a": true}, []], "\u20ac": "Euro \u000f\n/\"", "1": {}, "\ud83d\ude02": -7, "\ufb33": "" }"#;
        let value: Value = serde_json::from_str(text).expect("JSON");
        let canonical = String::from_utf8(canonical(&value)).expect("text");
        assert_eq!(
            canonical,
            "{\"1\":{},\"peach\":[1,{\"a\":true,\"b\":null},[]],\"\u{20ac}\":\"Euro \\u000f\\n/\\\"\",\"\u{1f602}\":-7,\"\u{fb33}\":\"\"}"
        );
    }
}
