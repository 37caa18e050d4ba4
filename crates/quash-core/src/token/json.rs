//! JSON with limits: at most [`limits::JSON_DEPTH`] levels deep and, in tokens, without duplicate members.
//! The underlying parser refuses lone surrogates and numbers too large for an `f64`.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::model::limits;

/// The treatment of duplicate members in an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Duplicates {
    /// For tokens: two readers could see two different claims (RFC 7515 4, RFC 7519 4).
    Refuse,
    /// For request bodies, as Simple JWT's clients expect.
    LastWins,
}

/// Parses JSON text with the limits.
///
/// # Errors
/// The parser's error. Its text contains the line and column, and may quote a few characters of the input.
pub fn parse_json(text: &[u8], duplicates: Duplicates) -> Result<Value, serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let broken = Cell::new(false);
    let value = ValueSeed { depth: 1, duplicates, broken: &broken }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Reads one value at a depth. Sets `broken` if the value breaks a limit: `claims/read.rs` then reports a
/// malformed token, not a claim of the wrong type.
#[derive(Clone, Copy)]
pub(super) struct ValueSeed<'a> {
    pub(super) depth: usize,
    pub(super) duplicates: Duplicates,
    pub(super) broken: &'a Cell<bool>,
}

impl ValueSeed<'_> {
    /// The seed for the values inside this one.
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth > limits::JSON_DEPTH {
            self.broken.set(true);
            return Err(E::custom(format_args!("nested deeper than {} levels", limits::JSON_DEPTH)));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(inside)?;
            if members.insert(name, value).is_some() && self.duplicates == Duplicates::Refuse {
                self.broken.set(true);
                return Err(A::Error::custom("a duplicate member in an object"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_limited_one_past_the_edge() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse_json(nested(limits::JSON_DEPTH).as_bytes(), Duplicates::Refuse).is_ok());
        assert!(parse_json(nested(limits::JSON_DEPTH + 1).as_bytes(), Duplicates::Refuse).is_err());
        assert!(parse_json("[".repeat(100_000).as_bytes(), Duplicates::LastWins).is_err());
    }

    #[test]
    fn duplicates_are_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            assert!(parse_json(text.as_bytes(), Duplicates::Refuse).is_err(), "{text}");
            assert!(parse_json(text.as_bytes(), Duplicates::LastWins).is_ok(), "{text}");
        }
    }

    #[test]
    fn malformed_json_is_refused() {
        for text in ["", "{", "NaN", "{'a':1}", "{} {}", "/**/{}", "\"\\ud800\"", "[1,]", "\u{feff}{}"] {
            assert!(parse_json(text.as_bytes(), Duplicates::LastWins).is_err(), "{text}");
        }
        assert!(parse_json(b"\"\xff\"", Duplicates::LastWins).is_err());
    }
}
