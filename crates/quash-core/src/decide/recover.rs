//! What ends all sessions of an account but one, or all for the sake of a new password.
//!
//! The session that lives on is moved past the watermark in the same transaction: its `opened_seq`, and the `rsq` of
//! its new tokens, become the number of the entry that ends the others.

use crate::model::{
    Account, AccountFields, AccountLoaded, Actor, Change, Ends, PasswordHash, Policy, Refusal, Road, ScopeHasher, Seq, Session,
    SessionLoaded, Survivor, Timestamp,
};
use crate::token::{Bearer, Grant};

use super::account::edit_account;
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
    survive(loaded, Some(password), Road::PasswordChanged, policy, scopes, now)
}

/// A user logs out everywhere else.
///
/// # Errors
/// This session isn't live.
pub fn end_others(loaded: &SessionLoaded, policy: &Policy, scopes: &ScopeHasher, now: Timestamp) -> Result<Survival, Refusal> {
    survive(loaded, None, Road::LogOutElsewhere, policy, scopes, now)
}

/// A password is reset: all sessions end.
///
/// # Errors
/// There is no such account.
pub fn reset_password(
    loaded: &AccountLoaded,
    password: PasswordHash,
    actor: Actor,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Change, Refusal> {
    let account = loaded.account.as_ref().ok_or(Refusal::NoActiveAccount)?;
    let fields = AccountFields { password: Some(Some(password)), ..AccountFields::default() };
    Ok(Change::EditAccount(Box::new(edit_account(account, Road::PasswordReset, fields, actor.into(), policy, scopes, now))))
}

fn survive(
    loaded: &SessionLoaded,
    password: Option<PasswordHash>,
    road: Road,
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Result<Survival, Refusal> {
    let found = loaded.found.as_ref().filter(|(session, account)| session.is_live(account, &loaded.head));
    let (session, account) = found.ok_or(Refusal::TokenRevoked(None))?;
    let idle_until = idle_until(session.ends_at, policy, now);
    let survivor = Survivor { session: session.id, generation: session.generation, rotated_at: now, idle_until };
    let with_password = Account { password: password.clone().or(account.password.clone()), ..account.clone() };
    let bearer = Bearer::of(&with_password, &session.claims, &policy.tokens.names)?;
    let fields = AccountFields { password: password.map(Some), ..AccountFields::default() };
    let mut edit = edit_account(account, road, fields, Actor::Owner.into(), policy, scopes, now);
    if let Ends::Sessions { survivor: lives_on, .. } = &mut edit.ends {
        *lives_on = Some(survivor);
    }
    let change = Change::EditAccount(Box::new(edit));
    let after = Session { generation: session.generation.next(), rotated_at: now, idle_until, ..session.clone() };
    Ok(Survival { change, after, bearer })
}
