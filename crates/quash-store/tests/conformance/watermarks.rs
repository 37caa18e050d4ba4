//! The ends that cover many sessions at once, and the sessions that may survive.

use quash_core::model::{
    Account, AccountFields, AccountState, Change, Ends, Generation, PasswordHash, ScopeKind, SessionState,
    Survivor,
};
use quash_store::Store;

use crate::support::*;

pub(crate) async fn a_session_inserted_during_a_reset_is_refused(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let before = head(store).await;
    commit(store, end_account("dana", 1, None)).await;
    // As loaded before the reset, and with a version that is right by chance.
    conflict(store, open(session(1, "dana", before), 1)).await;
    conflict(store, open(session(1, "dana", before), 2)).await;
    commit(store, open(session(1, "dana", head(store).await), 2)).await;
}

pub(crate) async fn a_session_inserted_after_the_end_of_everything_is_refused(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let before = head(store).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 9) }).await;
    conflict(store, open(session(1, "dana", before), 1)).await;
    commit(store, open(session(1, "dana", head(store).await), 1)).await;
}

pub(crate) async fn a_covered_session_does_not_rotate(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, end_account("dana", 1, None)).await;
    conflict(store, rotate(1, 0)).await;
    commit(store, open(session(3, "dana", head(store).await), 2)).await;
    commit(store, rotate(3, 0)).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 9) }).await;
    conflict(store, rotate(3, 1)).await;
}

pub(crate) async fn covered_sessions_can_still_be_ended(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, end_account("dana", 1, None)).await;
    commit(store, ends(vec![end(1)])).await;
}

pub(crate) async fn ending_an_account_raises_a_watermark(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, add(account("kim"))).await;
    commit(store, open(session(3, "kim", head(store).await), 1)).await;
    let receipt = commit(store, end_account("dana", 1, None)).await;
    assert_eq!(receipt.seq, Some(head(store).await));
    assert_eq!(
        read(store, "dana").await,
        Account { sessions_before: head(store).await, version: 2, foreign_after: at(200), ..account("dana") }
    );
    // Constant work: no session's row was written.
    assert_eq!((state(store, 1).await, state(store, 2).await), (SessionState::Live, SessionState::Live));
    let loaded = store.session(sid(1)).await.expect("a read");
    let (covered, owner) = loaded.found.expect("the session");
    assert!(!covered.is_live(&owner, &loaded.head));
    commit(store, rotate(3, 0)).await;
}

pub(crate) async fn ending_an_account_sets_password_and_state(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let end = |version, password: Option<&str>, state| {
        let password = password.map(|phc| Some(PasswordHash::new(phc.into())));
        let fields = AccountFields { password, state, ..AccountFields::default() };
        edit("dana", version, fields, Ends::Sessions { entry: entry(ScopeKind::Subject, 7), survivor: None })
    };
    let kept = async || {
        let account = read(store, "dana").await;
        (account.password.map(|hash| hash.as_str().to_owned()), account.state, account.version)
    };
    commit(store, end(1, Some("new"), None)).await;
    assert_eq!(kept().await, (Some("new".into()), AccountState::Active, 2));
    let deactivated = AccountState::Deactivated { at: at(3) };
    commit(store, end(2, None, Some(deactivated))).await;
    assert_eq!(kept().await, (Some("new".into()), deactivated, 3));
    commit(store, end(3, None, None)).await;
    assert_eq!(kept().await, (Some("new".into()), deactivated, 4));
    commit(store, end(4, Some("newer"), Some(AccountState::Active))).await;
    assert_eq!(kept().await, (Some("newer".into()), AccountState::Active, 5));
}

pub(crate) async fn ending_an_account_requires_its_version(store: &dyn Store) {
    conflict(store, end_account("dana", 1, None)).await;
    two_sessions(store).await;
    conflict(store, end_account("dana", 0, None)).await;
    conflict(store, end_account("dana", 2, None)).await;
    commit(store, end_account("dana", 1, None)).await;
    conflict(store, end_account("dana", 1, None)).await;
}

pub(crate) async fn survivors_stay_live(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, rotate(1, 0)).await;
    commit(store, end_account("dana", 1, Some(survivor(1, 1)))).await;
    let loaded = store.session(sid(1)).await.expect("a read");
    let (session, owner) = loaded.found.expect("the session");
    assert!(session.is_live(&owner, &loaded.head));
    assert_eq!(session.opened_seq, loaded.head.seq);
    assert_eq!(
        (session.generation, session.rotated_at, session.idle_until),
        (Generation(2), at(2000), at(88_400))
    );
    conflict(store, rotate(2, 0)).await;
    conflict(store, rotate(1, 1)).await;
    commit(store, rotate(1, 2)).await;
}

pub(crate) async fn one_of_two_concurrent_end_others_wins(store: &dyn Store) {
    two_sessions(store).await;
    let both =
        vec![end_account("dana", 1, Some(survivor(1, 0))), end_account("dana", 1, Some(survivor(2, 0)))];
    let outcomes = commit_all(store, both).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let loser = if outcomes[0].is_ok() { 2 } else { 1 };
    // Loaded again, the account's version is right; the watermark is not.
    conflict(store, end_account("dana", 2, Some(survivor(loser, 0)))).await;
}

pub(crate) async fn concurrent_end_of_everything_leaves_no_survivor(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 9) }).await;
    // The account's row is as loaded: only the watermark over everything differs.
    conflict(store, end_account("dana", 1, Some(survivor(1, 0)))).await;
    commit(store, end_account("dana", 1, None)).await;
}

pub(crate) async fn survivors_must_match_account_generation_and_state(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, add(account("kim"))).await;
    conflict(store, end_account("dana", 1, Some(survivor(9, 0)))).await;
    conflict(store, end_account("dana", 1, Some(survivor(1, 1)))).await;
    conflict(store, end_account("kim", 1, Some(survivor(1, 0)))).await;
    commit(store, rotate(1, 0)).await;
    conflict(store, end_account("dana", 1, Some(survivor(1, 0)))).await;
    commit(store, ends(vec![end(1)])).await;
    conflict(store, end_account("dana", 1, Some(survivor(1, 1)))).await;
    commit(store, end_account("dana", 1, Some(Survivor { ..survivor(2, 0) }))).await;
}

pub(crate) async fn ending_everything_ends_all_accounts_sessions(store: &dyn Store) {
    two_sessions(store).await;
    let receipt = commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 9) }).await;
    let head = store.head().await.expect("a head");
    assert_eq!((Some(head.seq), Some(head.sessions_before)), (receipt.seq, receipt.seq));
    assert_eq!(read(store, "dana").await, account("dana"));
}
