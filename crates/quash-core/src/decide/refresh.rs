//! Rotation: what a refresh token gets that is presented again, for the first time, late, or out of place.

use crate::model::{
    Account, AccountState, Actor, Change, Generation, Invalid, Policy, Reason, Refusal, ScopeHasher, Seq, Session, SessionId,
    SessionLoaded, SessionState, Timestamp, TokenPolicy,
};
use crate::token::{Authentic, Grant, RefreshKey, TokenType};

use super::cause::{Cause, session_end};
use super::sign_in::idle_until;

/// A refresh token that a key of ours signed and that hasn't expired. Whether it is genuine only its session tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presented {
    /// The session it names.
    pub session: SessionId,
    /// The generation it names.
    pub generation: Generation,
    /// The head it was minted at.
    pub rsq: Seq,
    jti: String,
}

/// What a refresh comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refreshed {
    /// A new generation: write, then mint.
    Rotate {
        /// What to write.
        change: Change,
        /// What to mint once that is written.
        grant: Grant,
    },
    /// Nothing to write: mint.
    Answer {
        /// What to mint.
        grant: Grant,
    },
    /// The session must end: write, then refuse.
    End {
        /// What to write.
        change: Change,
        /// What to refuse with.
        refusal: Refusal,
    },
}

impl Presented {
    /// A refresh token from an authentic one.
    ///
    /// # Errors
    /// It doesn't hold now, or isn't a refresh token.
    pub fn new(token: &Authentic, policy: &TokenPolicy, now: Timestamp) -> Result<Self, Refusal> {
        token.check(TokenType::Refresh, policy, now)?;
        let (session, rsq) = token.place()?;
        let (generation, jti) = token.claims().generation.zip(token.claims().jti.clone()).ok_or(Invalid::Claim)?;
        Ok(Self { session, generation, rsq, jti })
    }

    /// Its session, once its id has proved that it is genuine and the session is live. The id is compared in
    /// constant time, before anything else is believed: who stole a signing key can't end sessions with it.
    pub(super) fn session<'a>(&self, loaded: &'a SessionLoaded, secret: &RefreshKey) -> Result<(&'a Session, &'a Account), Refusal> {
        let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
        let genuine = secret.jti(session.id, &session.seed, self.generation).to_string();
        if aws_lc_rs::constant_time::verify_slices_are_equal(genuine.as_bytes(), self.jti.as_bytes()).is_err() {
            return Err(Invalid::WrongId.into());
        }
        if self.rsq > loaded.head.seq {
            return Err(Invalid::FromTheFuture.into());
        }
        if let SessionState::Ended(ending) = &session.state {
            return Err(Refusal::TokenRevoked(Some(ending.reason)));
        }
        if !session.is_live(account, &loaded.head) {
            return Err(Refusal::TokenRevoked(None));
        }
        if self.rsq < session.opened_seq {
            return Err(Invalid::Superseded.into());
        }
        Ok((session, account))
    }
}

/// What a presented refresh token gets.
///
/// # Errors
/// It isn't genuine, or its session or account can't be used.
pub fn refresh(
    presented: &Presented,
    loaded: &SessionLoaded,
    policy: &Policy,
    secret: &RefreshKey,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Refreshed, Refusal> {
    let (session, account) = presented.session(loaded, secret)?;
    if matches!(account.state, AccountState::Deactivated { .. }) {
        return Err(Refusal::NoActiveAccount);
    }
    let rsq = loaded.head.seq;
    match presented.generation.cmp(&session.generation) {
        std::cmp::Ordering::Equal if policy.rotation.rotate => Ok(rotate(session, policy, rsq, now)),
        std::cmp::Ordering::Equal => Ok(Refreshed::Answer { grant: Grant::of_access(session, rsq) }),
        std::cmp::Ordering::Less if forgiven(presented, session, policy, now) => {
            Ok(Refreshed::Answer { grant: Grant::of_both(session, rsq) })
        }
        std::cmp::Ordering::Less => Ok(end(session, Reason::Reuse, scopes, now)),
        std::cmp::Ordering::Greater => Ok(end(session, Reason::Restored, scopes, now)),
    }
}

/// What is wrong with a refresh token, without consequences: for `verify`.
///
/// # Errors
/// What a refresh would refuse it with; a spent one counts as revoked.
pub fn recheck_presented(presented: &Presented, loaded: &SessionLoaded, policy: &Policy, secret: &RefreshKey) -> Result<(), Refusal> {
    let (session, _) = presented.session(loaded, secret)?;
    let spent = presented.generation < session.generation && policy.rotation.blacklist;
    if spent || presented.generation > session.generation { Err(Refusal::TokenRevoked(None)) } else { Ok(()) }
}

fn rotate(session: &Session, policy: &Policy, rsq: Seq, now: Timestamp) -> Refreshed {
    let idle_until = idle_until(session.ends_at, policy, now);
    let after = Session { generation: session.generation.next(), rotated_at: now, idle_until, ..session.clone() };
    let change = Change::Rotate { session: session.id, from: session.generation, rotated_at: now, idle_until };
    Refreshed::Rotate { change, grant: Grant::of_both(&after, rsq) }
}

/// Whether a spent token still gets the current one: always where spent tokens aren't blacklisted; else only the
/// immediate parent, within the grace of the rotation that spent it.
fn forgiven(presented: &Presented, session: &Session, policy: &Policy, now: Timestamp) -> bool {
    let parent = presented.generation.next() == session.generation;
    !policy.rotation.blacklist || (parent && now.since(session.rotated_at) < policy.rotation.grace)
}

fn end(session: &Session, reason: Reason, scopes: &ScopeHasher, now: Timestamp) -> Refreshed {
    let end = session_end(session.id, &Cause { reason, actor: Actor::Rule }, scopes, now);
    Refreshed::End { change: Change::EndSessions { sessions: vec![end] }, refusal: Refusal::TokenRevoked(Some(reason)) }
}
