//! Inspects a token for an operator: reports all known facts, refuses nothing and ends nothing.

use quash_core::model::{Actor, Entry, Invalid, Reason, Refusal, ScopeKind, Seq, SessionState, Timestamp};
use quash_core::token::{Authentic, Claims, Header, Unverified};
use quash_core::watch::Revoked;
use quash_verify::VerifyError;

use crate::context::Service;
use crate::failure::Failure;

/// The known facts about a token.
#[derive(Clone, PartialEq, Debug)]
pub struct Inspection {
    pub header: Result<Header, Invalid>,
    /// The claims in its payload, verified or not.
    pub claims: Result<Claims, Invalid>,
    /// The check of its signature.
    pub signature: Result<(), Invalid>,
    /// The verdict if it were sent now.
    pub status: TokenStatus,
}

/// The verdict on a token if it were sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenStatus {
    Live,
    Refused(Refusal),
    Revoked(RevokedBy),
}

/// The revocation of a token, as far as it is recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevokedBy {
    /// The kind of scope that was revoked.
    pub kind: Option<ScopeKind>,
    pub reason: Option<Reason>,
    pub at: Option<Timestamp>,
    pub actor: Option<Actor>,
    /// The sequence number of its log entry.
    pub seq: Option<Seq>,
}

impl Service {
    /// Inspects a token.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn inspect(&self, text: &str) -> Result<Inspection, Failure> {
        let context = &*self.context;
        let unverified = Unverified::parse(text);
        let header = unverified.and_then(|unverified| unverified.header());
        let payload = unverified.and_then(|unverified| unverified.payload_unverified());
        let claims = payload.and_then(|payload| {
            let names = &context.policy.tokens.names;
            Claims::parse(&payload, names).or_else(|_| Claims::parse_foreign(&payload, names))
        });
        let (signature, status) = match context.guard.authenticate(text).await {
            Ok(token) => (Ok(()), self.status(&token).await?),
            Err(VerifyError::Refused(Refusal::TokenInvalid(invalid))) => {
                (Err(invalid), TokenStatus::Refused(invalid.into()))
            }
            Err(denied) => return Err(denied.into()),
        };
        Ok(Inspection { header, claims, signature, status })
    }

    async fn status(&self, token: &Authentic) -> Result<TokenStatus, Failure> {
        match self.context.judge_by_store(token).await {
            Ok(_) => Ok(TokenStatus::Live),
            Err(Failure::Refused(Refusal::TokenRevoked(_))) => {
                Ok(TokenStatus::Revoked(self.revoked_by(token).await?))
            }
            Err(Failure::Refused(refusal)) => Ok(TokenStatus::Refused(refusal)),
            Err(failure) => Err(failure),
        }
    }

    /// The first log entry that covers the token, or the session's row if the log no longer has that entry.
    async fn revoked_by(&self, token: &Authentic) -> Result<RevokedBy, Failure> {
        let context = &*self.context;
        let minted = token.minted()?;
        let mut keys = token.scopes().to_vec();
        keys.push(context.guard.scopes().key(&quash_core::model::Scope::Everything));
        let entries = context.store.entries_of(&keys).await?;
        let covering = |entry: &&Entry| {
            Revoked::from_snapshot(entry.seq, entry.chain, std::slice::from_ref(*entry)).covers(minted, &keys)
        };
        if let Some(entry) = entries.iter().find(covering) {
            return Ok(RevokedBy {
                kind: Some(entry.kind),
                reason: Some(entry.reason),
                at: Some(entry.at),
                actor: Some(entry.actor.clone()),
                seq: Some(entry.seq),
            });
        }
        let nothing = RevokedBy { kind: None, reason: None, at: None, actor: None, seq: None };
        let found = match token.session_and_rsq() {
            Ok((session, _)) => context.store.session(session).await?.found,
            Err(_) => None,
        };
        Ok(match found.map(|(session, _)| session.state) {
            Some(SessionState::Ended(ending)) => RevokedBy {
                kind: Some(ScopeKind::Session),
                reason: Some(ending.reason),
                at: Some(ending.at),
                actor: Some(ending.actor),
                seq: None,
            },
            Some(SessionState::Live) | None => nothing,
        })
    }
}
