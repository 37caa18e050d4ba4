//! Claims: the content of tokens, in Simple JWT's order and under the site's names. A claim of the wrong type
//! is an error, not an absent claim. `token/token.rs` checks whether the claims are valid now.

mod members;
mod names;
mod read;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::model::{ClaimNames, Generation, Invalid, NamespaceClaims, Seq, SessionId, UserIdType};
use names::{IssuerKind, Names};

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
    /// A type that quash doesn't know.
    pub other_type: Option<String>,
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
    /// In tokens of a namespace: their issuer's own session.
    pub session: Option<String>,
    /// In tokens of a namespace: the number of the log's newest entry that their issuer knew.
    pub position: Option<u64>,
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
        read::claims(payload, Names::new(names, IssuerKind::Quash))
    }

    /// Reads the claims of a payload signed by another issuer, in which `sid`, `rsq` and `gen` are custom
    /// claims.
    ///
    /// # Errors
    /// As [`Claims::parse`].
    pub fn parse_foreign(payload: &[u8], names: &ClaimNames) -> Result<Self, Invalid> {
        read::claims(payload, Names::new(names, IssuerKind::Accounts))
    }

    /// Reads the claims of a payload signed by the issuer of a namespace, which names some of them itself.
    /// `sid`, `rsq` and `gen` are refused unless they are such names.
    ///
    /// # Errors
    /// As [`Claims::parse`].
    pub fn parse_in(
        payload: &[u8],
        names: &ClaimNames,
        namespace: &NamespaceClaims,
    ) -> Result<Self, Invalid> {
        read::claims(payload, Names::new(names, IssuerKind::Namespace(namespace)))
    }

    /// The claims as compact JSON.
    pub fn to_json(&self, names: &ClaimNames) -> Vec<u8> {
        self.written(Names::new(names, IssuerKind::Quash))
    }

    /// The claims of a namespace's token as compact JSON.
    pub fn to_json_in(&self, names: &ClaimNames, namespace: &NamespaceClaims) -> Vec<u8> {
        self.written(Names::new(names, IssuerKind::Namespace(namespace)))
    }

    /// The type's name in the claim.
    pub fn type_name(&self) -> Option<&str> {
        self.token_type.map(TokenType::as_str).or(self.other_type.as_deref())
    }

    /// The names by which another issuer can revoke the token.
    pub(in crate::token) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.session, &self.jti, &self.user_id].into_iter().filter_map(|name| name.as_deref())
    }

    fn written(&self, names: Names<'_>) -> Vec<u8> {
        let mut json = Vec::with_capacity(320);
        let mut writer = serde_json::Serializer::new(&mut json);
        // Serializing numbers and strings to memory can't fail; if it did, every reader would refuse the
        // empty payload.
        if self.write(names, &mut writer).is_err() {
            json.clear();
        }
        json
    }

    fn write<S: Serializer>(&self, names: Names<'_>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put(&mut map, Some(names.token_type()), self.type_name())?;
        put(&mut map, Some("exp"), self.exp)?;
        put(&mut map, Some("iat"), self.iat)?;
        put(&mut map, Some("nbf"), self.nbf)?;
        put(&mut map, names.jti(), self.jti.as_ref())?;
        put(&mut map, names.refresh_exp(), self.refresh_exp)?;
        put(
            &mut map,
            Some(names.user_id()),
            self.user_id.as_deref().map(|user_id| WrittenUserId { user_id, form: names.user_id_type() }),
        )?;
        put(&mut map, names.password_mark(), self.password_mark.as_ref())?;
        put(&mut map, Some("sid"), self.sid.map(|sid| sid.to_string()))?;
        put(&mut map, Some("rsq"), self.rsq.map(Seq::as_u64))?;
        put(&mut map, Some("gen"), self.generation.map(|generation| generation.0))?;
        put(&mut map, names.session(), self.session.as_ref())?;
        put(&mut map, names.position(), self.position)?;
        for (name, value) in self.custom.iter().filter(|(name, _)| !names.reserves(name)) {
            map.serialize_entry(name, value)?;
        }
        put(&mut map, Some("aud"), self.aud.as_ref())?;
        put(&mut map, Some("iss"), self.iss.as_ref())?;
        map.end()
    }
}

fn put<M: SerializeMap>(
    map: &mut M,
    name: Option<&str>,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    match name.zip(value) {
        Some((name, value)) => map.serialize_entry(name, &value),
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
