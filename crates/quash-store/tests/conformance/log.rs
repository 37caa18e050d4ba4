//! The log: its numbers, its chain, its retention and its pruning.

use std::time::Duration;

use quash_core::model::{
    Actor, Change, Event, Forgotten, Keep, NamesRevocation, NewEntry, Reason, Receipt, ScopeKey, ScopeKind,
    Seq, Timestamp, limits,
};
use quash_core::watch::feed;
use quash_store::Store;

use crate::support::*;

pub(crate) async fn numbers_are_gapless_and_chained(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, Change::Revoke { entry: entry(ScopeKind::Token, 5) }).await;
    conflict(store, ends(vec![end(1), end(9)])).await;
    commit(store, ends(vec![end(1), end(2)])).await;
    conflict(store, end_account("dana", 5, None)).await;
    commit(store, end_account("dana", 1, None)).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 9) }).await;
    let head = store.head().await.expect("a head");
    let entries = store.entries_after(Seq::ZERO, 100).await.expect("entries");
    assert_eq!(entries.len(), 5);
    let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
    for entry in &entries {
        feed::follows(seq, &chain, entry).expect("the next entry");
        (seq, chain) = (entry.seq, entry.chain);
    }
    assert_eq!((seq, chain), (head.seq, head.chain));
}

fn names(entries: Vec<NewEntry>) -> Change {
    Change::RevokeNames(Box::new(NamesRevocation {
        namespace: "shop".into(),
        reason: Reason::LogOut,
        actor: Actor::Operator,
        at: at(9),
        entries,
    }))
}

pub(crate) async fn names_are_revoked_together(store: &dyn Store) {
    let late = NewEntry { until: Some(at(-5)), ..entry(ScopeKind::Subject, 5) };
    let written = vec![entry(ScopeKind::Session, 4), late, entry(ScopeKind::Subject, 5)];
    let receipt = commit(store, names(written)).await;
    let head = store.head().await.expect("a head");
    assert_eq!(receipt, Receipt { seq: Some(head.seq), pruned: 0 });
    let entries = store.entries_after(Seq::ZERO, 9).await.expect("entries");
    assert_eq!(entries.iter().map(|entry| entry.until).collect::<Vec<_>>(), [None, Some(at(-5)), None]);
    let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
    for entry in &entries {
        feed::follows(seq, &chain, entry).expect("the next entry");
        (seq, chain) = (entry.seq, entry.chain);
    }
    assert_eq!(commit(store, names(Vec::new())).await, Receipt::default());
    let audit = store.audit(0, None, 9).await.expect("the audit");
    let rows: Vec<_> = audit.iter().map(|row| (row.new.event, row.new.reason, row.seq)).collect();
    let row = |seq| (Event::Revoked, Some(Reason::LogOut), seq);
    assert_eq!(rows, [row(Some(head.seq)), row(None)]);
}

pub(crate) async fn late_entries_supersede_none(store: &dyn Store) {
    let late = |n: i64| NewEntry { until: Some(at(-n)), ..entry(ScopeKind::Subject, 5) };
    let entry = || entry(ScopeKind::Subject, 5);
    commit(store, names(vec![entry(), late(1), entry(), late(2)])).await;
    let head = store.head().await.expect("a head");
    let newest = store.entries_between(Seq::ZERO, head.seq, 9).await.expect("entries");
    assert_eq!(newest.iter().map(|(_, newest)| *newest).collect::<Vec<_>>(), [false, false, true, true]);
}

pub(crate) async fn entries_of_a_later_time_are_not_superseded(store: &dyn Store) {
    let entry = |secs| NewEntry { at: at(secs), ..entry(ScopeKind::Subject, 5) };
    commit(store, names(vec![entry(10), entry(20), entry(5), entry(15)])).await;
    let head = store.head().await.expect("a head");
    let newest = store.entries_between(Seq::ZERO, head.seq, 9).await.expect("entries");
    assert_eq!(newest.iter().map(|(_, newest)| *newest).collect::<Vec<_>>(), [false, true, false, true]);
}

