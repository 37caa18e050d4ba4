//! Why something ends, and the entry of the log that says so. What ends is decided next door.

use crate::model::{
    Account, Actor, Keep, Kid, NewEntry, Reason, Scope, ScopeHasher, ScopeKey, ScopeKind, Session,
    SessionEnd, Timestamp,
};

/// Why something ends, and who wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// Why.
    pub reason: Reason,
    /// Who.
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

/// The end of a session. The token of another issuer that opened it dies with it: as a sliding token it would go on
/// opening doors.
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

/// An entry over one token of another issuer, which is remembered until it expires.
pub(super) fn token_entry(key: ScopeKey, until: Timestamp, cause: &Cause, now: Timestamp) -> NewEntry {
    entry(ScopeKind::Token, key, Keep::Until(until), cause, now)
}

pub(super) fn everything_entry(cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> NewEntry {
    entry(ScopeKind::Everything, scopes.key(&Scope::Everything), Keep::Longest, cause, now)
}

/// An entry over all that a key has signed. It is never forgotten: whoever has the key can sign tomorrow.
pub(super) fn key_entry(kid: &Kid, cause: &Cause, scopes: &ScopeHasher, now: Timestamp) -> NewEntry {
    entry(ScopeKind::Key, scopes.key(&Scope::Key(kid.clone())), Keep::Forever, cause, now)
}

fn entry(kind: ScopeKind, key: ScopeKey, keep: Keep, cause: &Cause, now: Timestamp) -> NewEntry {
    NewEntry { kind, key, keep, reason: cause.reason, at: now, actor: cause.actor.clone() }
}
