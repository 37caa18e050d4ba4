//! Claims: what tokens say, in Simple JWT's order and under the names a site chose. A claim of the wrong type isn't
//! an absent claim. Whether the claims hold now is asked elsewhere.

mod members;
mod read;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::model::{ClaimNames, Generation, Invalid, Seq, SessionId, UserIdType};

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenType {
    /// Opens doors, for minutes.
    Access,
    /// Gets new tokens.
    Refresh,
    /// Does both: opens doors, and is exchanged for one that holds longer.
    Sliding,
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
    /// What it is for; `None` beside a `true` in `other_type` where quash doesn't know the type.
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
    /// Until when it can be exchanged, in sliding tokens, in seconds since 1970.
    pub refresh_exp: Option<i64>,
    /// Whose it is; a number becomes its digits.
    pub user_id: Option<String>,
    /// What the password's hash was, in Simple JWT's form; read and written only where the site asks for it.
    pub password_mark: Option<String>,
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

impl TokenType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Access, Self::Refresh, Self::Sliding];

    /// Its name in the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Sliding => "sliding",
        }
    }

    /// The type of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Its class in Simple JWT, as its answers name it.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Access => "AccessToken",
            Self::Refresh => "RefreshToken",
            Self::Sliding => "SlidingToken",
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
        read::claims(payload, names, true)
    }

    /// Reads the claims of a payload that another issuer has signed.
    ///
    /// # Errors
    /// As [`Claims::parse`].
    pub fn parse_foreign(payload: &[u8], names: &ClaimNames) -> Result<Self, Invalid> {
        read::claims(payload, names, false)
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
        put(&mut map, &names.refresh_exp, self.refresh_exp)?;
        put(
            &mut map,
            &names.user_id,
            self.user_id.as_deref().map(|user_id| WrittenUserId { user_id, form: names.user_id_type }),
        )?;
        if let Some(name) = &names.password_mark {
            put(&mut map, name, self.password_mark.as_ref())?;
        }
        put(&mut map, "sid", self.sid.map(|sid| sid.to_string()))?;
        put(&mut map, "rsq", self.rsq.map(Seq::as_u64))?;
        put(&mut map, "gen", self.generation.map(|generation| generation.0))?;
        for (name, value) in self.custom.iter().filter(|(name, _)| !names.reserves(name)) {
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

/// A subject as a site wants it written.
struct WrittenUserId<'a> {
    user_id: &'a str,
    form: UserIdType,
}

impl Serialize for WrittenUserId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.form, members::whole(self.user_id)) {
            (UserIdType::Integer, Some(number)) => serializer.serialize_u64(number),
            // A subject that isn't a number stays what it is: another would be somebody else.
            (UserIdType::Integer, None) | (UserIdType::Text, _) => serializer.serialize_str(self.user_id),
        }
    }
}
