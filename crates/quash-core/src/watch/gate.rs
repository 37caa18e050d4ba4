//! The last check before a token is believed. Only this module makes a [`Live`].

use std::sync::Arc;

use super::named::Named;
use super::revoked::Revoked;
use crate::model::{Invalid, Refusal, ScopeHasher, Seq, Timestamp, TokenPolicy};
use crate::token::{Authentic, Claims, KeyRing, Minted, Purposes, authenticate_former};

/// A valid token signed by one of our keys and, as far as the set knows, not revoked.
#[derive(Clone, Debug)]
pub struct Live(Arc<Authentic>);

/// The reason why a token isn't live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Refused(Refusal),
    /// The token was minted after a revocation that the set doesn't have yet: the caller must catch up with
    /// `rsq` first.
    Behind {
        /// The number to catch up with.
        rsq: Seq,
    },
}

/// Admits a token for one of these purposes. A covered token is refused even if the set is behind.
///
/// # Errors
/// The token isn't valid, it is revoked, or the set is behind it.
pub fn admit<'a>(
    token: Arc<Authentic>,
    purposes: impl Into<Purposes<'a>>,
    policy: &TokenPolicy,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<Live, Verdict> {
    let minted = holds(&token, purposes, policy, revoked, now).map_err(Verdict::Refused)?;
    match minted.needs().filter(|needed| *needed > revoked.cursor()) {
        Some(rsq) => Err(Verdict::Behind { rsq }),
        None => Ok(Live(token)),
    }
}

/// Like [`admit`], for callers that know from another source that the set lacks nothing, or accept that it
/// may. A token covered by the set is refused all the same.
///
/// # Errors
/// The token isn't valid, or it is revoked.
pub fn admit_without_lease<'a>(
    token: Arc<Authentic>,
    purposes: impl Into<Purposes<'a>>,
    policy: &TokenPolicy,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<Live, Refusal> {
    holds(&token, purposes, policy, revoked, now).map(|_| Live(token))
}

/// Returns the refusal of a token that no key of the ring signed. If a key of an earlier ring signed it and
/// the set has that key's revocation, the refusal is the one that a ring with the key leads to.
pub fn refuse_unknown<'a>(
    text: &str,
    ring: &KeyRing,
    hasher: &ScopeHasher,
    purposes: impl Into<Purposes<'a>>,
    policy: &TokenPolicy,
    revoked: &Revoked,
    now: Timestamp,
) -> Refusal {
    let unknown = Refusal::TokenInvalid(Invalid::Key);
    let Ok(token) = authenticate_former(text, ring, &policy.names, hasher, now) else { return unknown };
    let key_scope = token.scopes().get(..1).unwrap_or_default();
    match token.minted() {
        Ok(minted) if revoked.covers(minted, key_scope) => {
            token.check(purposes, policy, now).err().unwrap_or(Refusal::TokenRevoked(None))
        }
        Ok(_) | Err(_) => unknown,
    }
}

fn holds<'a>(
    token: &Authentic,
    purposes: impl Into<Purposes<'a>>,
    policy: &TokenPolicy,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<Minted, Refusal> {
    token.check(purposes, policy, now)?;
    let minted = token.minted()?;
    if revoked.covers(minted, token.scopes()) { Err(Refusal::TokenRevoked(None)) } else { Ok(minted) }
}

impl Live {
    pub fn claims(&self) -> &Claims {
        self.0.claims()
    }

    /// The names of a namespace's token; `None` for a token whose user is an account of quash.
    pub fn named(&self) -> Option<Named<'_>> {
        let claims = self.claims();
        let (issued_at, expires_at) = claims.iat.zip(claims.exp)?;
        self.0.namespace().map(|namespace| Named {
            namespace: Some(&namespace.name),
            session: claims.session.as_deref(),
            token: claims.jti.as_deref(),
            subject: claims.user_id.as_deref(),
            position: claims.position,
            issued_at,
            expires_at,
        })
    }

    /// The token as it was verified.
    pub fn authentic(&self) -> &Authentic {
        &self.0
    }

    /// The token as it was verified, for another check: a token is live only at the time of the check.
    pub fn to_authentic(&self) -> Arc<Authentic> {
        Arc::clone(&self.0)
    }
}
