//! The task that receives entries: first a snapshot, then the stream, and another snapshot when something is
//! missing. It proves nothing about completeness; leases do (`lease.rs`).

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::Seq;
use quash_core::watch::frame::{FeedPolicy, FrameFault, Wanted};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use super::backoff::Backoff;
use super::fault::{IssuerError, StartError};
use super::http::{Http, READ_TIMEOUT, Stream};
use super::keys::Keys;
use super::publisher_task::{ApplyError, Message, Reply, Signals, Started};
use super::sse::{Event, Parser};
use crate::shared::VerifierShared;
use crate::state::VerifierState;

pub(crate) struct Streaming {
    pub(crate) http: Arc<Http>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) shared: Arc<VerifierShared>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) publisher_task: mpsc::Sender<Message>,
    pub(crate) backoff: Backoff,
    /// The longest that the issuer may send nothing. Doubles with each missing answer, until one arrives.
    pub(crate) within: Duration,
}

/// The reason why a connection is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Disconnect {
    /// The issuer is unreachable, or requires a snapshot.
    #[error("{0}")]
    IssuerError(#[from] IssuerError),
    /// A message from the issuer can't be applied.
    #[error("{0}")]
    ApplyError(#[from] ApplyError),
    /// The issuer requires a snapshot, or a lease has shown that one is needed.
    #[error("a snapshot is needed")]
    Resync,
    /// An entry that exists hasn't arrived: the connection may be dead without notice.
    #[error("an entry is overdue")]
    Overdue,
    /// The fetched key set isn't the named one; a new connection starts with the current name.
    #[error("the key set is not the one that the feed names")]
    OtherKeys,
    /// The issuer was unreachable and has answered a lease request: older requests may never be answered.
    #[error("the issuer answers again")]
    Back,
}

/// The treatment of a pending snapshot when the issuer is back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SnapshotPolicy {
    /// Give it up: it may never arrive.
    GiveUp,
    /// Keep it: the one before was given up, and a large snapshot must arrive at some time, however often the
    /// issuer becomes unreachable and comes back.
    Keep,
}

/// The longest that the issuer may send nothing at first. If a connection is dead, a new one answers at once.
pub(crate) const WITHIN: Duration = Duration::from_millis(400);
/// The longest that the issuer may send nothing while it builds a snapshot: a large one takes seconds.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);
/// The factor over the last answer's time after which an answer counts as lost.
const SLOWER: u32 = 4;
/// The time that an existing entry may take to arrive.
const UNDER_WAY: Duration = Duration::from_millis(10);
/// The least time between two connections given up because of missing entries.
const OVERDUE_EVERY: Duration = Duration::from_millis(400);
/// The longest delay between attempts while there is no snapshot.
const MAX_SNAPSHOT_DELAY: Duration = Duration::from_millis(400);
/// The age from which a connection counts as stable.
const STABLE_AFTER: Duration = Duration::from_secs(5);

impl Streaming {
    /// Receives entries until the process ends.
    pub(crate) async fn run(mut self) {
        let (mut address_index, mut is_complete, mut snapshot_policy) = (0, false, SnapshotPolicy::GiveUp);
        loop {
            let began = self.shared.clock.uptime();
            let mut back = self.signals.back.subscribe();
            let disconnect = self.follow(address_index, &mut is_complete, snapshot_policy, &mut back).await;
            if self.shared.verifier_state() == VerifierState::Stale {
                // The issuer's keys may have changed without a new name having arrived.
                self.keys.name(None);
            }
            is_complete &= !disconnect.asks_for_a_snapshot();
            if disconnect == Disconnect::Back {
                self.within = WITHIN;
            }
            snapshot_policy =
                if disconnect == Disconnect::Back { SnapshotPolicy::Keep } else { SnapshotPolicy::GiveUp };
            self.report(disconnect);
            if matches!(disconnect, Disconnect::Overdue | Disconnect::OtherKeys) {
                continue;
            }
            address_index += 1;
            if disconnect == Disconnect::Back {
                continue;
            }
            if self.shared.clock.uptime().saturating_sub(began) >= STABLE_AFTER {
                self.backoff.reset();
            }
            // Before the first snapshot, no lease request would notice that the issuer is back.
            let delay =
                if is_complete { self.backoff.next() } else { self.backoff.next().min(MAX_SNAPSHOT_DELAY) };
            tokio::select! {
                biased;
                () = tokio::time::sleep(delay) => {}
                _ = back.changed() => {}
                () = self.overdue() => {}
            }
        }
    }

