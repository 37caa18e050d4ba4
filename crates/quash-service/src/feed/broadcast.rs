//! Delivers entries that this process's guard has applied to the readers of the feed. Readers share one
//! bounded backlog and keep only their position; a reader that has fallen behind the backlog reads from the
//! store, at its own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Clock, Entry, Seq};
use quash_core::watch::feed::is_next;
use quash_core::watch::frame::{CursorKey, Frame, FrameEntry, Wanted};
use quash_store::Store;
use tokio::sync::watch;

use crate::credential::Credential;

/// Hands entries to readers.
pub(crate) struct FeedBroadcast {
    recent: Mutex<VecDeque<Arc<Entry>>>,
    newest: watch::Sender<Seq>,
    closed: watch::Sender<bool>,
    /// The newest number at the last change of the issuer's policy.
    policy: watch::Sender<Seq>,
    /// Changes when a credential is removed.
    credentials: watch::Sender<()>,
    /// Changes when the readers of now must find another node.
    interruptions: watch::Sender<()>,
}

/// Tracks whether the credential of a stream or snapshot is still valid.
pub(crate) struct WatchedCredential {
    store: Arc<dyn Store>,
    credential: Credential,
    removals: watch::Receiver<()>,
}

/// One reader's position in the feed. It keeps no entries.
pub struct FeedReader {
    broadcast: Arc<FeedBroadcast>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    cursors: CursorKey,
    cursor: Seq,
    announced: Seq,
    /// The uptime at which it last got entries.
    sent_at: Option<Duration>,
    newest: watch::Receiver<Seq>,
    wanted: watch::Receiver<Seq>,
    closed: watch::Receiver<bool>,
    policy: watch::Receiver<Seq>,
    interruptions: watch::Receiver<()>,
    watched: WatchedCredential,
}

/// The next message for a reader.
#[derive(Clone)]
pub enum FeedEvent {
    /// The issuer's policy has changed.
    Policy,
    /// New entries of the log.
    Entries(Frame),
    /// A request waits until every verifier knows this sequence number.
    Wanted(Wanted),
    /// The next entries have been pruned: the reader needs a snapshot.
    Resync,
    /// A keep-alive after a quiet period.
    Nothing,
}

/// The number of entries in the shared backlog.
const RECENT: usize = 16_384;
/// The most entries in a frame.
const FRAME: u32 = 512;
/// The time after a frame during which new entries are collected into the next one.
const SHARE: Duration = Duration::from_millis(2);
/// The longest time without a message to a reader.
const QUIET: Duration = Duration::from_secs(15);

impl FeedBroadcast {
    pub(crate) fn new(cursor: Seq) -> Self {
        let (newest, closed) = (watch::Sender::new(cursor), watch::Sender::new(false));
        let [credentials, interruptions] = [(); 2].map(watch::Sender::new);
        let (recent, policy) = (Mutex::default(), watch::Sender::new(cursor));
        Self { recent, newest, closed, policy, credentials, interruptions }
    }

    /// Appends the next entries of the log.
    pub(crate) fn push(&self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend(entries.iter().cloned().map(Arc::new));
        let surplus = recent.len().saturating_sub(RECENT);
        recent.drain(..surplus);
        drop(recent);
        self.newest.send_replace(last.seq);
    }

    /// Clears the backlog, because the log was read anew up to `cursor` and not entry by entry.
    pub(crate) fn begin_anew(&self, cursor: Seq) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.newest.send_replace(cursor);
    }

    /// Notifies all readers of a changed policy.
    pub(crate) fn renew_policy(&self) {
        self.policy.send_replace(*self.newest.borrow());
    }

    /// Makes all readers check their credentials.
    pub(crate) fn recheck_credentials(&self) {
        self.credentials.send_replace(());
    }

    /// Watches a credential from now on. It is checked once in any case, because it may have been removed
    /// just before.
    pub(crate) fn watch(&self, store: Arc<dyn Store>, credential: Credential) -> WatchedCredential {
        let mut removals = self.credentials.subscribe();
        removals.mark_changed();
        WatchedCredential { store, credential, removals }
    }

    /// Returns whether anyone reads the feed.
    pub(crate) fn has_readers(&self) -> bool {
        self.readers() > 0
    }

    /// The number of readers.
    pub(crate) fn readers(&self) -> usize {
        self.newest.receiver_count()
    }

    /// Ends the readers of now: this process can't read the log, and they may find another node that can.
    pub(crate) fn interrupt(&self) {
        self.interruptions.send_replace(());
    }

    /// Ends all readers.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// The entries after `cursor`. `None` if only the store has them.
    fn after(&self, cursor: Seq) -> Option<Vec<Arc<Entry>>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let from = recent.partition_point(|entry| entry.seq <= cursor);
        match recent.get(from) {
            Some(next) if !is_next(cursor, next.seq) => None,
            Some(_) => Some(recent.iter().skip(from).take(FRAME as usize).cloned().collect()),
            None if *self.newest.borrow() > cursor => None,
            None => Some(Vec::new()),
        }
    }
}