pub(crate) async fn entries_are_kept_for_their_retention(store: &dyn Store) {
    let mut kept = vec![];
    commit(store, Change::RaiseLongestLifetime(5_000)).await;
    for keep in [Keep::Longest, Keep::Until(at(70)), Keep::Until(at(4)), Keep::Forever] {
        let new = NewEntry { keep, ..entry(ScopeKind::Token, 3) };
        commit(store, Change::Revoke { entry: new.clone() }).await;
        let entries = store.entries_after(Seq::ZERO, 10).await.expect("entries");
        let entry = entries.last().expect("the entry");
        assert_eq!(
            (entry.kind, entry.key, entry.reason, entry.at, &entry.actor),
            (new.kind, new.key, new.reason, new.at, &new.actor)
        );
        kept.push(entry.drop_after);
    }
    let beyond = |moment: Timestamp| Some(moment + limits::REMEMBER_BEYOND);
    // Never less than a token's validity.
    let longest = beyond(at(3) + Duration::from_secs(5));
    assert_eq!(kept, [longest, beyond(at(70)), longest, None]);
}

pub(crate) async fn the_longest_lifetime_only_grows(store: &dyn Store) {
    for (raised, longest) in [(300_000, 300_000), (200_000, 300_000), (86_400_000, 86_400_000)] {
        assert_eq!(commit(store, Change::RaiseLongestLifetime(raised)).await, Receipt::default());
        let head = store.head().await.expect("a head");
        assert_eq!(head.longest_lifetime, Duration::from_millis(longest));
    }
}

pub(crate) async fn the_head_is_read_with_the_entries_after_a_number(store: &dyn Store) {
    for n in [1, 2, 3] {
        commit(store, Change::Revoke { entry: entry(ScopeKind::Token, n) }).await;
    }
    let head = store.head().await.expect("a head");
    for (after, limit) in [(Seq::ZERO, 9), (Seq::start_of(1), 2), (Seq::start_of(1).next(), 2), (head.seq, 9)]
    {
        let followed = store.follow(after, limit).await.expect("a read");
        assert_eq!(followed.head, head);
        assert_eq!(Ok(followed.entries), store.entries_after(after, limit).await);
    }
}

pub(crate) async fn settings_are_applied_with_their_entry(store: &dyn Store) {
    let apply = |from, value: &str, entry| Change::ApplySettings {
        from,
        values: vec![("first", value.to_owned()), ("second", value.to_owned())],
        entry,
    };
    assert_eq!(commit(store, apply(0, "a", None)).await, Receipt::default());
    let ends = entry(ScopeKind::Everything, 1);
    conflict(store, apply(0, "b", Some(ends.clone()))).await;
    conflict(store, apply(2, "b", Some(ends.clone()))).await;
    let receipt = commit(store, apply(1, "b", Some(ends))).await;
    let head = store.head().await.expect("a head");
    assert_eq!((head.settings, Some(head.seq), head.sessions_before), (2, receipt.seq, Seq::ZERO));
    for name in ["first", "second"] {
        assert_eq!(store.remembered(name).await, Ok(Some("b".into())));
    }
    let audit = store.audit(0, None, 9).await.expect("the audit");
    assert_eq!(
        audit.iter().map(|row| (row.new.event, row.seq)).collect::<Vec<_>>(),
        [(Event::Revoked, receipt.seq)]
    );
}

