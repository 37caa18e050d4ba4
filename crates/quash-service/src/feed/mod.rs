//! The feed inside this process: committed entries reach the guard in the order of their numbers, and go on from there.
//! What verifiers elsewhere are given is in `issuer.rs`.

mod leases;
mod outlet;
mod refused;
mod snapshot;

use std::sync::Arc;

use quash_core::model::{Entry, Head, Seq};
use quash_core::watch::Revoked;
use quash_core::watch::frame::CursorKey;
use quash_store::{Store, StoreError};
use quash_verify::Keeper;
use tokio::sync::{Notify, mpsc};

pub use self::leases::{Binding, InstanceId};
pub(crate) use self::leases::{LONGEST_TERM, Leases, remember_term};
pub(crate) use self::outlet::Outlet;
pub use self::outlet::{Delivery, FeedReader};
pub use self::refused::FeedRefused;
pub use self::snapshot::SnapshotFeed;
pub(crate) use self::snapshot::Snapshots;
use crate::keys::TurnRing;

/// What this process gives to verifiers.
pub(crate) struct Feed {
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) leases: Leases,
    pub(crate) cursors: CursorKey,
    pub(crate) scope_key: [u8; 16],
    pub(crate) snapshots: Snapshots,
}

/// How many entries are read at a time.
const PAGE: u32 = 1024;

/// The set of everything the log still remembers.
pub(crate) async fn snapshot(store: &dyn Store) -> Result<Revoked, StoreError> {
    let (head, entries) = everything(store).await?;
    Ok(Revoked::from_snapshot(head.seq, head.chain, &entries).forgetting(head.forgotten))
}

/// The log's end, everything that it still remembers up to there, and what it has forgotten.
async fn everything(store: &dyn Store) -> Result<(Head, Vec<Entry>), StoreError> {
    // The head is read first: an entry that comes meanwhile is then either in the snapshot too, which does no harm,
    // or follows the head without a gap.
    let head = store.head().await?;
    let mut entries = Vec::new();
    let mut after = Seq::ZERO;
    loop {
        let page = store.entries_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        entries.extend(page.into_iter().filter(|entry| entry.seq <= head.seq));
    }
    // Looked at last: it tells of what was deleted before it was read here, too.
    let forgotten = store.head().await?.forgotten;
    Ok((Head { forgotten, ..head }, entries))
}

/// Keeps the guard up with the log for as long as the process runs. `renew` asks for a new snapshot, after entries
/// have been deleted from the log; `rings` brings the key rings that take the place of the one before.
pub(crate) async fn follow(
    store: Arc<dyn Store>,
    mut keeper: Keeper,
    outlet: Arc<Outlet>,
    renew: Arc<Notify>,
    mut rings: mpsc::Receiver<TurnRing>,
) {
    let mut newest = store.newest();
    loop {
        if let Err(fault) = catch_up(&*store, &mut keeper, &outlet).await {
            tracing::error!(fault, "the set of revocations could not be brought up to date");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        }
        tokio::select! {
            biased;
            changed = newest.changed() => if changed.is_err() { return },
            Some(TurnRing { ring, seen }) = rings.recv() => {
                keeper.turn_ring(ring);
                outlet.renew_policy();
                // Whoever waited may have gone.
                let _ = seen.send(());
            }
            () = renew.notified() => match snapshot(&*store).await {
                // Entries that it has and the guard lacked reach readers from the store.
                Ok(revoked) => {
                    keeper.replace(revoked);
                    outlet.begin_anew(keeper.cursor());
                }
                Err(error) => tracing::warn!(%error, "the set of revocations could not be renewed"),
            },
        }
    }
}

async fn catch_up(store: &dyn Store, keeper: &mut Keeper, outlet: &Outlet) -> Result<(), String> {
    loop {
        let entries = store.entries_after(keeper.cursor(), PAGE).await.map_err(|error| error.to_string())?;
        if entries.is_empty() {
            return Ok(());
        }
        if let Err(gap) = keeper.follow(&entries) {
            tracing::warn!(%gap, "the log is read anew");
            keeper.replace(snapshot(store).await.map_err(|error| error.to_string())?);
            outlet.begin_anew(keeper.cursor());
            return Ok(());
        }
        outlet.push(&entries);
    }
}
