//! Revocations in the namespace of another issuer.

use crate::model::{
    Actor, EndCause, Entry, Keep, NamesRevocation, Namespace, NewEntry, Reason, ScopeHasher, ScopeKey,
    ScopeKind, Seq, Timestamp,
};

/// An item of a request that revokes in a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameRevocation {
    pub name: RevokedName,
    /// The time of the event, if it is reported late.
    pub before: Option<Timestamp>,
    /// The expiry of the session or token.
    pub expires_at: Option<Timestamp>,
    pub reason: Reason,
}

impl NameRevocation {
    /// Revokes a name now, for the reason in the table of end causes.
    pub const fn now(name: RevokedName) -> Self {
        let reason = name.cause().row().reason;
        Self { name, before: None, expires_at: None, reason }
    }
}

/// The tokens that an item revokes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RevokedName {
    Session(String),
    Token(String),
    /// The tokens of a user issued before.
    Subject(String),
    /// All tokens issued before.
    Everything,
}

impl RevokedName {
    /// The row in the table of end causes.
    pub const fn cause(&self) -> EndCause {
        match self {
            Self::Session(_) => EndCause::NamespaceSessionRevoked,
            Self::Token(_) => EndCause::NamespaceTokenRevoked,
            Self::Subject(_) => EndCause::NamespaceSubjectRevoked,
            Self::Everything => EndCause::NamespaceRevoked,
        }
    }

    /// The scope that the item's entry has.
    pub fn scope(&self, namespace: &Namespace, ours: &ScopeHasher) -> (ScopeKind, ScopeKey) {
        let namespace = namespace.name.as_str();
        match self {
            Self::Session(name) => (ScopeKind::Session, ours.key_in(namespace, ScopeKind::Session, name)),
            Self::Token(name) => (ScopeKind::Token, ours.key_in(namespace, ScopeKind::Token, name)),
            Self::Subject(name) => (ScopeKind::Subject, ours.user_id_in(namespace, name)),
            Self::Everything => (ScopeKind::Client, ours.everything_in(namespace)),
        }
    }
}

/// Returns the entries of a request, and the newest number of the known entries that make others unnecessary.
/// A session or token is revoked once; a watermark is written each time. `known` are the log's entries of the
/// items' scopes.
pub fn revoke_names(
    items: &[NameRevocation],
    known: &[Entry],
    namespace: &Namespace,
    ours: &ScopeHasher,
    actor: &Actor,
    now: Timestamp,
) -> (NamesRevocation, Option<Seq>) {
    let (mut entries, mut newest_known) = (Vec::<NewEntry>::with_capacity(items.len()), None);
    let longest = now + namespace.max_lifetime;
    for item in items {
        let (kind, key) = item.name.scope(namespace, ours);
        // No token lives longer, so the log needn't remember more.
        let until = item.expires_at.unwrap_or(longest).min(longest);
        if kind.is_presence() {
            let needed = item.expires_at.map_or(now, |_| until);
            let lasts = |entry: &&Entry| {
                entry.key == key && entry.drop_after.is_none_or(|drop_after| drop_after > needed)
            };
            if let Some(entry) = known.iter().rfind(lasts) {
                newest_known = newest_known.max(Some(entry.seq));
                continue;
            }
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) {
                entry.keep = longer(entry.keep, until);
                continue;
            }
        }
        entries.push(NewEntry {
            kind,
            key,
            keep: Keep::Until(if kind.is_presence() { until } else { longest }),
            reason: item.reason,
            at: now,
            until: item.before.filter(|_| !kind.is_presence()).map(|before| before.min(now)),
            actor: actor.clone(),
        });
    }
    let first = items.first().map(|item| item.reason);
    let reason = first.filter(|first| items.iter().all(|item| item.reason == *first));
    let revocation = NamesRevocation {
        namespace: namespace.name.clone(),
        reason: reason.unwrap_or(Reason::Revoked),
        actor: actor.clone(),
        at: now,
        entries,
    };
    (revocation, newest_known)
}