pub(crate) async fn entries_are_found_by_key(store: &dyn Store) {
    for n in [1, 2, 3, 1, 2] {
        commit(store, Change::Revoke { entry: entry(ScopeKind::Token, n) }).await;
    }
    let found = async |keys: &[u8]| {
        let keys: Vec<_> = keys.iter().map(|n| ScopeKey([*n; 16])).collect();
        let entries = store.entries_of(&keys).await.expect("entries");
        entries.iter().map(|entry| entry.seq.as_u64() - Seq::start_of(1).as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(found(&[1]).await, [1, 4]);
    assert_eq!(found(&[2, 1, 2]).await, [1, 2, 4, 5]);
    assert_eq!(found(&[9]).await, [0; 0]);
    assert_eq!(found(&[]).await, [0; 0]);
}

pub(crate) async fn log_entries_are_paginated(store: &dyn Store) {
    for n in 0..5 {
        commit(store, Change::Revoke { entry: entry(ScopeKind::Token, n) }).await;
    }
    let all = store.entries_after(Seq::ZERO, 10).await.expect("entries");
    assert_eq!(store.entries_after(Seq::ZERO, 2).await.expect("entries"), all[..2]);
    assert_eq!(store.entries_after(all[1].seq, 2).await.expect("entries"), all[2..4]);
    assert_eq!(store.entries_after(all[4].seq, 2).await, Ok(vec![]));
    assert_eq!(store.entries_after(Seq::MAX, 2).await, Ok(vec![]));
}

pub(crate) async fn entries_report_if_they_are_newest(store: &dyn Store) {
    for n in [1, 2, 1, 3, 1] {
        commit(store, Change::Revoke { entry: entry(ScopeKind::Subject, n) }).await;
    }
    let all = store.entries_after(Seq::ZERO, 10).await.expect("entries");
    let found = async |after, until, limit| {
        let found = store.entries_between(after, until, limit).await.expect("entries");
        found.into_iter().map(|(entry, is_newest)| (entry.key.0[0], is_newest)).collect::<Vec<_>>()
    };
    assert_eq!(
        found(Seq::ZERO, Seq::MAX, 10).await,
        [(1, false), (2, true), (1, false), (3, true), (1, true)]
    );
    assert_eq!(
        found(Seq::ZERO, all[3].seq, 10).await,
        [(1, false), (2, true), (1, true), (3, true)],
        "up to there"
    );
    assert_eq!(found(all[0].seq, all[3].seq, 2).await, [(2, true), (1, true)]);
    assert_eq!(found(all[4].seq, Seq::MAX, 2).await, []);
    for kind in [ScopeKind::Session, ScopeKind::Token] {
        commit(store, names(vec![entry(kind, 7), entry(kind, 7)])).await;
    }
    assert_eq!(found(all[4].seq, Seq::MAX, 9).await, [(7, true); 4]);
}

pub(crate) async fn newest_follows_the_log(store: &dyn Store) {
    let mut newest = store.newest();
    assert_eq!(*newest.borrow_and_update(), Seq::start_of(1));
    commit(store, add(account("dana"))).await;
    assert_eq!(newest.has_changed().ok(), Some(false));
    let receipt = commit(store, end_account("dana", 1, None)).await;
    assert_eq!(Some(*newest.borrow_and_update()), receipt.seq);
    conflict(store, end_account("dana", 1, None)).await;
    assert_eq!(newest.has_changed().ok(), Some(false));
}

pub(crate) async fn marking_comes_before_deleting(store: &dyn Store) {
    two_sessions(store).await;
    for keep in [Keep::Until(at(3)), Keep::Until(at(50)), Keep::Forever] {
        commit(store, Change::Revoke { entry: NewEntry { keep, ..entry(ScopeKind::Token, 3) } }).await;
    }
    let due = at(3) + limits::REMEMBER_BEYOND;
    let early = due - Duration::from_millis(1);
    let delete = |now, marked_until| Change::DeleteMarked { now, marked_until, limit: 10 };
    let count = async || store.entries_after(Seq::ZERO, 10).await.expect("entries").len();
    assert_eq!(commit(store, Change::MarkExpired { now: early, limit: 10 }).await.pruned, 0);
    assert_eq!(commit(store, delete(due, due)).await.pruned, 0);
    assert_eq!(
        commit(store, Change::MarkExpired { now: due, limit: 10 }).await,
        Receipt { seq: None, pruned: 1 }
    );
    assert_eq!(commit(store, Change::MarkExpired { now: due, limit: 10 }).await.pruned, 0);
    // A marked entry is still read and found.
    assert_eq!((count().await, store.entries_of(&[ScopeKey([3; 16])]).await.expect("entries").len()), (3, 3));
    assert_eq!(commit(store, delete(due, early)).await.pruned, 0);
    assert_eq!(commit(store, delete(due, due)).await, Receipt { seq: None, pruned: 1 });
    assert_eq!(count().await, 2);
    assert_eq!(commit(store, delete(Timestamp::from_millis(i64::MAX), due)).await.pruned, 0);
}

pub(crate) async fn pruning_keeps_entries_that_are_due_again(store: &dyn Store) {
    commit(
        store,
        Change::Revoke { entry: NewEntry { keep: Keep::Until(at(3)), ..entry(ScopeKind::Token, 3) } },
    )
    .await;
    let due = at(3) + limits::REMEMBER_BEYOND;
    commit(store, Change::MarkExpired { now: due, limit: 10 }).await;
    // The clock that marked it was fast.
    let back = due - Duration::from_millis(1);
    assert_eq!(
        commit(store, Change::DeleteMarked { now: back, marked_until: due, limit: 10 }).await.pruned,
        0
    );
    assert_eq!(store.entries_after(Seq::ZERO, 10).await.expect("entries").len(), 1);
}

pub(crate) async fn pruning_stops_at_its_limit(store: &dyn Store) {
    two_sessions(store).await;
    for n in [4, 3, 2] {
        commit(
            store,
            Change::Revoke {
                entry: NewEntry { keep: Keep::Until(at(i64::from(n))), ..entry(ScopeKind::Token, n) },
            },
        )
        .await;
    }
    let now = at(10 * 86_400);
    assert_eq!(commit(store, Change::MarkExpired { now, limit: 2 }).await.pruned, 2);
    assert_eq!(commit(store, Change::DeleteMarked { now, marked_until: now, limit: 1 }).await.pruned, 1);
    // Entries that were due first were marked first; of those, the lower number is deleted first.
    let keys: Vec<_> = store
        .entries_after(Seq::ZERO, 10)
        .await
        .expect("entries")
        .iter()
        .map(|entry| entry.key.0[0])
        .collect();
    assert_eq!(keys, [4, 2]);
    assert_eq!(commit(store, Change::MarkExpired { now, limit: 2 }).await.pruned, 1);
    assert_eq!(commit(store, Change::DeleteMarked { now, marked_until: now, limit: 9 }).await.pruned, 2);
    assert_eq!(commit(store, Change::ForgetExpired { now, limit: 1 }).await.pruned, 1);
    assert_eq!(commit(store, Change::ForgetExpired { now, limit: 9 }).await.pruned, 1);
}

pub(crate) async fn the_head_reports_pruned_entries(store: &dyn Store) {
    let forgotten = async || store.head().await.expect("a head").forgotten;
    assert_eq!(forgotten().await, Forgotten::NOTHING);
    // The newest entry isn't the one with the longest retention.
    for (secs, until) in [(3, 50), (9, 40), (5, 90)] {
        let new = NewEntry { keep: Keep::Until(at(until)), ..entry(ScopeKind::Token, secs) };
        commit(store, Change::Revoke { entry: NewEntry { at: at(i64::from(secs)), ..new } }).await;
    }
    let prune = async |secs| {
        let now = at(secs) + limits::REMEMBER_BEYOND;
        commit(store, Change::MarkExpired { now, limit: 9 }).await;
        commit(store, Change::DeleteMarked { now, marked_until: now, limit: 9 }).await.pruned
    };
    let seq = |n| Seq::from_u64(Seq::start_of(1).as_u64() + n);
    assert_eq!((prune(39).await, forgotten().await), (0, Forgotten::NOTHING));
    assert_eq!(prune(50).await, 2);
    assert_eq!(
        forgotten().await,
        Forgotten { seq: seq(2), at: at(9), until: at(50) + limits::REMEMBER_BEYOND }
    );
    assert_eq!(prune(90).await, 1);
    assert_eq!(
        forgotten().await,
        Forgotten { seq: seq(3), at: at(9), until: at(90) + limits::REMEMBER_BEYOND }
    );
}

pub(crate) async fn numbering_continues_after_pruning(store: &dyn Store) {
    let revoke = |n| Change::Revoke { entry: entry(ScopeKind::Token, n) };
    commit(store, revoke(1)).await;
    let before = store.head().await.expect("a head");
    let now = at(86_400);
    commit(store, Change::MarkExpired { now, limit: 9 }).await;
    commit(store, Change::DeleteMarked { now, marked_until: now, limit: 9 }).await;
    let head = store.head().await.expect("a head");
    assert_eq!((head.seq, head.chain), (before.seq, before.chain));
    commit(store, revoke(2)).await;
    let entries = store.entries_after(Seq::ZERO, 10).await.expect("entries");
    assert_eq!(entries.len(), 1);
    feed::follows(before.seq, &before.chain, &entries[0]).expect("the next entry");
}
