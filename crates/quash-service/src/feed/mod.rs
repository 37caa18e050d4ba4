//! The feed inside this process: committed entries reach the guard in order, and then the readers of the
//! feed. The use cases for verifiers are in `use_cases/feed/serve.rs`.

mod broadcast;
mod refused;
mod snapshot;

use std::sync::Arc;

use quash_core::decide::{NotedEntry, compare_end};
use quash_core::model::{Entry, Followed, Forgotten, Head, NotedEnd, Seq};
use quash_core::watch::Revoked;
use quash_core::watch::frame::CursorKey;
use quash_store::{Coordination, Store, StoreError};
use quash_verify::issuer::Publisher;
use tokio::sync::{Notify, mpsc};

pub(crate) use self::broadcast::FeedBroadcast;
pub use self::broadcast::{FeedEvent, FeedReader};
pub use self::refused::FeedRefused;
pub use self::snapshot::SnapshotFeed;
pub(crate) use self::snapshot::Snapshots;
use crate::keys::RingUpdate;

/// The state that the feed keeps in this process.
pub(crate) struct Feed {
    pub(crate) broadcast: Arc<FeedBroadcast>,
    pub(crate) coordination: Arc<dyn Coordination>,
    pub(crate) cursors: CursorKey,
    pub(crate) scope_key: [u8; 16],
    pub(crate) snapshots: Snapshots,
}

/// The number of entries read at once.
pub(crate) const PAGE: u32 = 1024;

/// The set of all revocations in the log, and the summary of those that were deleted.
pub(crate) async fn snapshot(store: &dyn Store) -> Result<(Revoked, Forgotten), StoreError> {
    let (head, entries) = everything(store).await?;
    Ok((Revoked::from_snapshot(head.seq, head.chain, &entries).forgetting(head.forgotten), head.forgotten))
}

/// Compares a store's log with an end that was noted.
///
/// # Errors
/// The store can't be used.
pub async fn compare(store: &dyn Store, noted: NotedEnd) -> Result<(Head, NotedEntry), StoreError> {
    let head = store.head().await?;
    let before = Seq::from_u64(noted.seq.as_u64().saturating_sub(1));
    let next = store.entries_after(before, 1).await?;
    let there = next.iter().find(|entry| entry.seq == noted.seq).map(|entry| entry.chain);
    Ok((head, compare_end(&head, noted, there)))
}

/// The log's head, all entries up to it, and the summary of deleted entries.
async fn everything(store: &dyn Store) -> Result<(Head, Vec<Entry>), StoreError> {
    // The head is read first: an entry that is committed meanwhile is either also in the snapshot, which is
    // harmless, or follows the head without a gap.
    let head = store.head().await?;
    let mut entries = Vec::new();
    let mut after = Seq::ZERO;
    loop {
        let page = store.entries_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        entries.extend(page.into_iter().filter(|entry| entry.seq <= head.seq));
    }
    // Read last, because it also covers entries that were pruned before they were read here.
    let forgotten = store.head().await?.forgotten;
    Ok((Head { forgotten, ..head }, entries))
}

/// Keeps the guard of the only process up to date with the log for as long as it runs. `renew` requests a new snapshot
/// after entries have been pruned; `rings` delivers the key rings that replace the current one.
pub(crate) async fn follow(
    store: Arc<dyn Store>,
    mut publisher: Publisher,
    broadcast: Arc<FeedBroadcast>,
    renew: Arc<Notify>,
    mut rings: mpsc::Receiver<RingUpdate>,
) {
    let mut newest = store.newest();
    loop {
        if let Err(fault) = catch_up(&*store, &mut publisher, &broadcast).await {
            tracing::error!(fault, "failed to apply new revocations; retrying");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        }
        tokio::select! {
            biased;
            changed = newest.changed() => if changed.is_err() { return },
            Some(RingUpdate { ring, seen }) = rings.recv() => {
                publisher.set_ring(ring);
                broadcast.renew_policy();
                // The waiting task may have ended.
                let _ = seen.send(());
            }
            () = renew.notified() => match snapshot(&*store).await {
                // Entries in the snapshot that the guard lacked reach readers from the store.
                Ok((revoked, _)) => {
                    publisher.replace(revoked);
                    broadcast.begin_anew(publisher.cursor());
                }
                Err(error) => tracing::warn!(%error, "failed to reload the set of revocations"),
            },
        }
    }
}

/// Applies all committed entries to the guard, then passes them to the readers of the feed. Reloads the set
/// of revocations if the log has a gap.
async fn catch_up(
    store: &dyn Store,
    publisher: &mut Publisher,
    broadcast: &FeedBroadcast,
) -> Result<(), String> {
    loop {
        let Followed { head, entries } =
            store.follow(publisher.cursor(), PAGE).await.map_err(|error| error.to_string())?;
        if entries.is_empty() {
            return Ok(());
        }
        if let Err(gap) = publisher.follow(&entries) {
            tracing::warn!(%gap, "reloading the set of revocations after a gap in the log");
            publisher.replace(snapshot(store).await.map_err(|error| error.to_string())?.0);
            broadcast.begin_anew(publisher.cursor());
            return Ok(());
        }
        broadcast.push(&entries);
        if publisher.cursor() >= head.seq {
            return Ok(());
        }
    }
}
