//! Verifies a token offline, as a function of its text, the keys, the expectations and the time. It applies
//! the rules of `quash-core`, without what only a server knows, such as revocations.

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
    /// A key set; the token's header names the key.
    Set(Vec<SetKey>),
    /// A single key, whatever `kid` the token has.
    One(VerifyingKey),
}

/// The requirements on a token.
pub(super) struct Expectations {
    pub(super) purpose: TokenType,
    /// The required `iss`; `None`: any or none.
    pub(super) issuer: Option<String>,
    /// The accepted values of `aud`, of which one must match; empty: any or none.
    pub(super) audience: Vec<String>,
    /// The longest accepted lifetime, from `iat` to `exp`.
    pub(super) max_lifetime: Duration,
    /// The allowed difference between clocks.
    pub(super) leeway: Duration,
    pub(super) names: ClaimNames,
}

/// The result of verifying a token.
pub(super) struct Verification {
    pub(super) verdict: Result<(), Refusal>,
    /// `true` if one of the keys signed it. Otherwise its contents can't be trusted.
    pub(super) genuine: bool,
    pub(super) header: Option<Header>,
    /// `None` unless the token is genuine.
    pub(super) token_type: Option<TokenType>,
    /// `None` unless the token is genuine.
    pub(super) claims: Option<Map<String, Value>>,
}

/// Verifies a token.
pub(super) fn verify_offline(
    text: &str,
    keys: &Keys,
    expected: &Expectations,
    now: Timestamp,
) -> Verification {
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
    Verification { verdict: checked, genuine: payload.is_some(), header, token_type, claims }
}

/// Builds a ring with each key twice, as one of quash and as one of another issuer: the token's claims tell
/// which kind it is, and the rules for its kind apply.
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
        namespace: None,
        dropped: Vec::new(),
    });
    let foreign = keys.iter().map(|found| ForeignKey {
        key: found.key.clone(),
        token_kid: found.token_kid(),
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

/// A hasher with a fixed key: offline verification looks nothing up by scope.
fn hasher() -> ScopeHasher {
    ScopeHasher::ours([0; 16])
}

#[cfg(test)]
mod tests;
