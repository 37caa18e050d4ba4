//! Ends one session, by its token or by its id, or everything. Changes to accounts are in
//! `decide/account.rs`; the table of end causes is in `model/log/end_cause.rs`.

use std::time::Duration;

use crate::model::{
    Account, AccountEdit, Actor, Change, EndCause, ForeignLoaded, Head, Invalid, NewEntry, Policy, Reason,
    Refusal, ScopeHasher, Session, SessionEnd, SessionLoaded, Timestamp,
};
use crate::token::{Authentic, RefreshKey, TokenType};

use super::account::edit_account;
use super::cause::{Cause, everything_entry, named_session_entry, session_end, token_entry};
use super::foreign::{adopted, check_current, refusal_of_revoked};
use super::presented::{PresentedForeign, PresentedRefresh, check_live, check_sliding_id};

/// The end caused by a log-out with a token of another issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForeignEnd {
    /// Ends the session that the token has opened.
    Session(SessionEnd),
    /// Revokes the token itself, or its session in a namespace: it can't open a session any more.
    Token(NewEntry),
}

/// The inaccuracy of the time of an event that is reported late: the clocks of its reporter and of quash may
/// differ by this much.
const LATE_LEEWAY: Duration = Duration::from_secs(5);

/// The end of an account's sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccountEnd {
    /// All of them, by a watermark.
    All(Box<AccountEdit>),
    /// Those that were opened before the event.
    Older(Vec<SessionEnd>),
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
            Ok(()) => Ok(ForeignEnd::Token(log_out_entry(presented, now))),
            Err(_) => Err(refusal_of_revoked(presented, loaded, policy)),
        },
    }
}

/// Ends the session of an access or sliding token with a valid signature, when its bearer logs out. A sliding
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

/// Ends the sessions of an account for a client. Those opened after `before`, the time of an event that is
/// reported late, stay. `live` are the account's live sessions.
#[expect(
    clippy::too_many_arguments,
    reason = "each is an input of the decision; a struct would only hide them"
)]
pub fn end_account(
    account: &Account,
    live: &[Session],
    cause: EndCause,
    before: Option<Timestamp>,
    actor: &Actor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> AccountEnd {
    let is_older = |session: &&Session| before.is_none_or(|before| session.opened_at <= before + LATE_LEEWAY);
    let older: Vec<_> = live.iter().filter(is_older).collect();
    if older.len() == live.len() {
        let (fields, by) = (Default::default(), actor.clone().into());
        let edit = edit_account(account, cause, fields, by, policy, scopes, now);
        return AccountEnd::All(Box::new(edit));
    }
    let cause = Cause { reason: cause.row().reason, actor: actor.clone() };
    AccountEnd::Older(older.into_iter().map(|session| session_end(session, &cause, scopes, now)).collect())
}

/// Ends every session and token issued before now.
pub fn end_everything(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> Change {
    Change::EndEverything { entry: everything_entry(cause, scopes, now) }
}

/// Applies settings that define tokens. With `renews`, ends the access tokens issued before now, but not their
/// sessions: clients get new ones with their next refresh.
pub fn apply_settings(
    head: &Head,
    values: Vec<(&'static str, String)>,
    renews: Option<&Cause>,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Change {
    let entry = renews.map(|cause| everything_entry(cause, scopes, now));
    Change::ApplySettings { from: head.settings, values, entry }
}

/// Returns the entry that revokes a token of another issuer, when its bearer logs out. If the token names its
/// session in a namespace, the entry covers all tokens of the session.
pub fn log_out_entry(token: &PresentedForeign, now: Timestamp) -> NewEntry {
    match token.session {
        Some((session, longest)) => named_session_entry(session, now + longest, &log_out(), now),
        None => token_entry(token.key, token.expires_at, &log_out(), now),
    }
}

fn log_out() -> Cause {
    Cause { reason: Reason::LogOut, actor: Actor::Owner }
}
