//! Why something ends, and the entry of the log that says so. What ends is decided next door.

use crate::model::{Account, Actor, Keep, NewEntry, Reason, Scope, ScopeHasher, SessionEnd, SessionId, Timestamp};

/// Why something ends, and who wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// Why.
    pub reason: Reason,
    /// Who.
    pub actor: Actor,
}

pub(super) fn account_entry(account: &Account, cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> NewEntry {
    entry(&Scope::Subject(account.subject.clone()), cause, scopes, now)
}

pub(super) fn session_end(session: SessionId, cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> SessionEnd {
    SessionEnd { session, entry: entry(&Scope::Session(session), cause, scopes, now) }
}

pub(super) fn entry(scope: &Scope, cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> NewEntry {
    NewEntry { kind: scope.kind(), key: scopes.key(scope), keep: Keep::Longest, reason: cause.reason, at: now, actor: cause.actor.clone() }
}
