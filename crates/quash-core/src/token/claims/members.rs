//! Types that claims are parsed into, each with its limits.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::Audience;

/// The largest integer that every JSON parser can hold exactly (RFC 8259 6).
const LARGEST: u64 = (1 << 53) - 1;

/// Parses a number of at most [`LARGEST`], if the text is its canonical spelling.
pub(super) fn whole(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok().filter(|number| *number <= LARGEST)?;
    (number.to_string() == text).then_some(number)
}

/// A member's name, borrowed if it has no escapes.
pub(super) struct MemberName<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for MemberName<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(name))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(name.to_owned()))
            }
        }
        deserializer.deserialize_str(Name).map(MemberName)
    }
}

/// An integer from 0 to 2^53 - 1.
pub(super) struct Whole(pub(super) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number <= LARGEST { Ok(Self(number)) } else { Err(D::Error::custom("a number out of range")) }
    }
}

/// Seconds since 1970 (RFC 7519 2). A fraction is truncated: a token with one in its `exp` expires a fraction
/// of a second earlier.
pub(super) struct NumericDate(pub(super) i64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = i64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }
            fn visit_u64<E: Error>(self, secs: u64) -> Result<i64, E> {
                if secs <= LARGEST { Ok(secs.cast_signed()) } else { Err(E::custom("a number out of range")) }
            }
            fn visit_f64<E: Error>(self, secs: f64) -> Result<i64, E> {
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    reason = "2^53 - 1 and all below it are exact"
                )]
                if (0.0..=LARGEST as f64).contains(&secs) {
                    Ok(secs as i64)
                } else {
                    Err(E::custom("a number out of range"))
                }
            }
        }
        deserializer.deserialize_any(Seconds).map(NumericDate)
    }
}

/// A string that isn't empty.
pub(super) struct NonEmpty(pub(super) String);

impl<'de> Deserialize<'de> for NonEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Err(D::Error::custom("an empty string")) } else { Ok(Self(text)) }
    }
}

/// A user id: a string, or an integer, which older tokens have and which is converted to its digits.
pub(super) struct UserId(pub(super) String);

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = String;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
                if text.is_empty() { Err(E::custom("an empty string")) } else { Ok(text.to_owned()) }
            }
            fn visit_u64<E>(self, number: u64) -> Result<String, E> {
                Ok(number.to_string())
            }
            fn visit_i64<E>(self, number: i64) -> Result<String, E> {
                Ok(number.to_string())
            }
        }
        deserializer.deserialize_any(Text).map(UserId)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Audience;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E>(self, text: &str) -> Result<Audience, E> {
                Ok(Audience::One(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Audience, A::Error> {
                let mut audiences = Vec::new();
                while let Some(audience) = access.next_element()? {
                    audiences.push(audience);
                }
                if audiences.is_empty() {
                    Err(A::Error::custom("an empty list"))
                } else {
                    Ok(Audience::Any(audiences))
                }
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}
