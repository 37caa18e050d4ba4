//! Claims: what tokens say, in Simple JWT's order and under the names a site chose. A claim of the wrong type isn't
//! an absent claim. Whether the claims hold now is asked elsewhere.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{Duplicates, ValueSeed};
use crate::model::{ClaimNames, Generation, Invalid, Seq, SessionId};

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenType {
    /// Opens doors, for minutes.
    Access,
    /// Gets new tokens.
    Refresh,
}

/// Whom a token is for (RFC 7519 4.1.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audience {
    /// One.
    One(String),
    /// Any of several; never none.
    Any(Vec<String>),
}

/// What a token says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Claims {
    /// What it is for; another site's types are kept as `None` beside a `true` in `other_type`.
    pub token_type: Option<TokenType>,
    /// It has a type, but none that quash knows.
    pub other_type: bool,
    /// When it stops to hold, in seconds since 1970.
    pub exp: Option<i64>,
    /// When it was minted, in seconds since 1970.
    pub iat: Option<i64>,
    /// From when on it holds, in seconds since 1970.
    pub nbf: Option<i64>,
    /// Its id.
    pub jti: Option<String>,
    /// Whose it is; a number becomes its digits.
    pub user_id: Option<String>,
    /// Its session.
    pub sid: Option<SessionId>,
    /// The head that was read before it was minted.
    pub rsq: Option<Seq>,
    /// Its generation, in refresh tokens.
    pub generation: Option<Generation>,
    /// Whom it is for.
    pub aud: Option<Audience>,
    /// Who issued it.
    pub iss: Option<String>,
    /// All others, in their order.
    pub custom: Vec<(String, Value)>,
}

/// More members than this no token has.
const MEMBERS: usize = 128;

/// The largest number that every JSON reader keeps exactly (RFC 8259 6).
const LARGEST: u64 = (1 << 53) - 1;

impl TokenType {
    /// Its name in the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }

    /// Its class in Simple JWT, as its answers name it.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Access => "AccessToken",
            Self::Refresh => "RefreshToken",
        }
    }
}

impl Audience {
    /// Whether one of the token's audiences is one of these. The comparison is exact.
    pub fn meets(&self, wanted: &[String]) -> bool {
        match self {
            Self::One(audience) => wanted.contains(audience),
            Self::Any(audiences) => audiences.iter().any(|audience| wanted.contains(audience)),
        }
    }

    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(audience) => std::slice::from_ref(audience),
            Self::Any(audiences) => audiences,
        }
        .iter()
        .map(String::as_str)
    }
}

impl Claims {
    /// Reads the claims of a payload.
    ///
    /// # Errors
    /// The payload isn't a JSON object under the limits, has a member twice, or a claim of the wrong type.
    pub fn parse(payload: &[u8], names: &ClaimNames) -> Result<Self, Invalid> {
        if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(Invalid::Malformed);
        }
        let broken = Cell::new(false);
        let mut parser = serde_json::Deserializer::from_slice(payload);
        let read = ClaimsSeed { names, broken: &broken }.deserialize(&mut parser).and_then(|claims| parser.end().map(|()| claims));
        read.map_err(|error| if error.is_data() && !broken.get() { Invalid::Claim } else { Invalid::Malformed })
    }

    /// The claims as compact JSON.
    pub fn to_json(&self, names: &ClaimNames) -> Vec<u8> {
        let mut json = Vec::with_capacity(320);
        let mut writer = serde_json::Serializer::new(&mut json);
        // Writing numbers and texts to memory can't fail; an empty payload would be refused by every reader.
        if self.write(names, &mut writer).is_err() {
            json.clear();
        }
        json
    }

    fn write<S: Serializer>(&self, names: &ClaimNames, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put(&mut map, &names.token_type, self.token_type.map(TokenType::as_str))?;
        put(&mut map, "exp", self.exp)?;
        put(&mut map, "iat", self.iat)?;
        put(&mut map, &names.jti, self.jti.as_ref())?;
        put(&mut map, &names.user_id, self.user_id.as_ref())?;
        put(&mut map, "sid", self.sid.map(|sid| sid.to_string()))?;
        put(&mut map, "rsq", self.rsq.map(Seq::as_u64))?;
        put(&mut map, "gen", self.generation.map(|generation| generation.0))?;
        for (name, value) in &self.custom {
            map.serialize_entry(name, value)?;
        }
        put(&mut map, "aud", self.aud.as_ref())?;
        put(&mut map, "iss", self.iss.as_ref())?;
        map.end()
    }
}