impl FeedReader {
    pub(crate) fn new(
        broadcast: Arc<FeedBroadcast>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        cursors: CursorKey,
        cursor: Seq,
        wanted: watch::Receiver<Seq>,
        watched: WatchedCredential,
    ) -> Self {
        let (newest, closed) = (broadcast.newest.subscribe(), broadcast.closed.subscribe());
        let (policy, interruptions) = (broadcast.policy.subscribe(), broadcast.interruptions.subscribe());
        Self {
            broadcast,
            store,
            clock,
            cursors,
            cursor,
            announced: Seq::ZERO,
            sent_at: None,
            newest,
            wanted,
            closed,
            policy,
            interruptions,
            watched,
        }
    }

    /// The next message. `None` if the feed has ended (the reader may reconnect, also to another node) or the
    /// credential was removed. After a quiet period, the first entry is sent at once; entries that follow within moments
    /// share a frame.
    pub async fn next(&mut self) -> Option<FeedEvent> {
        loop {
            let has_ended =
                *self.closed.borrow_and_update() || self.interruptions.has_changed().unwrap_or(true);
            if has_ended || !self.watched.is_open().await {
                return None;
            }
            // After the entries before it: a verifier that reads the published keys without a revoked one must
            // know the revocation.
            if self.policy.has_changed().ok()? && *self.policy.borrow() <= self.cursor {
                self.policy.mark_unchanged();
                return Some(FeedEvent::Policy);
            }
            self.newest.mark_unchanged();
            let wanted = *self.wanted.borrow_and_update();
            if wanted > self.announced && wanted <= self.cursor {
                self.announced = wanted;
                return Some(FeedEvent::Wanted(Wanted { seq: wanted.as_u64() }));
            }
            match self.more().await? {
                More::Entries(frame) => return Some(FeedEvent::Entries(frame)),
                More::Gone => return Some(FeedEvent::Resync),
                More::Nothing => {}
            }
            tokio::select! {
                biased;
                changed = self.newest.changed() => changed.ok()?,
                changed = self.wanted.changed() => changed.ok()?,
                changed = self.closed.changed() => changed.ok()?,
                _ = self.interruptions.changed() => return None,
                changed = self.policy.changed() => {
                    changed.ok()?;
                    return Some(FeedEvent::Policy);
                }
                () = self.watched.needs_check() => {}
                () = tokio::time::sleep(QUIET) => return Some(FeedEvent::Nothing),
            }
        }
    }

    async fn more(&mut self) -> Option<More> {
        let newest = *self.newest.borrow();
        let mut entries = self.entries().await?;
        if entries.is_empty() {
            return Some(if newest > self.cursor { More::Gone } else { More::Nothing });
        }
        let sent_before = self.sent_at.map(|sent_at| self.clock.uptime().saturating_sub(sent_at));
        if let Some(still) = sent_before.and_then(|span| SHARE.checked_sub(span)) {
            tokio::time::sleep(still).await;
            entries = self.entries().await?;
        }
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Some(More::Nothing) };
        if !is_next(self.cursor, first.seq) {
            return Some(More::Gone);
        }
        let cursor = self.cursors.cursor(last.seq, &last.chain);
        self.cursor = last.seq;
        self.sent_at = Some(self.clock.uptime());
        let entries = entries.iter().map(|entry| FrameEntry::from(&**entry)).collect();
        Some(More::Entries(Frame { cursor, entries }))
    }

    async fn entries(&self) -> Option<Vec<Arc<Entry>>> {
        match self.broadcast.after(self.cursor) {
            Some(entries) => Some(entries),
            None => Some(
                self.store.entries_after(self.cursor, FRAME).await.ok()?.into_iter().map(Arc::new).collect(),
            ),
        }
    }
}

impl WatchedCredential {
    /// Returns whether the credential is valid. It is checked again only after a credential was removed.
    pub(crate) async fn is_open(&mut self) -> bool {
        if !self.removals.has_changed().unwrap_or(true) {
            return true;
        }
        self.removals.mark_unchanged();
        if self.credential.is_valid(&*self.store).await {
            return true;
        }
        self.removals.mark_changed();
        false
    }

    /// Returns once a credential was removed, until [`WatchedCredential::is_open`] has checked this one.
    async fn needs_check(&mut self) {
        if self.removals.changed().await.is_ok() {
            self.removals.mark_changed();
        }
    }
}

enum More {
    Entries(Frame),
    Gone,
    Nothing,
}
