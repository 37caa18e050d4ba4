//! Tokens of other issuers: each opens at most one session, and none once it or its account's sessions have
//! ended.

use std::time::Duration;

use quash_core::model::{
    Account, AccountBy, AccountClaims, Adoption, Change, CustomClaims, Keep, NewEntry, Reason, ScopeKey,
    ScopeKind, Seq, SessionOpening, SessionState, limits,
};
use quash_store::Store;

use crate::support::*;

/// The scope of the token that [`adopting`] opens a session with.
fn token(n: u8) -> ScopeKey {
    ScopeKey([100 + n; 16])
}

/// The scope of an account, as named by tokens.
const USER: ScopeKey = ScopeKey([42; 16]);

fn revoke_token(n: u8) -> Change {
    Change::EndSessions { sessions: vec![], tokens: vec![entry(ScopeKind::Token, 100 + n)] }
}

pub(crate) async fn an_adopted_session_is_read_back(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let opened = adopting(1, "dana", head(store).await);
    let dana = AccountBy::Subject(subject("dana"));
    let before = store.foreign(token(1), &[token(1)], USER, Some(&dana), NOW).await.expect("a read");
    assert_eq!((before.adopted, before.revoked, before.account.live_sessions), (None, false, 0));
    commit(store, adopt(opened.clone(), 1, 5)).await;
    let loaded = store.foreign(token(1), &[token(1)], USER, Some(&dana), NOW).await.expect("a read");
    assert_eq!(loaded.adopted, Some((opened, account("dana"))));
    assert_eq!(
        (loaded.account.account, loaded.account.live_sessions, loaded.revoked),
        (Some(account("dana")), 1, false)
    );
    assert_eq!(loaded.account.head, store.head().await.expect("a head"));
    let of_nobody = store.foreign(token(2), &[], USER, None, NOW).await.expect("a read");
    assert_eq!((of_nobody.account.account, of_nobody.adopted, of_nobody.revoked), (None, None, false));
}

pub(crate) async fn adopted_tokens_open_one_session(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let head = head(store).await;
    commit(store, adopt(adopting(1, "dana", head), 1, 5)).await;
    let again = quash_core::model::Session { id: sid(2), ..adopting(1, "dana", head) };
    conflict(store, adopt(again.clone(), 1, 5)).await;
    let outcomes = commit_all(
        store,
        (3..19)
            .map(|n| adopt(quash_core::model::Session { id: sid(n), ..adopting(2, "dana", head) }, 1, 5))
            .collect(),
    );
    assert_eq!(outcomes.await.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    // Ended or not: the token has been used.
    commit(store, ends(vec![end(1)])).await;
    conflict(store, adopt(again, 1, 5)).await;
}

pub(crate) async fn revoked_foreign_tokens_open_no_session(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    commit(store, revoke_token(1)).await;
    let opened = adopting(1, "dana", head(store).await);
    conflict(store, adopt(opened.clone(), 1, 5)).await;
    assert!(store.foreign(token(1), &[token(9), token(1)], USER, None, NOW).await.expect("a read").revoked);
    // The token's key may have been revoked instead.
    let struck = ScopeKey([77; 16]);
    commit(store, Change::Revoke { entry: NewEntry { keep: Keep::Forever, ..entry(ScopeKind::Key, 77) } })
        .await;
    let adopts = Some(Adoption { minted_at: at(5), scopes: vec![token(2), struck] });
    let opened = opening(adopting(2, "dana", head(store).await), 1);
    conflict(store, Change::OpenSession(Box::new(SessionOpening { adopts, ..opened }))).await;
}

pub(crate) async fn foreign_tokens_from_before_an_end_open_none(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    // The entry is of second 200.
    commit(store, end_account("dana", 1, None)).await;
    assert_eq!(read(store, "dana").await.foreign_after, at(200));
    let opened = adopting(1, "dana", head(store).await);
    conflict(store, adopt(opened.clone(), 2, 199)).await;
    conflict(store, adopt(opened.clone(), 2, 200)).await;
    commit(store, adopt(opened, 2, 201)).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 250) }).await;
    assert_eq!(store.head().await.expect("a head").foreign_after, at(250));
    let opened = adopting(2, "dana", head(store).await);
    conflict(store, adopt(opened.clone(), 2, 250)).await;
    commit(store, adopt(opened, 2, 251)).await;
    // A change that ends nothing moves nothing.
    commit(store, Change::Revoke { entry: entry(ScopeKind::Everything, 255) }).await;
    assert_eq!(store.head().await.expect("a head").foreign_after, at(250));
}

pub(crate) async fn foreign_tokens_are_revoked_once_unless_adopted(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    commit(store, revoke_token(1)).await;
    conflict(store, revoke_token(1)).await;
    commit(store, adopt(adopting(2, "dana", head(store).await), 1, 5)).await;
    conflict(store, revoke_token(2)).await;
    let twice = vec![entry(ScopeKind::Token, 103), entry(ScopeKind::Token, 103)];
    conflict(store, Change::EndSessions { sessions: vec![], tokens: twice }).await;
}