fn longer(keep: Keep, until: Timestamp) -> Keep {
    match keep {
        Keep::Until(already) => Keep::Until(already.max(until)),
        Keep::Longest | Keep::Forever => keep,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Change, NamespaceClaims, NewAudit};

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn shop() -> Namespace {
        Namespace {
            name: "shop".into(),
            max_lifetime: Duration::from_secs(100),
            accepted: Vec::new(),
            claims: NamespaceClaims::default(),
        }
    }

    fn item(name: RevokedName) -> NameRevocation {
        NameRevocation { reason: Reason::LogOut, ..NameRevocation::now(name) }
    }

    fn decide(items: &[NameRevocation], known: &[Entry]) -> (NamesRevocation, Option<Seq>) {
        revoke_names(items, known, &shop(), &ScopeHasher::ours([1; 16]), &Actor::Operator, NOW)
    }

    fn known(new: &NewEntry, drop_after: i64) -> Entry {
        Entry {
            seq: Seq::start_of(1).next(),
            kind: new.kind,
            key: new.key,
            drop_after: Some(Timestamp::from_secs(drop_after)),
            reason: new.reason,
            at: new.at,
            until: None,
            actor: new.actor.clone(),
            chain: [0; 32],
        }
    }

    #[test]
    fn sessions_and_tokens_are_written_once() {
        let session = item(RevokedName::Session("a".into()));
        let (first, none) = decide(&[session.clone(), session.clone()], &[]);
        assert_eq!((first.entries.len(), none), (1, None));
        let already = known(&first.entries[0], 1_001);
        let (again, newest) = decide(std::slice::from_ref(&session), std::slice::from_ref(&already));
        assert_eq!((again.entries.len(), newest), (0, Some(already.seq)));
        let longer = NameRevocation { expires_at: Some(Timestamp::from_secs(1_050)), ..session };
        assert_eq!(
            decide(std::slice::from_ref(&longer), &[already]).0.entries.len(),
            1,
            "forgotten too early"
        );
        assert_eq!(decide(&[longer], &[known(&first.entries[0], 1_051)]).0.entries.len(), 0);
    }

    #[test]
    fn entries_are_those_of_the_table() {
        let names = [
            RevokedName::Session("a".into()),
            RevokedName::Token("b".into()),
            RevokedName::Subject("17".into()),
            RevokedName::Everything,
        ];
        for name in names {
            let row = name.cause().row();
            let (revocation, _) = decide(&[NameRevocation::now(name)], &[]);
            let [entry] = revocation.entries.as_slice() else { panic!("{row:?}: {revocation:?}") };
            assert_eq!((Some(entry.kind), entry.reason), (row.ends.scope(), row.reason), "{row:?}");
            let audit = NewAudit::of(&Change::RevokeNames(Box::new(revocation)));
            assert_eq!(audit.iter().map(|audit| Some(audit.event)).collect::<Vec<_>>(), [row.event]);
        }
    }

    #[test]
    fn watermarks_are_written_each_time() {
        let items = [item(RevokedName::Subject("17".into())), item(RevokedName::Everything)];
        let (first, _) = decide(&items, &[]);
        let already: Vec<_> = first.entries.iter().map(|new| known(new, 9_999)).collect();
        assert_eq!(decide(&items, &already).0.entries.len(), 2);
    }

    #[test]
    fn entries_are_kept_for_the_longest_lifetime_at_most() {
        let keep = |name, expires_at: Option<i64>| {
            let item = NameRevocation { expires_at: expires_at.map(Timestamp::from_secs), ..item(name) };
            decide(&[item], &[]).0.entries[0].keep
        };
        let until = |secs| Keep::Until(Timestamp::from_secs(secs));
        let token = || RevokedName::Token("b".into());
        assert_eq!(keep(token(), None), until(1_100));
        assert_eq!(keep(token(), Some(1_050)), until(1_050));
        assert_eq!(keep(token(), Some(9_999)), until(1_100));
        assert_eq!(keep(RevokedName::Everything, Some(1_050)), until(1_100), "it covers many tokens");
    }

    #[test]
    fn only_watermarks_have_the_time_of_a_late_event() {
        let until = |name| {
            let item = NameRevocation { before: Some(Timestamp::from_secs(900)), ..item(name) };
            decide(&[item], &[]).0.entries[0].until
        };
        assert_eq!(until(RevokedName::Subject("17".into())), Some(Timestamp::from_secs(900)));
        assert_eq!(until(RevokedName::Session("a".into())), None);
        let early =
            NameRevocation { before: Some(NOW + Duration::from_secs(9)), ..item(RevokedName::Everything) };
        assert_eq!(decide(&[early], &[]).0.entries[0].until, Some(NOW));
    }

    #[test]
    fn the_audit_names_a_common_reason() {
        let reason = |reasons: &[Reason]| {
            let items: Vec<_> = reasons
                .iter()
                .map(|reason| NameRevocation { reason: *reason, ..item(RevokedName::Everything) })
                .collect();
            decide(&items, &[]).0.reason
        };
        assert_eq!(reason(&[Reason::LogOut, Reason::LogOut]), Reason::LogOut);
        assert_eq!(reason(&[Reason::LogOut, Reason::Locked]), Reason::Revoked);
    }
}
