//! Causes of an end, and the log entries that record them. The other modules of `decide/` decide what ends.

use crate::model::{
    Account, Actor, Keep, Kid, NewEntry, Reason, Scope, ScopeHasher, ScopeKey, ScopeKind, Session,
    SessionEnd, Timestamp,
};

/// The reason for the end of a session, token or key, with its actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    pub reason: Reason,
    pub actor: Actor,
}

pub(super) fn account_entry(
    account: &Account,
    cause: &Cause,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> NewEntry {
    entry(ScopeKind::Subject, scopes.account(account), Keep::Longest, cause, now)
}

/// Returns the end of a session. The token of another issuer that opened the session ends with it: a sliding
/// token would otherwise stay valid for requests.
pub(super) fn session_end(
    session: &Session,
    cause: &Cause,
    scopes: &ScopeHasher,
    now: Timestamp,
) -> SessionEnd {
    SessionEnd {
        session: session.id,
        subject: session.subject.clone(),
        entry: entry(ScopeKind::Session, scopes.key(&Scope::Session(session.id)), Keep::Longest, cause, now),
        adopted: session.adopted.map(|adopted| token_entry(adopted.key, adopted.until, cause, now)),
    }
}

/// Returns an entry for one token of another issuer, which is kept until the token expires.
pub(super) fn token_entry(key: ScopeKey, until: Timestamp, cause: &Cause, now: Timestamp) -> NewEntry {
    entry(ScopeKind::Token, key, Keep::Until(until), cause, now)
}

/// Returns an entry for a session of a namespace, which is kept until the last of its tokens has expired.
pub(super) fn named_session_entry(
    key: ScopeKey,
    until: Timestamp,
    cause: &Cause,
    now: Timestamp,
) -> NewEntry {
    entry(ScopeKind::Session, key, Keep::Until(until), cause, now)
}

pub(super) fn everything_entry(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> NewEntry {
    entry(ScopeKind::Everything, scopes.key(&Scope::Everything), Keep::Longest, cause, now)
}

/// Returns an entry for every token that a key has signed. It is kept forever: an attacker with the key can
/// sign new tokens at any time.
pub(super) fn key_entry(kid: &Kid, cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> NewEntry {
    entry(ScopeKind::Key, scopes.key(&Scope::Key(kid.clone())), Keep::Forever, cause, now)
}

fn entry(kind: ScopeKind, key: ScopeKey, keep: Keep, cause: &Cause, now: Timestamp) -> NewEntry {
    NewEntry { kind, key, keep, reason: cause.reason, at: now, until: None, actor: cause.actor.clone() }
}
