//! The check of a token of another issuer by its names. The issuer's own code has verified the token.

use super::revoked::Revoked;
use crate::model::{
    Invalid, Refusal, Scope, ScopeHasher, ScopeKey, ScopeKind, Seq, SessionId, Timestamp, TokenPolicy, limits,
};
use crate::token::Minted;

/// The names and times of a token that another issuer has issued and verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Named<'a> {
    /// The namespace of the token; `None` for a session of quash's own.
    pub namespace: Option<&'a str>,
    /// The session that the token belongs to.
    pub session: Option<&'a str>,
    /// The token's own id.
    pub token: Option<&'a str>,
    /// The user that the token is for.
    pub subject: Option<&'a str>,
    /// The newest number of the log that the issuer knew when it issued the token.
    pub position: Option<u64>,
    /// The time of issue, in seconds since 1970.
    pub issued_at: i64,
    /// The expiry, in seconds since 1970.
    pub expires_at: i64,
}

/// The reason why a named token isn't accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamedVerdict {
    Refused(Refusal),
    /// The token was issued after a revocation that the set doesn't have yet.
    Behind {
        /// The number to catch up with.
        position: Seq,
    },
    /// The policy has no such namespace.
    UnknownNamespace,
}

/// The scopes of a named token.
struct Scopes {
    keys: [ScopeKey; 4],
    len: usize,
}

/// Admits a named token. A covered token is refused even if the set is behind. `ours` is the hasher of quash's
/// own tokens.
///
/// # Errors
/// The token is revoked or can't be judged, or the set is behind it.
pub fn admit_named(
    named: &Named<'_>,
    policy: &TokenPolicy,
    ours: &ScopeHasher,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<(), NamedVerdict> {
    admit_named_without_lease(named, policy, ours, revoked, now)?;
    match named.position.map(Seq::from_u64) {
        Some(position) if position > revoked.cursor() => Err(NamedVerdict::Behind { position }),
        _ => Ok(()),
    }
}

/// Like [`admit_named`], for callers that accept that the set may lack entries.
///
/// # Errors
/// The token is revoked or can't be judged.
pub fn admit_named_without_lease(
    named: &Named<'_>,
    policy: &TokenPolicy,
    ours: &ScopeHasher,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<(), NamedVerdict> {
    let scopes = check(named, policy, ours, now)?;
    let (iat, exp) = (named.issued_at, named.expires_at);
    let minted = match named.position.map(Seq::from_u64) {
        Some(position) => Minted::Placed { position, iat, exp },
        None => Minted::In { iat, exp },
    };
    if revoked.covers(minted, scopes.as_slice()) {
        Err(NamedVerdict::Refused(Refusal::TokenRevoked(None)))
    } else {
        Ok(())
    }
}

impl Named<'_> {
    /// The scopes whose entries could cover the token, except `everything`.
    ///
    /// # Errors
    /// The namespace is unknown, or no entry could name the token.
    pub fn scopes(
        &self,
        policy: &TokenPolicy,
        ours: &ScopeHasher,
        now: Timestamp,
    ) -> Result<Vec<ScopeKey>, NamedVerdict> {
        check(self, policy, ours, now).map(|scopes| scopes.as_slice().to_vec())
    }
}

/// Checks that entries can cover the token for as long as it is valid.
fn check(
    named: &Named<'_>,
    policy: &TokenPolicy,
    ours: &ScopeHasher,
    now: Timestamp,
) -> Result<Scopes, NamedVerdict> {
    let max_lifetime = match named.namespace {
        None => policy.longest_lifetime_ever,
        Some(name) => policy.namespace(name).ok_or(NamedVerdict::UnknownNamespace)?.max_lifetime,
    };
    let invalid = |fault: Invalid| NamedVerdict::Refused(fault.into());
    // Entries are kept for that long: one about this token might be forgotten while it is valid. This also
    // finds times in another unit.
    let longest = i64::try_from(max_lifetime.as_secs()).unwrap_or(i64::MAX);
    if named.expires_at.saturating_sub(named.issued_at) > longest {
        return Err(invalid(Invalid::Lifetime));
    }
    // A watermark wouldn't cover the token before that time.
    if named.issued_at > (now + limits::LEEWAY).as_secs() {
        return Err(invalid(Invalid::NotYet));
    }
    named.hashed(ours).ok_or_else(|| invalid(Invalid::Claim))
}

impl Named<'_> {
    /// Returns `None` for a name that no revocation can have.
    fn hashed(&self, ours: &ScopeHasher) -> Option<Scopes> {
        let can_be_revoked = |name: &&str| (1..=limits::REVOKED_NAME_BYTES).contains(&name.len());
        if ![self.session, self.token, self.subject].iter().flatten().all(can_be_revoked) {
            return None;
        }
        let namespace = self.namespace.unwrap_or_default();
        let mut scopes = Scopes { keys: [ScopeKey([0; 16]); 4], len: 0 };
        if let Some(namespace) = self.namespace {
            scopes.push(ours.everything_in(namespace));
        }
        if let Some(session) = self.session {
            scopes.push(match self.namespace {
                Some(namespace) => ours.key_in(namespace, ScopeKind::Session, session),
                None => ours.key(&Scope::Session(session.parse::<SessionId>().ok()?)),
            });
        }
        if let Some(token) = self.token {
            scopes.push(ours.key_in(namespace, ScopeKind::Token, token));
        }
        if let Some(subject) = self.subject {
            scopes.push(ours.user_id_in(namespace, subject));
        }
        Some(scopes)
    }
}

impl Scopes {
    fn push(&mut self, key: ScopeKey) {
        if let Some(slot) = self.keys.get_mut(self.len) {
            *slot = key;
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[ScopeKey] {
        self.keys.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
