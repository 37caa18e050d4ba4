//! Follows the log of a store that several nodes share, in rounds: reads the head, applies the entries
//! before it, waits for its keys, and then publishes that the guard is complete as of the time at which the
//! round began.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quash_core::decide::NotedEntry;
use quash_core::model::{Clock, Followed, Forgotten, NotedEnd, Seq};
use quash_core::watch::Revoked;
use quash_store::{Coordination, Known, Store, StoreError};
use quash_verify::issuer::Publisher;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::Node;
use crate::feed::{FeedBroadcast, PAGE, compare, snapshot};
use crate::keys::RingUpdate;

pub(crate) struct NodeFollower {
    node: Arc<Node>,
    store: Arc<dyn Store>,
    coordination: Arc<dyn Coordination>,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
    broadcast: Arc<FeedBroadcast>,
    /// The rounds whose proof isn't published yet, at most one for each number of changes of the keys.
    unproven: VecDeque<Round>,
    /// The uptime at which the last round began.
    began: Duration,
    /// The uptime at which all rounds so far would have begun, had each waited for its turn.
    turn: Duration,
    /// The uptime until which rounds are frequent, because something has happened.
    busy_until: Duration,
    /// The uptime at which rounds began to fail, if they do.
    failing_since: Option<Duration>,
    /// The end of this node's lease, as far as it counts.
    until: Duration,
    /// The deleted entries that the guard knows of.
    forgotten: Forgotten,
    /// Whether entries were deleted that the guard still has. It refuses at least what they cover, so no round
    /// waits until it has forgotten them.
    has_deleted: bool,
}

/// The outcome of reading the whole set.
type ReadSet = Result<(Revoked, Forgotten), StoreError>;

/// A read of the log's head.
#[derive(Clone, Copy)]
struct Round {
    /// The uptime at which the read began.
    began: Duration,
    seq: Seq,
    ring: u64,
}

/// The reason why a round has proven nothing.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// The store didn't answer in time.
    #[error("the store doesn't answer")]
    Silent,
    #[error("{0}")]
    Failed(String),
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The time in which a read must end.
const READ_WITHIN: Duration = Duration::from_secs(1);
/// The time in which the whole log must be read.
const RENEWED_WITHIN: Duration = Duration::from_secs(60);
/// The shortest time between the beginnings of two rounds, on average.
const SHORTEST: Duration = Duration::from_millis(1);
/// The shortest time between the beginnings of two rounds after one that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(50);
/// The time by which rounds may be ahead of their turn: so many may begin one after the other.
const AHEAD: Duration = Duration::from_millis(10);
/// The time for which rounds must fail before the streams of the feed end.
const STREAMS_END_AFTER: Duration = Duration::from_secs(1);
/// The time between two rounds while someone reads the feed, or something was committed.
const BUSY: Duration = Duration::from_millis(10);
/// The time between two rounds otherwise.
const IDLE: Duration = Duration::from_millis(100);
/// The time for which rounds are frequent after an entry.
const BUSY_FOR: Duration = Duration::from_secs(1);

impl NodeFollower {
    pub(crate) fn new(
        node: Arc<Node>,
        store: Arc<dyn Store>,
        coordination: Arc<dyn Coordination>,
        clock: Arc<dyn Clock>,
        publisher: Publisher,
        broadcast: Arc<FeedBroadcast>,
        forgotten: Forgotten,
    ) -> Self {
        Self {
            node,
            store,
            coordination,
            clock,
            publisher,
            broadcast,
            unproven: VecDeque::new(),
            began: Duration::ZERO,
            turn: Duration::ZERO,
            busy_until: Duration::ZERO,
            failing_since: None,
            until: Duration::ZERO,
            forgotten,
            has_deleted: false,
        }
    }

