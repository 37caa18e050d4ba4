//! Ends one session, by its token or by its id, or everything. Changes to accounts are in
//! `decide/account.rs`; the table of end causes is in `model/end_cause.rs`.

use crate::model::{
    Actor, Change, ForeignLoaded, Invalid, NewEntry, Policy, Reason, Refusal, ScopeHasher, SessionEnd,
    SessionLoaded, Timestamp,
};
use crate::token::{Authentic, RefreshKey, TokenType};

use super::cause::{Cause, everything_entry, session_end, token_entry};
use super::foreign::{adopted, check_current, refusal_of_revoked};
use super::presented::{PresentedForeign, PresentedRefresh, check_live, check_sliding_id};

/// The end caused by a log-out with a token of another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForeignEnd {
    /// Ends the session that the token has opened.
    Session(SessionEnd),
    /// Revokes the token itself: it can't open a session any more.
    Token(NewEntry),
}

/// Ends the session of a genuine refresh token of any generation, when its bearer logs out.
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

/// Ends the session of a token of another issuer, or the token itself, when its bearer logs out. The token's
/// user needn't have an account here.
///
/// # Errors
/// The token has been revoked, or its session isn't live: a second log-out is refused.
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
            Err(_) => Err(refusal_of_revoked(presented, loaded, policy)),
        },
    }
}

/// Ends the session of an access or sliding token with a good signature, when its bearer logs out. A sliding
/// token comes without a refresh token, so its id must be genuine, too.
///
/// # Errors
/// The session isn't known or isn't live.
pub fn end_token_session(
    token: &Authentic,
    loaded: &SessionLoaded,
    secret: &RefreshKey,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionEnd, Refusal> {
    let (_, rsq) = token.session_and_rsq()?;
    if rsq > loaded.head.seq {
        return Err(Invalid::FromTheFuture.into());
    }
    if token.claims().token_type == Some(TokenType::Sliding) {
        check_sliding_id(token, loaded, secret)?;
    }
    end_session(loaded, &log_out(), scopes, now)
}

/// Ends a session by its id, for its user or an operator.
///
/// # Errors
/// The session isn't known or isn't live.
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

/// Ends every session and token issued before now.
pub fn end_everything(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> Change {
    Change::EndEverything { entry: everything_entry(cause, scopes, now) }
}

/// Ends the access tokens issued before now, but not their sessions: clients get new ones with their next
/// refresh.
pub fn renew_everything(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> Change {
    Change::Revoke { entry: everything_entry(cause, scopes, now) }
}

/// Returns the entry that revokes an access or sliding token of another issuer, when its bearer logs out.
pub fn log_out_entry(token: &PresentedForeign, now: Timestamp) -> NewEntry {
    token_entry(token.key, token.expires_at, &log_out(), now)
}

fn log_out() -> Cause {
    Cause { reason: Reason::LogOut, actor: Actor::Owner }
}
