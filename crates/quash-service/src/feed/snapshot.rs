//! Snapshots for verifiers. They are read from the store page by page, as fast as the verifier takes them, so
//! that memory use doesn't depend on the log's length.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use quash_core::model::{ClientName, Entry, Seq, limits};
use quash_core::watch::frame::{CursorKey, FeedPolicy, SNAPSHOT_ROWS, SnapshotWriter};
use quash_store::Store;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::broadcast::WatchedCredential;
use super::refused::FeedRefused;
use crate::failure::Failure;

/// A snapshot that is being sent.
pub struct SnapshotFeed {
    store: Arc<dyn Store>,
    watched: WatchedCredential,
    /// Lines that are ready to be sent.
    ready: Option<String>,
    /// `None` once the last line is ready or was sent.
    writer: Option<SnapshotWriter>,
    /// The end of the log when the snapshot was begun.
    until: Seq,
    /// The end of the last page that was read.
    after: Seq,
    _permit: SnapshotPermit,
}

/// Limits the snapshots that are sent at once.
pub(crate) struct Snapshots {
    all: Arc<Semaphore>,
    of_credentials: Mutex<HashMap<ClientName, Weak<Semaphore>>>,
}

/// A permit to send a snapshot.
pub(crate) struct SnapshotPermit {
    _of_credential: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Snapshots {
    pub(crate) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(limits::SNAPSHOTS)), of_credentials: Mutex::default() }
    }

    /// Waits for a permit. Snapshots with one credential wait for each other first, so that they don't take
    /// the permits of others.
    pub(crate) async fn permit(&self, credential: &ClientName) -> Result<SnapshotPermit, AcquireError> {
        let of_credential = self.of(credential).acquire_owned().await?;
        let of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(SnapshotPermit { _of_credential: of_credential, _of_all: of_all })
    }

    fn of(&self, credential: &ClientName) -> Arc<Semaphore> {
        let mut of_credentials = self.of_credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = of_credentials.get(credential).and_then(Weak::upgrade) {
            return found;
        }
        of_credentials.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(limits::SNAPSHOTS_PER_CREDENTIAL));
        of_credentials.insert(credential.clone(), Arc::downgrade(&semaphore));
        semaphore
    }
}

impl SnapshotFeed {
    /// Begins a snapshot, and reads its first page.
    pub(crate) async fn begin(
        store: Arc<dyn Store>,
        policy: &FeedPolicy,
        cursors: &CursorKey,
        watched: WatchedCredential,
        permit: SnapshotPermit,
    ) -> Result<Self, FeedRefused> {
        // Read before any entry, so that entries written meanwhile follow the head without a gap.
        let head = store.head().await.map_err(Failure::from)?;
        let cursor = cursors.cursor(head.seq, &head.chain);
        let (writer, first) = SnapshotWriter::begin(policy, &cursor, &head.chain)?;
        let (until, after) = (head.seq, Seq::ZERO);
        let mut feed =
            Self { store, watched, ready: Some(first), writer: Some(writer), until, after, _permit: permit };
        let page = feed.page().await?;
        feed.ready = feed.ready.take().map(|first| first + &page);
        Ok(feed)
    }

    /// Returns the next lines, and `None` after the last.
    ///
    /// # Errors
    /// The store is unavailable, or the credential was removed. The snapshot ends early, and the verifier
    /// discards it.
    pub async fn next(&mut self) -> Option<Result<String, FeedRefused>> {
        if self.ready.is_none() && self.writer.is_none() {
            return None;
        }
        let next = match (self.watched.is_open().await, self.ready.take()) {
            (false, _) => Err(FeedRefused::Removed),
            (true, Some(ready)) => Ok(ready),
            (true, None) => self.page().await,
        };
        if next.is_err() {
            (self.ready, self.writer) = (None, None);
        }
        Some(next)
    }

    async fn page(&mut self) -> Result<String, FeedRefused> {
        let page =
            self.store.entries_between(self.after, self.until, SNAPSHOT_ROWS).await.map_err(Failure::from)?;
        let (Some((last, _)), Some(writer)) = (page.last(), &mut self.writer) else {
            return self.last().await;
        };
        self.after = last.seq;
        // Only the newest entry of a scope matters: it covers all tokens that the older ones do. Events that
        // were reported late are kept apart.
        let newest: Vec<Entry> =
            page.into_iter().filter(|(_, is_newest)| *is_newest).map(|(entry, _)| entry).collect();
        Ok(writer.rows(&newest))
    }

    async fn last(&mut self) -> Result<String, FeedRefused> {
        // Read last, because it also covers entries that were pruned before they were read here.
        let forgotten = self.store.head().await.map_err(Failure::from)?.forgotten;
        Ok(self.writer.take().map(|writer| writer.finish(forgotten)).unwrap_or_default())
    }
}