    /// Follows the log for as long as the process runs. `renew` requests a new snapshot after entries have
    /// been deleted; `rings` delivers the key rings that replace the current one.
    pub(crate) async fn follow(mut self, renew: Arc<Notify>, mut rings: mpsc::Receiver<RingUpdate>) {
        let Some(mut proof_wanted) = self.publisher.proof_wanted() else { return };
        let mut newest = self.store.newest();
        let mut wanted = self.coordination.wanted();
        let (mut ring, mut recorded) = (self.node.ring.subscribe(), self.node.recorded.subscribe());
        let mut hinted = true;
        let mut shrinking: Option<JoinHandle<ReadSet>> = None;
        loop {
            if self.has_deleted && shrinking.is_none() {
                self.has_deleted = false;
                let store = Arc::clone(&self.store);
                shrinking = Some(tokio::spawn(async move { whole(&*store).await }));
            }
            let asked = *proof_wanted.borrow_and_update();
            let recorded_at = recorded.borrow_and_update().map_or(Duration::ZERO, |recorded| recorded.at);
            let is_asked = hinted || asked > self.began || recorded_at > self.began;
            let due = self.due_in(is_asked);
            tokio::select! {
                biased;
                Some(RingUpdate { ring, seen }) = rings.recv() => {
                    self.publisher.set_ring(ring);
                    self.broadcast.renew_policy();
                    // The waiting task may have ended.
                    let _ = seen.send(());
                }
                _ = ring.changed() => self.settle(),
                () = renew.notified() => self.has_deleted = true,
                read = finished(&mut shrinking) => {
                    shrinking = None;
                    // The next round notices again that entries were deleted.
                    if let Err(fault) = self.shrink(read).await {
                        tracing::warn!(%fault, "failed to reload the set of revocations");
                    }
                }
                () = pause(due) => {
                    hinted = false;
                    let read = self.round().await;
                    self.note(read);
                }
                changed = newest.changed() => hinted = hinted || changed.is_ok(),
                changed = wanted.changed() => hinted = hinted || changed.is_ok(),
                _ = proof_wanted.changed() => {}
                _ = recorded.changed() => {}
            }
        }
    }

