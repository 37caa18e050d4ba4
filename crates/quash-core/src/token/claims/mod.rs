//! Claims: the content of tokens, in Simple JWT's order and under the site's names. A claim of the wrong type
//! is an error, not an absent claim. `token/token.rs` checks whether the claims are valid now.

mod members;
mod read;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::model::{ClaimNames, Generation, Invalid, Seq, SessionId, UserIdType};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenType {
    /// Grants access, for minutes.
    Access,
    /// Is exchanged for new tokens.
    Refresh,
    /// Does both: grants access, and is exchanged for one that is valid longer.
    Sliding,
}

/// The recipients of a token (RFC 7519 4.1.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Audience {
    One(String),
    /// A list of one or more.
    Any(Vec<String>),
}

/// The claims of a token.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Claims {
    /// `None` if the claim is absent, or if quash doesn't know the type: then `other_type` is set.
    pub token_type: Option<TokenType>,
    /// The claim is present, with a type that quash doesn't know.
    pub other_type: bool,
    /// The expiry, in seconds since 1970.
    pub exp: Option<i64>,
    /// The time of minting, in seconds since 1970.
    pub iat: Option<i64>,
    /// The start of validity, in seconds since 1970.
    pub nbf: Option<i64>,
    pub jti: Option<String>,
    /// In sliding tokens: the end of the time in which they can be exchanged, in seconds since 1970.
    pub refresh_exp: Option<i64>,
    /// The account. A number is converted to its digits.
    pub user_id: Option<String>,
    /// The mark of the password's hash, Simple JWT's claim `hash_password`. Read and written only if the site
    /// uses marks.
    pub password_mark: Option<String>,
    pub sid: Option<SessionId>,
    /// The number of the log's newest entry, read before the token was minted. Entries with higher numbers
    /// may revoke the token.
    pub rsq: Option<Seq>,
    /// In refresh tokens: the session's generation, which counts its rotations.
    pub generation: Option<Generation>,
    pub aud: Option<Audience>,
    pub iss: Option<String>,
    /// All other claims, in their order.
    pub custom: Vec<(String, Value)>,
}

impl TokenType {
    pub const ALL: [Self; 3] = [Self::Access, Self::Refresh, Self::Sliding];

    /// The type's name in the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Sliding => "sliding",
        }
    }

    /// The type with the given name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The type's class in Simple JWT, as in its responses.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Access => "AccessToken",
            Self::Refresh => "RefreshToken",
            Self::Sliding => "SlidingToken",
        }
    }
}

impl Audience {
    /// Returns whether one of the token's audiences is one of these. The comparison is exact.
    pub fn meets(&self, wanted: &[String]) -> bool {
        match self {
            Self::One(audience) => wanted.contains(audience),
            Self::Any(audiences) => audiences.iter().any(|audience| wanted.contains(audience)),
        }
    }

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
    /// The payload isn't a JSON object within the limits, has a duplicate member, or has a claim of the wrong
    /// type.
    pub fn parse(payload: &[u8], names: &ClaimNames) -> Result<Self, Invalid> {
        read::claims(payload, names, true)
    }

    /// Reads the claims of a payload signed by another issuer, in which `sid`, `rsq` and `gen` are custom
    /// claims.
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
        // Serializing numbers and strings to memory can't fail; if it did, every reader would refuse the
        // empty payload.
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
    match value {
        Some(value) => map.serialize_entry(name, &value),
        None => Ok(()),
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(audience) => audience.serialize(serializer),
            Self::Any(audiences) => audiences.serialize(serializer),
        }
    }
}

/// A user id in the JSON type that the site configured.
struct WrittenUserId<'a> {
    user_id: &'a str,
    form: UserIdType,
}

impl Serialize for WrittenUserId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.form, members::whole(self.user_id)) {
            (UserIdType::Integer, Some(number)) => serializer.serialize_u64(number),
            // An id that isn't a number stays unchanged: any other would name another account.
            (UserIdType::Integer, None) | (UserIdType::Text, _) => serializer.serialize_str(self.user_id),
        }
    }
}