    /// Follows on one connection until it ends.
    async fn follow(
        &mut self,
        address_index: usize,
        is_complete: &mut bool,
        snapshot_policy: SnapshotPolicy,
        back: &mut watch::Receiver<()>,
    ) -> Disconnect {
        if !*is_complete {
            let begun = tokio::select! {
                biased;
                begun = self.take_snapshot(address_index) => begun,
                _ = back.changed(), if snapshot_policy == SnapshotPolicy::GiveUp => Err(Disconnect::Back),
            };
            match begun {
                Ok(()) => *is_complete = true,
                Err(disconnect) => return disconnect,
            }
        }
        match self.read(address_index, back).await {
            Ok(never) => match never {},
            Err(disconnect) => disconnect,
        }
    }

    /// Completes when a check needs an entry after the least delay, so that reconnecting isn't delayed
    /// further.
    async fn overdue(&self) {
        tokio::time::sleep(OVERDUE_EVERY).await;
        self.shared.missing_entry.notified().await;
    }

    async fn take_snapshot(&mut self, address_index: usize) -> Result<(), Disconnect> {
        // Fetches the keys before the snapshot, which may be large: without keys it is useless.
        let mut began = self.shared.clock.uptime();
        let keys = self.http.keys(self.within.min(READ_TIMEOUT), None).await;
        let mut keys = self.adapt_timeout(keys, READ_TIMEOUT)?;
        let snapshot = self.http.snapshot(address_index, self.within).await;
        let snapshot = match self.adapt_timeout(snapshot, SNAPSHOT_WITHIN)? {
            Ok(snapshot) => Box::new(snapshot),
            Err(fault) => return self.hand_over(|reply| Message::NotUnderstood(fault, reply)).await,
        };
        if !snapshot.policy.publishes(&keys) {
            began = self.shared.clock.uptime();
            let named = self.http.keys(self.within.min(READ_TIMEOUT), Some(&snapshot.policy)).await;
            keys = self.adapt_timeout(named, READ_TIMEOUT)?;
        }
        self.keys.take(keys, began, &snapshot.policy).await?;
        self.hand_over(|reply| Message::Snapshot(snapshot, reply)).await?;
        self.signals.lease.notify_one();
        tracing::info!(
            entries = self.shared.state.load().revoked.len(),
            "took a snapshot of the issuer's log"
        );
        Ok(())
    }

    /// Doubles the limit for the next answer after a timeout, up to `most`.
    fn adapt_timeout<T>(&mut self, answer: Result<T, IssuerError>, most: Duration) -> Result<T, IssuerError> {
        if matches!(answer, Err(IssuerError::TimedOut)) {
            self.within = (self.within * 2).min(most);
        }
        answer
    }

    async fn read(
        &mut self,
        address_index: usize,
        back: &mut watch::Receiver<()>,
    ) -> Result<std::convert::Infallible, Disconnect> {
        let place = self.signals.place.borrow().clone().ok_or(Disconnect::Resync)?;
        let asked_at = self.shared.clock.uptime();
        let stream = tokio::select! {
            biased;
            stream = self.http.stream(address_index, &place, self.within.min(READ_TIMEOUT)) => stream,
            _ = back.changed() => return Err(Disconnect::Back),
            // A lease has shown that this place isn't in the log, so an answer from it would be useless.
            () = self.signals.snapshot.notified() => return Err(Disconnect::Resync),
        };
        let mut stream = self.adapt_timeout(stream, READ_TIMEOUT)?;
        // The issuer has answered, so its earlier absence no longer matters.
        back.mark_unchanged();
        let connected_at = self.shared.clock.uptime();
        self.within = (connected_at.saturating_sub(asked_at) * SLOWER).clamp(WITHIN, self.within);
        let mut parser = Parser::default();
        loop {
            let bytes = tokio::select! {
                biased;
                () = self.signals.snapshot.notified() => return Err(Disconnect::Resync),
                () = self.keys.unnamed.notified() => return Err(Disconnect::OtherKeys),
                bytes = stream.next() => bytes?,
                () = self.shared.missing_entry.notified() => {
                    self.wait_for_overdue(&mut stream, &mut parser, connected_at).await?;
                    continue;
                }
            };
            self.take_bytes(&mut parser, bytes.as_ref()).await?;
        }
    }

