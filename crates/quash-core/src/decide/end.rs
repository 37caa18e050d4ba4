//! Ending: of a session by its token or by its id, of an account's sessions, of everything. What ends what is the
//! table of the design's section 4.1; each row is one call of a function here.

use crate::model::{
    AccountLoaded, AccountState, Actor, Change, Invalid, Reason, Refusal, Scope, ScopeHasher, SessionEnd, SessionLoaded, SessionState,
    Timestamp,
};
use crate::token::{Authentic, RefreshKey};

use super::cause::{Cause, account_entry, entry, session_end};
use super::refresh::Presented;

/// Ends the session of a refresh token of any genuine generation: log-out by its bearer.
///
/// # Errors
/// The token isn't genuine, or its session isn't live: a second log-out is refused.
pub fn end_presented(
    presented: &Presented,
    loaded: &SessionLoaded,
    secret: &RefreshKey,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<SessionEnd, Refusal> {
    let (session, _) = presented.session(loaded, secret)?;
    Ok(session_end(session.id, &Cause { reason: Reason::LogOut, actor: Actor::Owner }, scopes, now))
}

/// Ends the session of an access token whose signature is good: log-out by its bearer.
///
/// # Errors
/// Its session isn't known or isn't live.
pub fn end_token_session(token: &Authentic, loaded: &SessionLoaded, scopes: &ScopeHasher, now: Timestamp) -> Result<SessionEnd, Refusal> {
    let (_, rsq) = token.place()?;
    if rsq > loaded.head.seq {
        return Err(Invalid::FromTheFuture.into());
    }
    let cause = Cause { reason: Reason::LogOut, actor: Actor::Owner };
    end_session(loaded, &cause, scopes, now)
}

/// Ends a session by its id: by its user or by an operator.
///
/// # Errors
/// It isn't known or isn't live.
pub fn end_session(loaded: &SessionLoaded, cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> Result<SessionEnd, Refusal> {
    let (session, account) = loaded.found.as_ref().ok_or(Invalid::UnknownSession)?;
    if let SessionState::Ended(ending) = &session.state {
        return Err(Refusal::TokenRevoked(Some(ending.reason)));
    }
    if !session.is_live(account, &loaded.head) {
        return Err(Refusal::TokenRevoked(None));
    }
    Ok(session_end(session.id, cause, scopes, now))
}

/// Ends all sessions of an account, and puts it into a state if one is given.
///
/// # Errors
/// There is no such account.
pub fn end_account(
    loaded: &AccountLoaded,
    state: Option<AccountState>,
    cause: &Cause,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Change, Refusal> {
    let account = loaded.account.as_ref().ok_or(Refusal::NoActiveAccount)?;
    let entry = account_entry(account, cause, scopes, now);
    Ok(Change::EndAccount { subject: account.subject.clone(), version: account.version, entry, password: None, state, survivor: None })
}

/// Ends everything issued before.
pub fn end_everything(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> Change {
    Change::EndEverything { entry: entry(&Scope::Everything, cause, scopes, now) }
}
