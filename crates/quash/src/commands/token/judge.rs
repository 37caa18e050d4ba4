//! Judging a token offline: a function of its text, the keys that may have signed it, what is expected of it, and the
//! moment. It is the law's own judgement; what only a server knows, such as what was revoked, isn't asked.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{ClaimNames, ForeignTokens, Kid, Refusal, ScopeHasher, Timestamp, TokenPolicy};
use quash_core::token::{
    Duplicates, Expected, ForeignKey, Header, Issuer, KeyRing, SetKey, TokenType, Unverified, VerifyingKey,
    authenticate, parse_json,
};
use serde_json::{Map, Value};

/// The keys that may have signed a token.
pub(super) enum Keys {
    /// Those of a set. Which one it was, the token says.
    Set(Vec<SetKey>),
    /// One alone, whatever tokens call it.
    One(VerifyingKey),
}

/// What is expected of a token.
pub(super) struct Expectations {
    /// What it must be for.
    pub(super) purpose: TokenType,
    /// What its `iss` must be, if anything.
    pub(super) issuer: Option<String>,
    /// Of which its `aud` must meet one, if of any.
    pub(super) audience: Vec<String>,
    /// The longest that it may hold, from `iat` to `exp`.
    pub(super) max_lifetime: Duration,
    /// Allowed difference between clocks.
    pub(super) leeway: Duration,
    /// What its claims are called.
    pub(super) names: ClaimNames,
}

/// What came of it.
pub(super) struct Judgement {
    /// Whether it is accepted, or why it isn't.
    pub(super) verdict: Result<(), Refusal>,
    /// Whether one of the keys signed it. Nothing in it is to be believed otherwise.
    pub(super) genuine: bool,
    /// What its header says.
    pub(super) header: Option<Header>,
    /// What it says that it is for; of a genuine one alone.
    pub(super) token_type: Option<TokenType>,
    /// What it says, of a genuine one alone.
    pub(super) claims: Option<Map<String, Value>>,
}

/// Judges a token.
pub(super) fn judge(text: &str, keys: &Keys, expected: &Expectations, now: Timestamp) -> Judgement {
    let unverified = Unverified::parse(text);
    let header = unverified.and_then(|unverified| unverified.header()).ok();
    let ring = ring(keys, header.as_ref().and_then(|header| header.kid.as_deref()), expected);
    let payload = unverified.and_then(|unverified| unverified.verify(&ring)).ok().map(|(payload, _)| payload);
    let authentic = authenticate(text, &ring, &expected.names, &hasher());
    let token_type = authentic.as_ref().ok().and_then(|authentic| authentic.claims().token_type);
    let checked = authentic
        .map_err(Refusal::from)
        .and_then(|authentic| authentic.check(&[expected.purpose], &policy(expected), now));
    let claims = payload.as_ref().and_then(|payload| match parse_json(payload, Duplicates::Refuse) {
        Ok(Value::Object(claims)) => Some(claims),
        _ => None,
    });
    Judgement { verdict: checked, genuine: payload.is_some(), header, token_type, claims }
}

/// Each key is there twice, as a quash's and as another issuer's: a token says itself whose it is, and either is judged
/// by the rules for its kind.
fn ring(keys: &Keys, kid: Option<&str>, expected: &Expectations) -> KeyRing {
    let keys = match keys {
        Keys::Set(keys) => keys.clone(),
        Keys::One(key) => {
            let kid = kid.and_then(|kid| Kid::parse(kid).ok());
            vec![SetKey { named: kid.is_some(), key: key.clone().renamed(kid) }]
        }
    };
    let issuer = Arc::new(Issuer {
        name: String::new(),
        scopes: hasher(),
        max_lifetime: expected.max_lifetime,
        iss: expected.issuer.clone().map_or(Expected::Anything, Expected::Exactly),
        aud: if expected.audience.is_empty() {
            Expected::Anything
        } else {
            Expected::Exactly(expected.audience.clone())
        },
    });
    let foreign = keys.iter().map(|SetKey { key, named }| ForeignKey {
        key: key.clone(),
        named: *named,
        issuer: Arc::clone(&issuer),
    });
    let foreign = foreign.collect();
    KeyRing::with_foreign(1, keys.into_iter().map(|key| key.key).collect(), foreign)
}

fn policy(expected: &Expectations) -> TokenPolicy {
    TokenPolicy {
        issuer: expected.issuer.clone(),
        audience: expected.audience.clone(),
        leeway: expected.leeway,
        longest_lifetime_ever: expected.max_lifetime,
        names: expected.names.clone(),
        foreign: ForeignTokens::Accept,
        ..TokenPolicy::default()
    }
}

/// Nothing is looked up under the scopes of a token that is judged offline.
fn hasher() -> ScopeHasher {
    ScopeHasher::ours([0; 16])
}

#[cfg(test)]
mod tests;