    /// Notes the outcome of a round, and logs that rounds begin or cease to fail. After a while of failing, ends the streams of the feed:
    /// verifiers may find another node.
    fn note(&mut self, read: Result<(), Unread>) {
        let now = self.clock.uptime();
        self.node.is_refused.store(matches!(read, Err(Unread::Failed(_))), Ordering::Relaxed);
        match (read, self.failing_since) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                tracing::info!("reading the log's head again");
                self.failing_since = None;
            }
            (Err(fault), None) => {
                tracing::warn!(%fault, "failed to read the log's head; retrying");
                self.failing_since = Some(now);
            }
            (Err(_), Some(since)) if since + STREAMS_END_AFTER <= now => self.broadcast.interrupt(),
            (Err(_), Some(_)) => {}
        }
    }

    /// The time until the next round begins.
    fn due_in(&self, is_asked: bool) -> Duration {
        let now = self.clock.uptime();
        let begins = match (is_asked, self.failing_since.is_some()) {
            (_, true) => self.began + AFTER_FAILURE,
            // A request waits only if many came shortly before.
            (true, false) => self.turn.saturating_sub(AHEAD),
            (false, false) if now < self.busy_until || self.broadcast.has_readers() => self.began + BUSY,
            (false, false) => self.began + IDLE,
        };
        begins.saturating_sub(now)
    }

    async fn round(&mut self) -> Result<(), Unread> {
        // Read before the question is sent: what was committed before now is in the answer.
        let began = self.clock.uptime();
        self.began = began;
        self.turn = self.turn.max(began) + SHORTEST;
        let followed = within(self.store.follow(self.publisher.cursor(), PAGE)).await?;
        let round = Round { began, seq: followed.head.seq, ring: followed.head.ring };
        self.apply(followed).await?;
        match self.unproven.back_mut() {
            // It proves more, and needs no other keys.
            Some(last) if last.ring == round.ring => *last = round,
            Some(_) | None => self.unproven.push_back(round),
        }
        self.settle();
        Ok(())
    }

    /// Applies everything up to a head.
    async fn apply(&mut self, followed: Followed) -> Result<(), Unread> {
        let Followed { head, mut entries } = followed;
        let cursor = self.publisher.cursor();
        if head.seq < cursor || (head.seq == cursor && head.chain != self.publisher.chain()) {
            return Err(self.doubt(head.seq));
        }
        if head.settings != self.node.settings {
            self.publisher.fence();
            let fault = "another node has changed the settings that define tokens";
            return Err(Unread::Failed(fault.into()));
        }
        if head.longest_lifetime > self.publisher.longest_lifetime() {
            self.publisher.set_longest_lifetime(head.longest_lifetime);
            self.broadcast.renew_policy();
        }
        self.node
            .ring_in_store
            .send_if_modified(|ring| std::mem::replace(ring, head.ring.max(*ring)) < head.ring);
        self.has_deleted |= head.forgotten.seq != self.forgotten.seq;
        while self.publisher.cursor() < head.seq {
            if let Err(gap) = self.publisher.follow(&entries) {
                tracing::warn!(%gap, "reloading the set of revocations after a gap in the log");
                entries.clear();
            }
            if entries.is_empty() {
                return self.renew().await;
            }
            self.broadcast.push(&entries);
            self.busy_until = self.clock.uptime() + BUSY_FOR;
            if self.publisher.cursor() < head.seq {
                entries = within(self.store.entries_after(self.publisher.cursor(), PAGE)).await?;
            }
        }
        Ok(())
    }

    /// The end of the log as far as the guard has it.
    fn known(&self) -> NotedEnd {
        NotedEnd { seq: self.publisher.cursor(), chain: Some(self.publisher.chain()) }
    }

    /// Reports that the store's log, which ends at `end`, isn't the known one. Until that is settled, nothing is
    /// proven.
    fn doubt(&self, end: Seq) -> Unread {
        let known = self.known();
        if let Some(server) = &self.node.fail_over {
            server.doubt(known);
        }
        Unread::Failed(format!("the log ends at {end}, which isn't the known log up to {}", known.seq))
    }

    /// Replaces the whole set.
    async fn renew(&mut self) -> Result<(), Unread> {
        let (revoked, forgotten) = whole(&*self.store).await?;
        self.replace(revoked, forgotten).await
    }

    /// Replaces the whole set with one that lacks deleted entries, after adding what was committed while it was read.
    async fn shrink(&mut self, read: ReadSet) -> Result<(), Unread> {
        let (mut revoked, forgotten) = read?;
        while revoked.cursor() < self.publisher.cursor() {
            let entries = within(self.store.entries_after(revoked.cursor(), PAGE)).await?;
            if entries.is_empty() {
                return Err(Unread::Failed("newer entries were deleted meanwhile".into()));
            }
            for entry in &entries {
                revoked.follow(entry).map_err(|gap| Unread::Failed(gap.to_string()))?;
            }
        }
        self.replace(revoked, forgotten).await
    }

    async fn replace(&mut self, revoked: Revoked, forgotten: Forgotten) -> Result<(), Unread> {
        // A log that went back may have grown since beyond what this node knows: then the set lacks what is lost.
        let (head, known) = within(compare(&*self.store, self.known())).await?;
        if known == NotedEntry::Lost {
            return Err(self.doubt(head.seq));
        }
        // Entries in the snapshot that the guard lacked reach readers from the store.
        self.publisher.replace(revoked);
        self.broadcast.begin_anew(self.publisher.cursor());
        self.forgotten = forgotten;
        self.has_deleted = false;
        Ok(())
    }

    /// Publishes the proof of the newest round whose entries and keys the guard has.
    fn settle(&mut self) {
        let published = Known { seq: self.publisher.cursor(), ring: self.node.ring() };
        let mut proven = None;
        while let Some(round) = self.unproven.front()
            && published.seq >= round.seq
            && published.ring >= round.ring
        {
            proven = Some(round.began);
            self.unproven.pop_front();
        }
        if let Some(at) = proven {
            // A lease counts once it was recorded before the head was read.
            if let Some(recorded) = self.node.recorded.borrow().filter(|recorded| recorded.at <= at) {
                self.until = self.until.max(recorded.until);
            }
            self.publisher.prove(at, self.until);
            self.node.until.send_replace(self.until);
            self.node.proven.send_replace(at);
        }
        self.node.published.send_if_modified(|before| std::mem::replace(before, published) != published);
    }
}

/// Sleeps. The timer counts in whole milliseconds, and would also delay what is due now.
async fn pause(due: Duration) {
    if !due.is_zero() {
        tokio::time::sleep(due).await;
    }
}

/// Reads the whole set.
async fn whole(store: &dyn Store) -> ReadSet {
    let unavailable = || StoreError::Unavailable("the store doesn't answer".into());
    tokio::time::timeout(RENEWED_WITHIN, snapshot(store)).await.unwrap_or_else(|_| Err(unavailable()))
}

/// Waits for a read of the whole set, if there is one.
async fn finished(read: &mut Option<JoinHandle<ReadSet>>) -> ReadSet {
    let interrupted = || StoreError::Unavailable("the read was interrupted".into());
    match read {
        Some(read) => read.await.unwrap_or_else(|_| Err(interrupted())),
        None => std::future::pending().await,
    }
}

/// Reads from the store, with a limit of time.
async fn within<T>(read: impl Future<Output = Result<T, StoreError>>) -> Result<T, Unread> {
    match tokio::time::timeout(READ_WITHIN, read).await {
        Ok(found) => Ok(found?),
        Err(_) => Err(Unread::Silent),
    }
}
