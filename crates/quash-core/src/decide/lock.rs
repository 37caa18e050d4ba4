//! Locks an account after failed attempts. `quash-service` counts the attempts and decides when to lock.

use std::time::Duration;

use crate::model::{
    Account, AccountFields, AccountState, AccountStatus, Actor, Change, EndCause, EndScope, LockoutPolicy,
    Policy, ScopeHasher, Session, Timestamp,
};

use super::account::edit_ending;
use super::cause::{Cause, session_end};

/// Returns the length of the next lock after `locks` others since the last successful sign-in. Each is twice as
/// long as the one before, up to the longest.
pub fn lock_span(locks: u32, policy: &LockoutPolicy) -> Duration {
    let doubled = 2_u32.checked_pow(locks).and_then(|times| policy.first_lock.checked_mul(times));
    doubled.unwrap_or(policy.longest_lock).min(policy.longest_lock)
}

/// Locks an account, and ends the scope that the table says. `live` are the account's live sessions, needed
/// where only unbound ones end. Returns `None` for an account that is already locked or deactivated.
///
/// If no session is bound, one watermark ends all of them, and the tokens that other issuers have signed for
/// the account.
pub fn lock_account(
    account: &Account,
    live: &[Session],
    policy: &Policy,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<Change> {
    if matches!(account.status(now), AccountStatus::Locked | AccountStatus::Deactivated) {
        return None;
    }
    let until = now + lock_span(account.locks, &policy.lockout);
    let fields = AccountFields {
        state: Some(AccountState::Locked { since: now, until }),
        locks: Some(account.locks.saturating_add(1)),
        ..AccountFields::default()
    };
    let (unbound, bound): (Vec<_>, Vec<_>) = live.iter().partition(|session| is_unbound(session, account));
    let scope = match EndCause::Locked.ends(policy) {
        EndScope::Unbound if bound.is_empty() => EndScope::Sessions,
        scope => scope,
    };
    let edit = edit_ending(scope, account, EndCause::Locked, fields, Actor::Rule.into(), scopes, now);
    let edit = Change::EditAccount(Box::new(edit));
    if scope != EndScope::Unbound || unbound.is_empty() {
        return Some(edit);
    }
    Some(Change::Together(vec![edit, ends(unbound, scopes, now)]))
}

/// Ends the unbound sessions of a locked account that [`lock_account`] didn't know of: a sign-in that was decided on
/// before the lock opened them. Once the lock is written, only known devices open sessions. Returns `None` if there are
/// none.
pub fn end_unbound(
    account: &Account,
    live: &[Session],
    scopes: &ScopeHasher,
    now: Timestamp,
) -> Option<Change> {
    let is_locked = account.status(now) == AccountStatus::Locked;
    let unbound: Vec<_> = live.iter().filter(|session| is_locked && is_unbound(session, account)).collect();
    (!unbound.is_empty()).then(|| ends(unbound, scopes, now))
}

fn ends(unbound: Vec<&Session>, scopes: &ScopeHasher, now: Timestamp) -> Change {
    let locked = Cause { reason: EndCause::Locked.row().reason, actor: Actor::Rule };
    let sessions = unbound.into_iter().map(|session| session_end(session, &locked, scopes, now)).collect();
    Change::EndSessions { sessions, tokens: Vec::new() }
}

/// Returns whether the session isn't bound to a device that the account is still known on.
fn is_unbound(session: &Session, account: &Account) -> bool {
    session.known_device.is_none_or(|device| !account.devices.contains(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_double_up_to_the_longest() {
        let policy = LockoutPolicy::default();
        let minutes = |locks| lock_span(locks, &policy).as_secs() / 60;
        assert_eq!([0, 1, 2, 5, 6, 31, 32, u32::MAX].map(minutes), [1, 2, 4, 32, 60, 60, 60, 60]);
        let never_longer = LockoutPolicy {
            first_lock: Duration::from_secs(60),
            longest_lock: Duration::from_secs(30),
            ..policy
        };
        assert_eq!(lock_span(0, &never_longer), Duration::from_secs(30));
    }
}
