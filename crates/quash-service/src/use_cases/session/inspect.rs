//! Inspecting: everything there is to know about a token, for an operator. Nothing is refused, and nothing ends.

use quash_core::model::{Actor, Entry, Invalid, Reason, Refusal, ScopeKind, Seq, SessionState, Timestamp};
use quash_core::token::{Authentic, Claims, Header, Minted, Unverified};
use quash_verify::Denied;

use crate::context::Service;
use crate::failure::Failure;

/// What there is to know about a token.
#[derive(Clone, PartialEq, Debug)]
pub struct Inspection {
    /// What its header says.
    pub header: Result<Header, Invalid>,
    /// What its payload says, believed or not.
    pub claims: Result<Claims, Invalid>,
    /// Whether a key of ours signed it.
    pub signature: Result<(), Invalid>,
    /// Whether it would be taken now.
    pub standing: Standing,
}

/// Whether a token would be taken now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It would.
    Live,
    /// It wouldn't.
    Refused(Refusal),
    /// It has been revoked.
    Revoked(RevokedBy),
}

/// What revoked a token, as far as it is remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevokedBy {
    /// What was revoked.
    pub kind: Option<ScopeKind>,
    /// Why.
    pub reason: Option<Reason>,
    /// When.
    pub at: Option<Timestamp>,
    /// By whom.
    pub actor: Option<Actor>,
    /// The number of its entry in the log.
    pub seq: Option<Seq>,
}

impl Service {
    /// Looks at a token.
    ///
    /// # Errors
    /// The store is away.
    pub async fn inspect(&self, text: &str) -> Result<Inspection, Failure> {
        let desk = &*self.desk;
        let unverified = Unverified::parse(text);
        let header = unverified.and_then(|unverified| unverified.header());
        let payload = unverified.and_then(|unverified| unverified.payload_unverified());
        let claims = payload.and_then(|payload| {
            let names = &desk.policy.tokens.names;
            Claims::parse(&payload, names).or_else(|_| Claims::parse_foreign(&payload, names))
        });
        let (signature, standing) = match desk.guard.authenticate(text).await {
            Ok(token) => (Ok(()), self.standing(&token).await?),
            Err(Denied::Refused(Refusal::TokenInvalid(invalid))) => {
                (Err(invalid), Standing::Refused(invalid.into()))
            }
            Err(denied) => return Err(denied.into()),
        };
        Ok(Inspection { header, claims, signature, standing })
    }

    async fn standing(&self, token: &Authentic) -> Result<Standing, Failure> {
        match self.desk.judge_by_store(token).await {
            Ok(_) => Ok(Standing::Live),
            Err(Failure::Refused(Refusal::TokenRevoked(_))) => {
                Ok(Standing::Revoked(self.revoked_by(token).await?))
            }
            Err(Failure::Refused(refusal)) => Ok(Standing::Refused(refusal)),
            Err(failure) => Err(failure),
        }
    }

    /// The first entry of the log that covers the token; where the log has forgotten it, what the session's row says.
    async fn revoked_by(&self, token: &Authentic) -> Result<RevokedBy, Failure> {
        let desk = &*self.desk;
        let minted = token.minted()?;
        let mut keys = token.scopes().to_vec();
        keys.push(desk.guard.scopes().key(&quash_core::model::Scope::Everything));
        let entries = desk.store.entries_of(&keys).await?;
        let covering = |entry: &&Entry| match minted {
            Minted::At(rsq) => rsq < entry.before(),
            Minted::In { iat, .. } => entry.kind.is_presence() || iat <= entry.at.as_secs(),
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
        let found = match token.place() {
            Ok((session, _)) => desk.store.session(session).await?.found,
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
