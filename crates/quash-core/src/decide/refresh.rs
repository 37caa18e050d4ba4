//! Rotation: decides on a refresh token that is presented for the first time, again or out of order.

use crate::model::{
    Account, Actor, Change, DeviceId, Generation, Head, HeadVersions, Invalid, Policy, Reason, Refusal,
    ScopeHasher, Session, SessionEnd, SessionLoaded, Timestamp,
};
use crate::token::{Bearer, Grant, RefreshKey};

use super::cause::{Cause, session_end};
use super::presented::{PresentedRefresh, check_active, check_live};
use super::sign_in::idle_until;

/// The outcome of a refresh.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refreshed {
    /// A new generation: write the change, then mint the grant.
    Write {
        change: Change,
        /// The tokens to mint once the change is written.
        grant: Grant,
    },
    /// No change: mint the grant.
    Answer { grant: Grant },
    /// The session or token ends: write the change, then refuse.
    End { change: Change, refusal: Refusal },
}

/// Exchanges a refresh token.
///
/// # Errors
/// The token isn't genuine, or its session or account can't be used.
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

/// Checks a refresh token without consequences: for `verify`.
///
/// # Errors
/// The refusal that a refresh would give; a spent token counts as revoked.
pub fn recheck_presented(
    presented: &PresentedRefresh,
    loaded: &SessionLoaded,
    policy: &Policy,
    secret: &RefreshKey,
) -> Result<(), Refusal> {
    let (session, _) = presented.session(loaded, secret)?;
    recheck_generation(presented.generation, session, policy)
}

/// Renews a grant as of now: an event may have covered the tokens granted a moment ago, but not ended their
/// session.
///
/// # Errors
/// The session isn't live any more.
pub fn renew_grant(grant: &Grant, loaded: &SessionLoaded, policy: &Policy) -> Result<Grant, Refusal> {
    let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    check_live(session, account, loaded)?;
    check_active(account, policy)?;
    let bearer = Bearer::of(account, &session.claims, &policy.tokens.names)?;
    let HeadVersions { seq: rsq, ring, settings } = loaded.head.versions();
    Ok(Grant { bearer, rsq, ring, settings, ..grant.clone() })
}

/// Binds the exchanged session to the known device whose token the client has presented. If the exchange
/// writes, the binding is part of its transaction.
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

/// Exchanges a genuine refresh token of a live session, by its generation.
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
    let versions = head.versions();
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
            Refreshed::Write { change, grant: Grant::of_both(&after, bearer, versions) }
        }
        std::cmp::Ordering::Equal => Refreshed::Answer { grant: Grant::of_access(session, bearer, versions) },
        std::cmp::Ordering::Less if forgiven(presented, session, policy, now) => {
            Refreshed::Answer { grant: Grant::of_both(session, bearer, versions) }
        }
        std::cmp::Ordering::Less => end(session, Reason::Reuse, scopes, now),
        std::cmp::Ordering::Greater => end(session, Reason::Restored, scopes, now),
    })
}

/// Returns whether a spent token still gets the current one: always where spent tokens aren't blacklisted,
/// else only the immediate parent within the grace of the rotation that spent it.
fn forgiven(presented: Generation, session: &Session, policy: &Policy, now: Timestamp) -> bool {
    let parent = presented.next() == session.generation;
    let (grace, ahead) = (policy.rotation.grace, policy.tokens.signers_ahead);
    // Another node may have rotated it, by a clock that is ahead. With one that is behind, the grace isn't longer: a thief
    // would have more time, too.
    let is_in_grace = !grace.is_zero() && now.is_within(grace + ahead, session.rotated_at - ahead);
    !policy.rotation.blacklist || (parent && is_in_grace)
}

fn end(session: &Session, reason: Reason, scopes: &ScopeHasher, now: Timestamp) -> Refreshed {
    let end: SessionEnd = session_end(session, &Cause { reason, actor: Actor::Rule }, scopes, now);
    let change = Change::EndSessions { sessions: vec![end], tokens: Vec::new() };
    Refreshed::End { change, refusal: Refusal::TokenRevoked(Some(reason)) }
}
