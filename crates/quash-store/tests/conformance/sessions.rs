//! Sessions: opening, rotating, ending one or two. `watermarks.rs` ends all sessions of an account.

use std::time::Duration;

use quash_core::model::{
    Actor, Change, DeviceId, Ending, Generation, Reason, Receipt, ScopeKey, ScopeKind, Seq, Session,
    SessionEnd, SessionOpening, SessionState, limits,
};
use quash_store::Store;

use crate::support::*;

pub(crate) async fn a_session_is_read_back(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let mut opened = session(1, "dana", head(store).await);
    opened.ends_at = None;
    opened.address = Some("2001:db8::1".into());
    assert_eq!(commit(store, open(opened.clone(), 1)).await, Receipt::default());
    let loaded = store.session(sid(1)).await.expect("a read");
    assert_eq!(loaded.found, Some((opened, account("dana"))));
    assert_eq!(loaded.head, store.head().await.expect("a head"));
}

pub(crate) async fn sessions_open_only_at_the_accounts_version(store: &dyn Store) {
    conflict(store, open(session(1, "dana", Seq::start_of(1)), 1)).await;
    commit(store, add(account("dana"))).await;
    conflict(store, open(session(1, "dana", Seq::start_of(1)), 2)).await;
    commit(store, open(session(1, "dana", Seq::start_of(1)), 1)).await;
}

pub(crate) async fn a_session_id_is_used_once(store: &dyn Store) {
    two_sessions(store).await;
    conflict(store, open(session(1, "dana", head(store).await), 1)).await;
    commit(store, ends(vec![end(1)])).await;
    conflict(store, open(session(1, "dana", head(store).await), 1)).await;
}

pub(crate) async fn sessions_open_only_within_the_limit(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    commit(store, add(account("kim"))).await;
    let open_within = async |n: u8, most_live: u32, evict: Option<SessionEnd>| {
        let session = session(n, "dana", head(store).await);
        let opening = SessionOpening { most_live, evict, ..opening(session, 1) };
        Change::OpenSession(Box::new(opening))
    };
    for n in [101, 102] {
        commit(store, open(session(n, "kim", head(store).await), 1)).await;
    }
    conflict(store, open_within(1, 0, None).await).await;
    commit(store, open_within(1, 1, None).await).await;
    conflict(store, open_within(2, 1, None).await).await;
    commit(store, open_within(2, 2, None).await).await;
    conflict(store, open_within(3, 2, None).await).await;
    conflict(store, open_within(3, 1, Some(end(1))).await).await;
    commit(store, open_within(3, 2, Some(end(1))).await).await;
    commit(store, ends(vec![end(2)])).await;
    commit(store, open_within(4, 2, None).await).await;
    // Expired as of the opening: the sessions of the others are idle for a day.
    let late = Session { opened_at: at(86_404), ..session(5, "dana", head(store).await) };
    let late = SessionOpening { most_live: 1, ..opening(late, 1) };
    commit(store, Change::OpenSession(Box::new(late))).await;
    // Covered by the account's watermark, or by the one over everything.
    commit(store, end_account("dana", 1, None)).await;
    let after = SessionOpening { most_live: 1, ..opening(session(6, "dana", head(store).await), 2) };
    commit(store, Change::OpenSession(Box::new(after))).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 3) }).await;
    let after = SessionOpening { most_live: 1, ..opening(session(7, "dana", head(store).await), 2) };
    commit(store, Change::OpenSession(Box::new(after.clone()))).await;
    let next = Session { id: sid(8), ..after.session.clone() };
    conflict(store, Change::OpenSession(Box::new(SessionOpening { session: next, ..after }))).await;
}

pub(crate) async fn evicting_ends_the_evicted(store: &dyn Store) {
    two_sessions(store).await;
    let third = session(3, "dana", head(store).await);
    let receipt = commit(store, open_evicting(third, 1, Some(end(1)))).await;
    assert_eq!(receipt.seq, Some(head(store).await));
    assert_eq!(
        state(store, 1).await,
        SessionState::Ended(Ending { reason: Reason::LogOut, at: at(1), actor: Actor::Owner })
    );
    assert_eq!((state(store, 2).await, state(store, 3).await), (SessionState::Live, SessionState::Live));
    assert_eq!(store.entries_after(Seq::ZERO, 10).await.expect("entries").len(), 1);
}

pub(crate) async fn evicting_ended_sessions_is_refused(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, ends(vec![end(1)])).await;
    for evicted in [1, 9] {
        let third = session(3, "dana", head(store).await);
        conflict(store, open_evicting(third, 1, Some(end(evicted)))).await;
    }
}

pub(crate) async fn a_conflict_after_an_eviction_undoes_it(store: &dyn Store) {
    two_sessions(store).await;
    let third = session(3, "dana", head(store).await);
    conflict(store, open_evicting(third, 2, Some(end(1)))).await;
    let second = session(2, "dana", head(store).await);
    conflict(store, open_evicting(second, 1, Some(end(1)))).await;
    assert_eq!(state(store, 1).await, SessionState::Live);
}

