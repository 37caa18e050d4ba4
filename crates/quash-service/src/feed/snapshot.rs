//! Snapshots for verifiers: read from the store page by page, as fast as the verifier takes them, so that one costs the same
//! memory however long the log is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use quash_core::model::{ClientName, Entry, Seq, limits};
use quash_core::watch::frame::{CursorKey, FeedPolicy, SNAPSHOT_ROWS, SnapshotWriter};
use quash_store::Store;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::outlet::Watched;
use super::refused::FeedRefused;
use crate::failure::Failure;

/// A snapshot that is being sent.
pub struct SnapshotFeed {
    store: Arc<dyn Store>,
    watched: Watched,
    /// Lines that are ready to be sent.
    ready: Option<String>,
    /// `None`: the last line is ready, or was sent.
    writer: Option<SnapshotWriter>,
    /// The end of the log when the snapshot was begun.
    until: Seq,
    /// The end of the last page that was read.
    after: Seq,
    _turn: Turn,
}

/// How many snapshots are being sent.
pub(crate) struct Snapshots {
    all: Arc<Semaphore>,
    of_credentials: Mutex<HashMap<ClientName, Weak<Semaphore>>>,
}

/// The place of a snapshot among those that are sent at a time.
pub(crate) struct Turn {
    _of_credential: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Snapshots {
    pub(crate) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(limits::SNAPSHOTS)), of_credentials: Mutex::default() }
    }

    /// Waits for a place. Those with one credential wait for each other first, so that they don't fill the places of others.
    pub(crate) async fn turn(&self, credential: &ClientName) -> Result<Turn, AcquireError> {
        let of_credential = self.of(credential).acquire_owned().await?;
        let of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Turn { _of_credential: of_credential, _of_all: of_all })
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
        watched: Watched,
        turn: Turn,
    ) -> Result<Self, FeedRefused> {
        // Before any entry: one that is written meanwhile follows the head without a gap.
        let head = store.head().await.map_err(Failure::from)?;
        let cursor = cursors.cursor(head.seq, &head.chain);
        let (writer, first) = SnapshotWriter::begin(policy, &cursor, &head.chain);
        let (until, after) = (head.seq, Seq::ZERO);
        let mut feed =
            Self { store, watched, ready: Some(first), writer: Some(writer), until, after, _turn: turn };
        let page = feed.page().await?;
        feed.ready = feed.ready.take().map(|first| first + &page);
        Ok(feed)
    }

    /// Returns the next lines; `None` after the last.
    ///
    /// # Errors
    /// The store is away, or the credential was removed: the snapshot ends early, and is not taken by the verifier.
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
        // An older entry of a scope says nothing that the newest doesn't: for a verifier, which takes no tokens of other
        // issuers, only the number counts.
        let newest: Vec<Entry> =
            page.into_iter().filter(|(_, is_newest)| *is_newest).map(|(entry, _)| entry).collect();
        Ok(writer.rows(&newest))
    }

    async fn last(&mut self) -> Result<String, FeedRefused> {
        // Read last: it tells of entries that were deleted before they were read here, too.
        let forgotten = self.store.head().await.map_err(Failure::from)?.forgotten;
        Ok(self.writer.take().map(|writer| writer.finish(forgotten)).unwrap_or_default())
    }
}
