//! Epochs: the numbering that a store continues with after it was reset to an earlier state.

use quash_core::model::{Change, Epoch, Event, Head, OldSessions, ScopeKind, Seq, Timestamp};
use quash_core::watch::feed;
use quash_store::Store;

use crate::support::*;

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).expect("an epoch")
}

fn begin(from: u64, to: u64, sessions: OldSessions) -> Change {
    Change::BeginEpoch { from: epoch(from), to: epoch(to), entry: entry(ScopeKind::Everything, 9), sessions }
}

pub(crate) async fn new_epochs_continue_the_chain_with_new_numbers(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, ends(vec![end(1)])).await;
    let receipt = commit(store, begin(1, 7, OldSessions::End)).await;
    assert_eq!(receipt.seq, Some(epoch(7).start().next()));
    commit(store, Change::Revoke { entry: entry(ScopeKind::Token, 5) }).await;
    let entries = store.entries_after(Seq::ZERO, 100).await.expect("entries");
    let first = Seq::start_of(1).next();
    assert_eq!(
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [first, epoch(7).start().next(), epoch(7).start().next().next()]
    );
    let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
    for entry in &entries {
        feed::follows(seq, &chain, entry).expect("the next entry");
        (seq, chain) = (entry.seq, entry.chain);
    }
    let head = store.head().await.expect("a head");
    assert_eq!((head.seq, head.chain), (seq, chain));
    assert_eq!(*store.newest().borrow(), seq);
}

pub(crate) async fn an_epoch_ends_all_sessions_or_none(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, begin(1, 2, OldSessions::Keep)).await;
    let Head { sessions_before, foreign_after, .. } = store.head().await.expect("a head");
    assert_eq!((sessions_before, foreign_after), (Seq::ZERO, Timestamp::default()));
    commit(store, rotate(1, 0)).await;
    let before = head(store).await;
    commit(store, begin(2, 3, OldSessions::End)).await;
    let Head { seq, sessions_before, foreign_after, .. } = store.head().await.expect("a head");
    assert_eq!((sessions_before, foreign_after), (seq, at(9)));
    conflict(store, rotate(1, 1)).await;
    conflict(store, open(session(3, "dana", before), 1)).await;
    commit(store, open(session(3, "dana", seq), 1)).await;
}

pub(crate) async fn epochs_begin_once_and_only_increase(store: &dyn Store) {
    conflict(store, begin(2, 3, OldSessions::End)).await;
    conflict(store, begin(1, 1, OldSessions::End)).await;
    conflict(store, begin(1, 0, OldSessions::End)).await;
    let outcomes = commit_all(
        store,
        vec![begin(1, 2, OldSessions::End), begin(1, 2, OldSessions::End), begin(1, 5, OldSessions::Keep)],
    )
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let last = Epoch::LAST.as_u64();
    let from = head(store).await.epoch();
    commit(store, begin(from, last, OldSessions::End)).await;
    conflict(store, begin(last, last, OldSessions::End)).await;
    commit(store, Change::Revoke { entry: entry(ScopeKind::Token, 5) }).await;
    assert_eq!(head(store).await, Epoch::LAST.start().next().next());
}

pub(crate) async fn new_epochs_are_audited(store: &dyn Store) {
    commit(store, begin(1, 2, OldSessions::End)).await;
    let ended = head(store).await;
    commit(store, begin(2, 3, OldSessions::Keep)).await;
    let kept = head(store).await;
    let audit = store.audit(0, None, 10).await.expect("entries");
    let told: Vec<_> =
        audit.iter().map(|audit| (audit.new.event, audit.new.raises_watermark(), audit.seq)).collect();
    assert_eq!(told, [(Event::EverythingEnded, true, Some(ended)), (Event::Revoked, false, Some(kept))]);
}