fn put<M: SerializeMap>(map: &mut M, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(audience) => audience.serialize(serializer),
            Self::Any(audiences) => audiences.serialize(serializer),
        }
    }
}

struct ClaimsSeed<'a> {
    names: &'a ClaimNames,
    broken: &'a Cell<bool>,
}

impl ClaimsSeed<'_> {
    fn twice<E: Error>(&self) -> E {
        self.broken.set(true);
        E::custom("a claim stands twice")
    }

    /// Puts a value into a place that must be free.
    fn once<T, E: Error>(&self, place: &mut Option<T>, value: T) -> Result<(), E> {
        if place.replace(value).is_some() { Err(self.twice()) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for ClaimsSeed<'_> {
    type Value = Claims;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Claims, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ClaimsSeed<'_> {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut claims = Claims::default();
        let mut members = 0;
        while let Some(MemberName(name)) = map.next_key::<MemberName<'de>>()? {
            members += 1;
            if members > MEMBERS {
                self.broken.set(true);
                return Err(A::Error::custom("too many claims"));
            }
            let name = name.as_ref();
            if name == self.names.token_type {
                let text: String = map.next_value()?;
                if claims.token_type.is_some() || claims.other_type {
                    return Err(self.twice());
                }
                claims.token_type = [TokenType::Access, TokenType::Refresh].into_iter().find(|kind| kind.as_str() == text);
                claims.other_type = claims.token_type.is_none();
            } else if name == self.names.jti {
                self.once(&mut claims.jti, map.next_value::<NonEmpty>()?.0)?;
            } else if name == self.names.user_id {
                self.once(&mut claims.user_id, map.next_value::<UserId>()?.0)?;
            } else {
                match name {
                    "exp" => self.once(&mut claims.exp, map.next_value::<Whole>()?.signed())?,
                    "iat" => self.once(&mut claims.iat, map.next_value::<Whole>()?.signed())?,
                    "nbf" => self.once(&mut claims.nbf, map.next_value::<Whole>()?.signed())?,
                    "sid" => {
                        let sid = map.next_value::<NonEmpty>()?.0.parse().map_err(A::Error::custom)?;
                        self.once(&mut claims.sid, sid)?;
                    }
                    "rsq" => self.once(&mut claims.rsq, Seq::from_u64(map.next_value::<Whole>()?.0))?,
                    "gen" => self.once(&mut claims.generation, Generation(map.next_value()?))?,
                    "aud" => self.once(&mut claims.aud, map.next_value()?)?,
                    "iss" => self.once(&mut claims.iss, map.next_value()?)?,
                    _ => {
                        let name = name.to_owned();
                        if claims.custom.iter().any(|(other, _)| *other == name) {
                            return Err(self.twice());
                        }
                        let seed = ValueSeed { depth: 2, duplicates: Duplicates::Refuse, broken: self.broken };
                        claims.custom.push((name, map.next_value_seed(seed)?));
                    }
                }
            }
        }
        Ok(claims)
    }
}

/// A member's name, borrowed where it has no escapes.
struct MemberName<'a>(Cow<'a, str>);

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

/// A whole number from 0 to 2^53 - 1.
struct Whole(u64);

impl Whole {
    fn signed(&self) -> i64 {
        self.0.cast_signed()
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number <= LARGEST { Ok(Self(number)) } else { Err(D::Error::custom("a number out of range")) }
    }
}

/// A text that isn't empty.
struct NonEmpty(String);

impl<'de> Deserialize<'de> for NonEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Err(D::Error::custom("an empty text")) } else { Ok(Self(text)) }
    }
}

/// A subject: a text, or a whole number, which older tokens hold, as its digits.
struct UserId(String);

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = String;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
                if text.is_empty() { Err(E::custom("an empty text")) } else { Ok(text.to_owned()) }
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
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Audience, E> {
                Ok(Audience::One(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Audience, A::Error> {
                let mut audiences = Vec::new();
                while let Some(audience) = access.next_element()? {
                    audiences.push(audience);
                }
                if audiences.is_empty() { Err(A::Error::custom("an empty list")) } else { Ok(Audience::Any(audiences)) }
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}