pub(crate) async fn one_rotation_wins(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, rotate(1, 0)).await;
    conflict(store, rotate(1, 0)).await;
    conflict(store, rotate(1, 2)).await;
    conflict(store, rotate(9, 0)).await;
    let (rotated, _) = store.session(sid(1)).await.expect("a read").found.expect("the session");
    assert_eq!(
        (rotated.generation, rotated.rotated_at, rotated.idle_until),
        (Generation(1), at(1000), at(87_400))
    );
    let outcomes = commit_all(store, vec![rotate(1, 1); 16]).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(head(store).await, Seq::start_of(1));
}

pub(crate) async fn an_ended_session_does_not_rotate(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, ends(vec![end(1)])).await;
    conflict(store, rotate(1, 0)).await;
}

pub(crate) async fn a_rotated_session_still_ends(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, rotate(1, 0)).await;
    commit(store, ends(vec![end(1)])).await;
    conflict(store, rotate(1, 1)).await;
}

pub(crate) async fn sessions_end_atomically(store: &dyn Store) {
    two_sessions(store).await;
    conflict(store, ends(vec![end(1), end(9)])).await;
    conflict(store, ends(vec![end(1), end(1)])).await;
    assert_eq!(state(store, 1).await, SessionState::Live);
    let receipt = commit(store, ends(vec![end(2), end(1)])).await;
    let entries = store.entries_after(Seq::ZERO, 10).await.expect("entries");
    assert_eq!(
        entries.iter().map(|entry| entry.key).collect::<Vec<_>>(),
        [ScopeKey([2; 16]), ScopeKey([1; 16])]
    );
    assert_eq!(receipt.seq, entries.last().map(|entry| entry.seq));
    assert_eq!(
        state(store, 2).await,
        SessionState::Ended(Ending { reason: Reason::LogOut, at: at(2), actor: Actor::Owner })
    );
}

pub(crate) async fn a_session_ends_once(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, ends(vec![end(1)])).await;
    let again = SessionEnd { entry: entry(ScopeKind::Session, 77), ..end(1) };
    conflict(store, ends(vec![again])).await;
    assert_eq!(commit(store, ends(vec![])).await, Receipt::default());
}

pub(crate) async fn sessions_are_paginated(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, add(account("kim"))).await;
    commit(store, open(session(3, "kim", head(store).await), 1)).await;
    commit(store, open(session(4, "dana", head(store).await), 1)).await;
    commit(store, ends(vec![end(2)])).await;
    let ids = async |after, limit| {
        let sessions = store.sessions_of(&subject("dana"), after, limit).await.expect("sessions");
        sessions.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None, 10).await, [sid(1), sid(2), sid(4)]);
    assert_eq!(ids(None, 2).await, [sid(1), sid(2)]);
    assert_eq!(ids(Some(sid(2)), 2).await, [sid(4)]);
}

pub(crate) async fn expired_sessions_are_deleted(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, ends(vec![end(2)])).await;
    let gone = session(1, "dana", Seq::ZERO).idle_until + limits::SESSION_KEPT;
    let forget = |now| Change::ForgetExpired { now, limit: 10 };
    commit(store, forget(gone)).await;
    assert!(store.session(sid(1)).await.expect("a read").found.is_some());
    commit(store, forget(gone + Duration::from_millis(1))).await;
    assert_eq!(store.session(sid(1)).await.expect("a read").found, None);
    assert!(store.session(sid(2)).await.expect("a read").found.is_some());
    conflict(store, rotate(1, 0)).await;
}

pub(crate) async fn concurrently_submitted_changes_keep_their_order(store: &dyn Store) {
    let mut changes = vec![add(account("dana")), open(session(1, "dana", Seq::start_of(1)), 1)];
    changes.extend((0..20).map(|from| rotate(1, from)));
    // The first change has appended an entry before the second one's guard fails.
    let half = ends(vec![end(1), end(9)]);
    changes.extend([rotate(1, 7), half, ends(vec![end(1)]), rotate(1, 20)]);
    let held: Vec<_> = commit_all(store, changes).await.iter().map(Result::is_ok).collect();
    assert_eq!(held, [[true; 22].as_slice(), &[false, false, true, false]].concat());
    assert_eq!(head(store).await, Seq::start_of(1).next());
}

pub(crate) async fn a_live_session_is_bound_to_a_device(store: &dyn Store) {
    two_sessions(store).await;
    let head = head(store).await;
    commit(store, bind(1, 7)).await;
    let bound = store.session(sid(1)).await.expect("a read").found.expect("a session").0;
    assert_eq!(
        bound,
        Session { known_device: Some(DeviceId::from_bytes([7; 16])), ..session(1, "dana", head) }
    );
    commit(store, Change::Together(vec![rotate(1, 0), bind(1, 8)])).await;
    commit(store, ends(vec![end(2)])).await;
    conflict(store, bind(2, 7)).await;
    conflict(store, bind(9, 7)).await;
    conflict(store, Change::Together(vec![rotate(1, 1), bind(2, 9)])).await;
    let bound = store.session(sid(1)).await.expect("a read").found.expect("a session").0;
    assert_eq!((bound.known_device, bound.generation), (Some(DeviceId::from_bytes([8; 16])), Generation(1)));
    commit(store, end_account("dana", 1, None)).await;
    conflict(store, bind(1, 7)).await;
}
