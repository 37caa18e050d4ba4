//! Parsing of claims: each with its own type, without duplicates, and limited in number.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::members::{MemberName, NonEmpty, NumericDate, UserId, Whole};
use super::names::{IssuerKind, Names};
use super::{Claims, TokenType};
use crate::model::{Generation, Invalid, Seq};
use crate::token::json::{Duplicates, ValueSeed};

/// The maximum number of members in a payload.
const MEMBERS: usize = 128;

/// Parses the claims of a payload.
pub(super) fn claims(payload: &[u8], names: Names<'_>) -> Result<Claims, Invalid> {
    if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Invalid::Malformed);
    }
    let broken = Cell::new(false);
    let mut parser = serde_json::Deserializer::from_slice(payload);
    let read = ClaimsSeed { names, broken: &broken }
        .deserialize(&mut parser)
        .and_then(|claims| parser.end().map(|()| claims));
    read.map_err(|error| if error.is_data() && !broken.get() { Invalid::Claim } else { Invalid::Malformed })
}

struct ClaimsSeed<'a> {
    names: Names<'a>,
    broken: &'a Cell<bool>,
}

impl ClaimsSeed<'_> {
    fn twice<E: Error>(&self) -> E {
        self.broken.set(true);
        E::custom("a duplicate claim")
    }

    /// Sets an empty field, or fails if it is set already.
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
            let (names, issuer) = (self.names, self.names.issuer);
            if name == names.token_type() {
                let text: String = map.next_value()?;
                if claims.type_name().is_some() {
                    return Err(self.twice());
                }
                claims.token_type = TokenType::parse(&text);
                claims.other_type = claims.token_type.is_none().then_some(text);
            } else if names.jti() == Some(name) {
                self.once(&mut claims.jti, map.next_value::<NonEmpty>()?.0)?;
            } else if name == names.user_id() {
                self.once(&mut claims.user_id, map.next_value::<UserId>()?.0)?;
            } else if names.refresh_exp() == Some(name) {
                self.once(&mut claims.refresh_exp, map.next_value::<NumericDate>()?.0)?;
            } else if names.password_mark() == Some(name) {
                self.once(&mut claims.password_mark, map.next_value()?)?;
            } else if names.session() == Some(name) {
                self.once(&mut claims.session, map.next_value::<NonEmpty>()?.0)?;
            } else if names.position() == Some(name) {
                self.once(&mut claims.position, map.next_value::<Whole>()?.0)?;
            } else {
                match (name, issuer) {
                    ("exp", _) => self.once(&mut claims.exp, map.next_value::<NumericDate>()?.0)?,
                    ("iat", _) => self.once(&mut claims.iat, map.next_value::<NumericDate>()?.0)?,
                    ("nbf", _) => self.once(&mut claims.nbf, map.next_value::<NumericDate>()?.0)?,
                    ("sid", IssuerKind::Quash) => {
                        let sid = map.next_value::<NonEmpty>()?.0.parse().map_err(A::Error::custom)?;
                        self.once(&mut claims.sid, sid)?;
                    }
                    ("rsq", IssuerKind::Quash) => {
                        self.once(&mut claims.rsq, Seq::from_u64(map.next_value::<Whole>()?.0))?
                    }
                    ("gen", IssuerKind::Quash) => {
                        self.once(&mut claims.generation, Generation(map.next_value()?))?
                    }
                    ("sid" | "rsq" | "gen", IssuerKind::Namespace(_)) => {
                        return Err(A::Error::custom("a claim of quash's own tokens"));
                    }
                    ("aud", _) => self.once(&mut claims.aud, map.next_value()?)?,
                    ("iss", _) => self.once(&mut claims.iss, map.next_value()?)?,
                    _ => {
                        let name = name.to_owned();
                        if claims.custom.iter().any(|(other, _)| *other == name) {
                            return Err(self.twice());
                        }
                        let seed =
                            ValueSeed { depth: 2, duplicates: Duplicates::Refuse, broken: self.broken };
                        let value = map.next_value_seed(seed)?;
                        // RFC 7519 4.1.2: `sub` is a string even if quash doesn't use it.
                        if name == "sub" && !value.is_string() {
                            return Err(A::Error::custom("a subject that isn't a string"));
                        }
                        claims.custom.push((name, value));
                    }
                }
            }
        }
        Ok(claims)
    }
}