    /// Waits a moment for an entry that a check needs. Gives up the connection if the entry doesn't arrive.
    async fn wait_for_overdue(
        &self,
        stream: &mut Stream,
        parser: &mut Parser,
        connected_at: Duration,
    ) -> Result<(), Disconnect> {
        let is_missing = || *self.shared.known_to_exist.borrow() > *self.shared.cursor.borrow();
        let age = self.shared.clock.uptime().saturating_sub(connected_at);
        let mut time_is_up =
            std::pin::pin!(tokio::time::sleep(OVERDUE_EVERY.saturating_sub(age).max(UNDER_WAY)));
        while is_missing() {
            tokio::select! {
                biased;
                () = self.signals.snapshot.notified() => return Err(Disconnect::Resync),
                bytes = stream.next() => self.take_bytes(parser, bytes?.as_ref()).await?,
                () = &mut time_is_up => return Err(Disconnect::Overdue),
            }
        }
        Ok(())
    }

    async fn take_bytes(&self, parser: &mut Parser, bytes: &[u8]) -> Result<(), Disconnect> {
        let mut events = Vec::new();
        parser.push(bytes, |event| events.push(event)).map_err(|_| IssuerError::TooLong)?;
        for event in events {
            self.take(&event).await?;
        }
        Ok(())
    }

    async fn take(&self, event: &Event) -> Result<(), Disconnect> {
        match event.name.as_str() {
            "policy" => {
                let policy: Box<FeedPolicy> = Box::new(read(event)?);
                let named = policy.clone();
                self.hand_over(|reply| Message::Policy(policy, reply)).await?;
                self.keys.name(Some(&named));
                // Missed entries follow on this connection, and a lease proves that they are complete.
                self.signals.lease.notify_one();
            }
            "entries" => {
                let frame = read(event)?;
                self.hand_over(|reply| Message::Frame(frame, reply)).await?;
            }
            "wanted" => {
                let Wanted { seq } = read(event)?;
                // The keeping task ends only with the process.
                let _ = self.publisher_task.send(Message::Wanted(Seq::from_u64(seq))).await;
            }
            "resync" => return Err(Disconnect::Resync),
            name => tracing::debug!(name, "ignoring an unknown event of the issuer's feed"),
        }
        Ok(())
    }

    async fn hand_over(&self, message: impl FnOnce(Reply) -> Message) -> Result<(), Disconnect> {
        let (reply, outcome) = oneshot::channel();
        let sent = self.publisher_task.send(message(reply)).await;
        match (sent, outcome.await) {
            (Ok(()), Ok(outcome)) => Ok(outcome?),
            // The keeping task has ended, and this one is about to.
            _ => std::future::pending().await,
        }
    }

    fn report(&self, disconnect: Disconnect) {
        tracing::warn!(over = %disconnect, "reconnecting to the issuer's feed");
        self.signals.started.send_if_modified(|started| {
            let Started::NotYet(before) = *started else { return false };
            *started = disconnect.start_error(before);
            true
        });
    }
}

impl Disconnect {
    fn asks_for_a_snapshot(self) -> bool {
        matches!(
            self,
            Self::ApplyError(_)
                | Self::Resync
                | Self::IssuerError(
                    IssuerError::SnapshotRequired | IssuerError::Unreadable | IssuerError::TooLong
                )
        )
    }

    /// Returns what this means for a verifier that hasn't started yet.
    fn start_error(self, before: Option<StartError>) -> Started {
        match self {
            Self::IssuerError(IssuerError::Status(401 | 403)) => {
                Started::Never(StartError::CredentialRefused)
            }
            Self::IssuerError(IssuerError::Version(version)) => {
                Started::Never(StartError::NotUnderstood(FrameFault::Version(version)))
            }
            Self::IssuerError(fault) => Started::NotYet(Some(StartError::Unavailable(fault))),
            Self::ApplyError(ApplyError::NotUnderstood(fault)) => {
                Started::Never(StartError::NotUnderstood(fault))
            }
            Self::ApplyError(ApplyError::Config(error)) => Started::Never(error),
            Self::ApplyError(ApplyError::FeedError(_) | ApplyError::Inconsistent)
            | Self::Resync
            | Self::Overdue
            | Self::OtherKeys
            | Self::Back => Started::NotYet(before),
        }
    }
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, IssuerError> {
    serde_json::from_slice(&event.data).map_err(|_| IssuerError::Unreadable)
}
