//! Ending: of a session by its token or by its id, of everything. What becomes of accounts is decided next door; what
//! ends what is the table of `model/road.rs`.

use crate::model::{
    Actor, Change, ForeignLoaded, Invalid, NewEntry, Policy, Reason, Refusal, ScopeHasher, SessionEnd,
    SessionLoaded, Timestamp,
};
use crate::token::{Authentic, RefreshKey, TokenType};

use super::cause::{Cause, everything_entry, session_end, token_entry};
use super::foreign::{adopted, check_current, why_dead};
use super::presented::{PresentedForeign, PresentedRefresh, check_live, check_sliding_id};

/// The end of what a token of another issuer stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForeignEnd {
    /// Of the session that it has opened.
    Session(SessionEnd),
    /// Of itself: it will open none.
    Token(NewEntry),
}

/// Ends the session of a refresh token of any genuine generation: log-out by its bearer.
///
/// # Errors
/// The token isn't genuine, or its session isn't live: a second log-out is refused.
pub fn end_presented(
    presented: &PresentedRefresh,
    loaded: &SessionLoaded,
    secret: &RefreshKey,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionEnd, Refusal> {
    let (session, _) = presented.session(loaded, secret)?;
    Ok(session_end(session, &log_out(), scopes, now))
}

/// Ends what a token of another issuer stands for: log-out by its bearer. It needn't be of an account of ours.
///
/// # Errors
/// It has been revoked, or its session isn't live: a second log-out is refused.
pub fn end_foreign(
    presented: &PresentedForeign,
    loaded: &ForeignLoaded,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<ForeignEnd, Refusal> {
    match adopted(presented, loaded, policy)? {
        Some((session, _)) => Ok(ForeignEnd::Session(session_end(session, &log_out(), scopes, now))),
        None => match check_current(presented, loaded) {
            Ok(()) => {
                Ok(ForeignEnd::Token(token_entry(presented.key, presented.expires_at, &log_out(), now)))
            }
            Err(_) => Err(why_dead(presented, loaded, policy)),
        },
    }
}

/// Ends the session of an access or sliding token whose signature is good: log-out by its bearer. A sliding token comes
/// alone, so its id must be genuine, too.
///
/// # Errors
/// Its session isn't known or isn't live.
pub fn end_token_session(
    token: &Authentic,
    loaded: &SessionLoaded,
    secret: &RefreshKey,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionEnd, Refusal> {
    let (_, rsq) = token.place()?;
    if rsq > loaded.head.seq {
        return Err(Invalid::FromTheFuture.into());
    }
    if token.claims().token_type == Some(TokenType::Sliding) {
        check_sliding_id(token, loaded, secret)?;
    }
    end_session(loaded, &log_out(), scopes, now)
}

/// Ends a session by its id: by its user or by an operator.
///
/// # Errors
/// It isn't known or isn't live.
pub fn end_session(
    loaded: &SessionLoaded,
    cause: &Cause,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionEnd, Refusal> {
    let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    check_live(session, account, loaded)?;
    Ok(session_end(session, cause, scopes, now))
}

/// Ends everything issued before.
pub fn end_everything(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> Change {
    Change::EndEverything { entry: everything_entry(cause, scopes, now) }
}

/// Ends the access tokens issued before, and leaves their sessions: clients get new ones with their next refresh.
pub fn renew_everything(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> Change {
    Change::Revoke { entry: everything_entry(cause, scopes, now) }
}

/// The entry over a token of another issuer that opens doors: log-out by its bearer.
pub fn log_out_entry(token: &PresentedForeign, now: Timestamp) -> NewEntry {
    token_entry(token.key, token.expires_at, &log_out(), now)
}

fn log_out() -> Cause {
    Cause { reason: Reason::LogOut, actor: Actor::Owner }
}
