//! Rotation: what a refresh token gets that is presented again, for the first time, late, or out of place.

use crate::model::{
    Account, Actor, Change, DeviceId, Generation, Head, Invalid, Policy, Reason, Refusal, ScopeHasher,
    Session, SessionEnd, SessionLoaded, Timestamp,
};
use crate::token::{Bearer, Grant, RefreshKey};

use super::cause::{Cause, session_end};
use super::presented::{PresentedRefresh, check_active, check_live};
use super::sign_in::idle_until;

/// What a refresh comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refreshed {
    /// Something new: write, then mint.
    Write {
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
    /// Something must end: write, then refuse.
    End {
        /// What to write.
        change: Change,
        /// What to refuse with.
        refusal: Refusal,
    },
}

/// What a presented refresh token gets.
///
/// # Errors
/// It isn't genuine, or its session or account can't be used.
pub fn refresh(
    presented: &PresentedRefresh,
    loaded: &SessionLoaded,
    policy: &Policy,
    secret: &RefreshKey,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Refreshed, Refusal> {
    let (session, account) = presented.session(loaded, secret)?;
    check_active(account, policy)?;
    spend(presented.generation, session, account, &loaded.head, policy, scopes, now)
}

/// What is wrong with a refresh token, without consequences: for `verify`.
///
/// # Errors
/// What a refresh would refuse it with; a spent one counts as revoked.
pub fn recheck_presented(
    presented: &PresentedRefresh,
    loaded: &SessionLoaded,
    policy: &Policy,
    secret: &RefreshKey,
) -> Result<(), Refusal> {
    let (session, _) = presented.session(loaded, secret)?;
    recheck_generation(presented.generation, session, policy)
}

/// The same tokens as they would be granted now: an event may have covered what was granted a moment ago, and left its
/// session.
///
/// # Errors
/// The session isn't live any more.
pub fn renew_grant(grant: &Grant, loaded: &SessionLoaded, policy: &Policy) -> Result<Grant, Refusal> {
    let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    check_live(session, account, loaded)?;
    check_active(account, policy)?;
    let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
    Ok(Grant { bearer, rsq: loaded.head.seq, ..grant.clone() })
}

/// Binds the exchanged session to the known device whose token the client has presented, in the same transaction as the
/// exchange if that writes.
#[must_use]
pub fn bind_exchanged(refreshed: Refreshed, session: &Session, presented: Option<DeviceId>) -> Refreshed {
    let Some(device) = presented.filter(|device| session.known_device != Some(*device)) else {
        return refreshed;
    };
    let bind = Change::BindSession { session: session.id, device };
    match refreshed {
        Refreshed::Write { change, grant } => {
            Refreshed::Write { change: Change::Together(vec![change, bind]), grant }
        }
        Refreshed::Answer { grant } => Refreshed::Write { change: bind, grant },
        Refreshed::End { .. } => refreshed,
    }
}

pub(super) fn recheck_generation(
    presented: Generation,
    session: &Session,
    policy: &Policy,
) -> Result<(), Refusal> {
    let spent = presented < session.generation && policy.rotation.blacklist;
    if spent || presented > session.generation { Err(Refusal::TokenRevoked(None)) } else { Ok(()) }
}

/// What a genuine refresh token of a live session gets, by its generation.
pub(super) fn spend(
    presented: Generation,
    session: &Session,
    account: &Account,
    head: &Head,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Refreshed, Refusal> {
    let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
    let rsq = head.seq;
    Ok(match presented.cmp(&session.generation) {
        std::cmp::Ordering::Equal if policy.rotation.rotate => {
            let idle_until = idle_until(session.ends_at, policy, now);
            let after = Session {
                generation: session.generation.next(),
                rotated_at: now,
                idle_until,
                ..session.clone()
            };
            let change =
                Change::Rotate { session: session.id, from: session.generation, rotated_at: now, idle_until };
            Refreshed::Write { change, grant: Grant::of_both(&after, bearer, rsq) }
        }
        std::cmp::Ordering::Equal => Refreshed::Answer { grant: Grant::of_access(session, bearer, rsq) },
        std::cmp::Ordering::Less if forgiven(presented, session, policy, now) => {
            Refreshed::Answer { grant: Grant::of_both(session, bearer, rsq) }
        }
        std::cmp::Ordering::Less => end(session, Reason::Reuse, scopes, now),
        std::cmp::Ordering::Greater => end(session, Reason::Restored, scopes, now),
    })
}

/// Whether a spent token still gets the current one: always where spent tokens aren't blacklisted; else only the
/// immediate parent, within the grace of the rotation that spent it.
fn forgiven(presented: Generation, session: &Session, policy: &Policy, now: Timestamp) -> bool {
    let parent = presented.next() == session.generation;
    !policy.rotation.blacklist || (parent && now.is_within(policy.rotation.grace, session.rotated_at))
}

fn end(session: &Session, reason: Reason, scopes: &ScopeHasher, now: Timestamp) -> Refreshed {
    let end: SessionEnd = session_end(session, &Cause { reason, actor: Actor::Rule }, scopes, now);
    let change = Change::EndSessions { sessions: vec![end], tokens: Vec::new() };
    Refreshed::End { change, refusal: Refusal::TokenRevoked(Some(reason)) }
}
