//! An accepted token, and its claims in the application's own type.

use std::fmt;
use std::sync::Arc;

use quash_core::model::{ClaimNames, SessionId};
use quash_core::token::{Audience, VerifyingKey};
use quash_core::watch::{Live, Named};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::shared::trust::Terms;

/// A token that was accepted a moment ago.
#[derive(Clone)]
pub struct Accepted {
    live: Live,
    terms: Arc<Terms>,
}

/// The claims of a token, for applications without a type of their own.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// The user's id.
    pub user_id: TextOrNumber,
    /// The token's id.
    pub jti: String,
    /// The expiry, in seconds since 1970.
    pub exp: i64,
    /// The time of issue, in seconds since 1970.
    pub iat: i64,
    /// The session's id.
    pub sid: Option<String>,
    /// All other claims.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// A subject as the token has it: a site may issue ids as numbers.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum TextOrNumber {
    /// A JSON string.
    Text(String),
    /// A JSON number.
    Number(u64),
}

impl Accepted {
    pub(crate) fn new(live: Live, terms: Arc<Terms>) -> Self {
        Self { live, terms }
    }

    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    pub(crate) fn into_live(self) -> Live {
        self.live
    }

    /// Returns the user's id. Every accepted token has one.
    pub fn user_id(&self) -> &str {
        self.live.claims().user_id.as_deref().unwrap_or_default()
    }

    /// Returns the expiry, in seconds since 1970. Every accepted token has one.
    pub fn expires_at(&self) -> i64 {
        self.live.claims().exp.unwrap_or_default()
    }

    /// Returns the session's id, or `None` for a token of another issuer.
    pub fn session(&self) -> Option<SessionId> {
        self.live.claims().sid
    }

    /// Returns the names of a namespace's token by which it can be revoked, or `None` for a token of quash.
    pub fn named(&self) -> Option<Named<'_>> {
        self.live.named()
    }

    /// Returns whether this key, with its algorithm, verified the token.
    pub fn is_signed_with(&self, key: &VerifyingKey) -> bool {
        self.live.authentic().is_signed_with(key)
    }

    /// Returns the claims in the application's own type. A claim that the issuer has renamed is present under
    /// both names.
    ///
    /// # Errors
    /// Returns an error if the claims don't fit the type.
    pub fn claims<C: DeserializeOwned>(&self) -> Result<C, serde_json::Error> {
        let (names, usual) = (&self.terms.policy.names, ClaimNames::default());
        let json = self.live.authentic().claims_json(names);
        let jti = match self.live.authentic().namespace() {
            Some(namespace) => namespace.claims.token.as_deref().unwrap_or(&usual.jti),
            None => &names.jti,
        };
        let renamed = [
            (usual.user_id.as_str(), self.user_id_claim()),
            (&usual.jti, jti),
            (&usual.token_type, &names.token_type),
        ];
        if renamed.iter().all(|(usual, actual)| usual == actual) {
            return serde_json::from_slice(&json);
        }
        let mut claims: Map<String, Value> = serde_json::from_slice(&json)?;
        for (usual, actual) in renamed {
            if let Some(value) = claims.get(actual).filter(|_| !claims.contains_key(usual)).cloned() {
                claims.insert(usual.to_owned(), value);
            }
        }
        serde_json::from_value(Value::Object(claims))
    }

    /// Returns whether a claim has this value, or is a list that contains it.
    pub fn has_claim(&self, name: &str, value: &Value) -> bool {
        let claims = self.live.claims();
        let is_text = |text: Option<&str>| text.is_some() && text == value.as_str();
        match name {
            "iss" => is_text(claims.iss.as_deref()),
            "aud" => claims.aud.iter().flat_map(Audience::each).any(|audience| is_text(Some(audience))),
            _ if name == self.user_id_claim() => is_text(claims.user_id.as_deref()),
            _ => claims.custom.iter().any(|(other, found)| other == name && claim_says(found, value)),
        }
    }
}

/// Returns whether a claim has this value, or is a list that contains it: for tokens that other code verifies.
pub fn claim_says(claim: &Value, value: &Value) -> bool {
    claim == value || claim.as_array().is_some_and(|list| list.contains(value))
}

impl Accepted {
    fn user_id_claim(&self) -> &str {
        let namespace = self.live.authentic().namespace();
        namespace.map_or(&self.terms.policy.names.user_id, |namespace| &namespace.claims.subject)
    }
}

impl fmt::Debug for Accepted {
    /// Omits the claims.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("session", &self.session()).finish_non_exhaustive()
    }
}

impl fmt::Display for TextOrNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}
