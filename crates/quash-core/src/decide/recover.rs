//! What ends all sessions of an account but one, or all for the sake of a new password.
//!
//! The session that lives on is moved past the watermark in the same transaction: its `opened_seq`, and the `rsq` of
//! its new tokens, become the number of the entry that ends the others.

use crate::model::{
    Account, AccountEdit, AccountLoaded, Actor, Change, Ends, Event, PasswordHash, Policy, Reason, Refusal, ScopeHasher, Seq, Session,
    SessionLoaded, Survivor, Timestamp,
};
use crate::token::{Bearer, Grant};

use super::cause::{Cause, account_entry};
use super::sign_in::idle_until;

/// The end of an account's other sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survival {
    /// What to write.
    pub change: Change,
    after: Session,
    bearer: Bearer,
}

impl Survival {
    /// What to mint for the session that lives on, once the change got the number `seq`.
    pub fn grant(self, seq: Seq) -> Grant {
        Grant::of_both(&Session { opened_seq: seq, ..self.after }, self.bearer, seq)
    }
}

/// A user changes the password: all other sessions end, this one gets a new pair.
///
/// # Errors
/// This session isn't live.
pub fn change_password(
    loaded: &SessionLoaded,
    password: PasswordHash,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Survival, Refusal> {
    survive(loaded, Some(password), Reason::PasswordChanged, policy, scopes, now)
}

/// A user logs out everywhere else.
///
/// # Errors
/// This session isn't live.
pub fn end_others(loaded: &SessionLoaded, policy: &Policy, scopes: &ScopeHasher, now: Timestamp) -> Result<Survival, Refusal> {
    survive(loaded, None, Reason::LogOutEverywhere, policy, scopes, now)
}

/// A password is reset: all sessions end.
///
/// # Errors
/// There is no such account.
pub fn reset_password(
    loaded: &AccountLoaded,
    password: PasswordHash,
    actor: Actor,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Change, Refusal> {
    let account = loaded.account.as_ref().ok_or(Refusal::NoActiveAccount)?;
    let cause = Cause { reason: Reason::PasswordReset, actor };
    Ok(end_account_with(account, &cause, Some(password), None, scopes, now))
}

fn survive(
    loaded: &SessionLoaded,
    password: Option<PasswordHash>,
    reason: Reason,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Survival, Refusal> {
    let found = loaded.found.as_ref().filter(|(session, account)| session.is_live(account, &loaded.head));
    let (session, account) = found.ok_or(Refusal::TokenRevoked(None))?;
    let idle_until = idle_until(session.ends_at, policy, now);
    let survivor = Survivor { session: session.id, generation: session.generation, rotated_at: now, idle_until };
    let cause = Cause { reason, actor: Actor::Owner };
    let with_password = Account { password: password.clone().or(account.password.clone()), ..account.clone() };
    let bearer = Bearer::of(&with_password, &session.claims, &policy.tokens.names)?;
    let change = end_account_with(account, &cause, password, Some(survivor), scopes, now);
    let after = Session { generation: session.generation.next(), rotated_at: now, idle_until, ..session.clone() };
    Ok(Survival { change, after, bearer })
}

fn end_account_with(
    account: &Account,
    cause: &Cause,
    password: Option<PasswordHash>,
    survivor: Option<Survivor>,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Change {
    let event = match cause.reason {
        Reason::PasswordChanged => Event::PasswordChanged,
        Reason::PasswordReset => Event::PasswordReset,
        _ => Event::SessionsEnded,
    };
    let mut edit = AccountEdit::ending(account, event, account_entry(account, cause, scopes, now));
    // A new password is one for everything.
    edit.fields.must_change = password.as_ref().and(account.must_change).map(|_| None);
    edit.fields.password = password.map(Some);
    if let Ends::Sessions { survivor: lives_on, .. } = &mut edit.ends {
        *lives_on = survivor;
    }
    Change::EditAccount(Box::new(edit))
}