pub(crate) async fn sessions_and_foreign_tokens_end_atomically(store: &dyn Store) {
    two_sessions(store).await;
    let both = |n| Change::EndSessions { sessions: vec![end(n)], tokens: vec![entry(ScopeKind::Token, 101)] };
    conflict(store, both(9)).await;
    let receipt = commit(store, both(1)).await;
    assert_eq!(receipt.seq, Some(head(store).await));
    assert_eq!(store.entries_after(Seq::ZERO, 10).await.expect("entries").len(), 2);
    conflict(store, both(2)).await;
    assert_eq!(state(store, 2).await, SessionState::Live);
}

pub(crate) async fn adopted_tokens_end_with_their_session(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    commit(store, adopt(adopting(1, "dana", head(store).await), 1, 5)).await;
    let receipt = commit(store, ends(vec![end_adopted(1)])).await;
    let entries = store.entries_after(Seq::ZERO, 10).await.expect("entries");
    assert_eq!(
        entries.iter().map(|entry| entry.kind).collect::<Vec<_>>(),
        [ScopeKind::Session, ScopeKind::Token]
    );
    assert_eq!(receipt.seq, entries.last().map(|entry| entry.seq));
}

pub(crate) async fn session_rows_outlive_their_adopted_tokens(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let opened = adopting(1, "dana", head(store).await);
    let until = opened.adopted.expect("a token").until + limits::SESSION_KEPT;
    commit(store, adopt(opened, 1, 5)).await;
    let forget = |now| Change::ForgetExpired { now, limit: 10 };
    commit(store, forget(until)).await;
    assert!(store.session(sid(1)).await.expect("a read").found.is_some());
    commit(store, forget(until + Duration::from_millis(1))).await;
    assert_eq!(store.session(sid(1)).await.expect("a read").found, None);
}

fn delete(name: &str, version: u64) -> Change {
    let entry = NewEntry { key: USER, reason: Reason::Deleted, ..entry(ScopeKind::Subject, 42) };
    Change::DeleteAccount { subject: subject(name), version, entry, note: None }
}

pub(crate) async fn adoptions_outlive_their_account(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let opened = adopting(1, "dana", head(store).await);
    let until = opened.adopted.expect("a token").until + limits::SESSION_KEPT;
    commit(store, adopt(opened, 1, 5)).await;
    commit(store, delete("dana", 1)).await;
    commit(store, add(Account { subject: subject("dana 2"), ..account("dana") })).await;
    conflict(store, adopt(adopting(1, "dana 2", head(store).await), 1, 100)).await;
    conflict(store, revoke_token(1)).await;
    let revoked =
        async || store.foreign(token(1), &[token(1)], USER, None, NOW).await.expect("a read").revoked;
    assert!(revoked().await);
    let forget = |now| Change::ForgetExpired { now, limit: 10 };
    commit(store, forget(until)).await;
    assert!(revoked().await);
    assert_eq!(commit(store, forget(until + Duration::from_millis(1))).await.pruned, 1);
    assert!(!revoked().await);
}

pub(crate) async fn freed_names_have_a_recorded_time(store: &dyn Store) {
    let freed_at = async || store.foreign(token(1), &[], USER, None, NOW).await.expect("a read").freed_at;
    commit(store, add(account("dana"))).await;
    for reason in [Reason::LogOutEverywhere, Reason::ClaimsChanged, Reason::PasswordChanged] {
        let entry = NewEntry { key: USER, reason, ..entry(ScopeKind::Subject, 42) };
        commit(store, Change::Revoke { entry }).await;
    }
    assert_eq!(freed_at().await, None, "the account goes on to be called so");
    for (n, reason) in [(50, Reason::NameChanged), (60, Reason::EmailChanged), (55, Reason::Deleted)] {
        let entry = NewEntry { key: USER, reason, ..entry(ScopeKind::Subject, n) };
        commit(store, Change::Revoke { entry }).await;
    }
    assert_eq!(freed_at().await, Some(at(60)));
    assert_eq!(store.foreign(token(1), &[], token(9), None, NOW).await.expect("a read").freed_at, None);
}

pub(crate) async fn adopted_claims_are_stored_once(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let claims = |json: &str| CustomClaims::parse(json).expect("claims");
    let opened = async |n: u8, json: &str| {
        let opening = SessionOpening {
            claims: Some(claims(json)),
            ..opening(session(n, "dana", head(store).await), 1)
        };
        commit(store, Change::OpenSession(Box::new(opening))).await;
        read(store, "dana").await
    };
    let first = opened(1, r#"{"plan":"gold"}"#).await;
    assert_eq!((&first.claims, first.version), (&AccountClaims::Adopted(claims(r#"{"plan":"gold"}"#)), 1));
    assert_eq!(opened(2, r#"{"plan":"tin"}"#).await.claims, first.claims);
}
