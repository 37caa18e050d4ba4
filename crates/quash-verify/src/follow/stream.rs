//! The task that receives entries: first a snapshot, then the stream, and another snapshot when something is
//! missing. It proves nothing about completeness; leases do (`lease.rs`).

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::Seq;
use quash_core::watch::frame::{FeedPolicy, Wanted};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use super::backoff::Backoff;
use super::fault::{Fault, StartError};
use super::http::{Http, SILENT, Stream};
use super::keeping::{Message, Signals, Started, Taken, Untaken};
use super::keys::Keys;
use super::sse::{Event, Parser};
use crate::shared::Shared;
use crate::verifier::VerifierState;

pub(crate) struct Streaming {
    pub(crate) http: Arc<Http>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) keeping: mpsc::Sender<Message>,
    pub(crate) backoff: Backoff,
    /// The longest that the issuer may send nothing. Doubles with each missing answer, until one arrives.
    pub(crate) within: Duration,
}

/// The reason why a connection is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Over {
    /// The issuer is away, or requires a snapshot.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// A message from the issuer can't be applied.
    #[error("{0}")]
    Untaken(#[from] Untaken),
    /// The issuer requires a snapshot, or a lease has shown that one is needed.
    #[error("a snapshot is needed")]
    Resync,
    /// An entry that exists hasn't arrived: the connection may be dead without notice.
    #[error("an entry is overdue")]
    Overdue,
    /// The fetched key set isn't the named one; a new connection starts with the current name.
    #[error("the key set is not the one that the feed names")]
    OtherKeys,
    /// The issuer was away and has answered a lease request: older requests may never be answered.
    #[error("the issuer answers again")]
    Back,
}

/// The treatment of a pending snapshot when the issuer is back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Give it up: it may never arrive.
    Little,
    /// Keep it: the one before was given up, and a large snapshot must arrive at some time, however often the
    /// issuer goes away and comes back.
    Much,
}

/// The longest that the issuer may send nothing at first. If a connection is dead, a new one answers at once.
pub(super) const WITHIN: Duration = Duration::from_millis(400);
/// The longest that the issuer may send nothing while it builds a snapshot: a large one takes seconds.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);
/// The factor over the last answer's time after which an answer counts as lost.
const SLOWER: u32 = 4;
/// The time that an existing entry may take to arrive.
const UNDER_WAY: Duration = Duration::from_millis(10);
/// The least time between two connections given up because of missing entries.
const OVERDUE_EVERY: Duration = Duration::from_millis(400);
/// The longest delay between attempts while there is no snapshot.
const INCOMPLETE: Duration = Duration::from_millis(400);
/// The age from which a connection counts as good.
const GOOD: Duration = Duration::from_secs(5);

impl Streaming {
    /// Receives entries until the process ends.
    pub(crate) async fn run(mut self) {
        let (mut turn, mut is_complete, mut patience) = (0, false, Patience::Little);
        loop {
            let began = self.shared.clock.uptime();
            let mut back = self.signals.back.subscribe();
            let over = self.follow(turn, &mut is_complete, patience, &mut back).await;
            if self.shared.standing() == VerifierState::Stale {
                // The issuer's keys may have changed without a new name having arrived.
                self.keys.name(None);
            }
            is_complete &= !over.asks_for_a_snapshot();
            if over == Over::Back {
                self.within = WITHIN;
            }
            patience = if over == Over::Back { Patience::Much } else { Patience::Little };
            self.report(over);
            if matches!(over, Over::Overdue | Over::OtherKeys) {
                continue;
            }
            turn += 1;
            if over == Over::Back {
                continue;
            }
            if self.shared.clock.uptime().saturating_sub(began) >= GOOD {
                self.backoff.reset();
            }
            // Before the first snapshot, no lease request would notice that the issuer is back.
            let delay = if is_complete { self.backoff.next() } else { self.backoff.next().min(INCOMPLETE) };
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
        turn: usize,
        is_complete: &mut bool,
        patience: Patience,
        back: &mut watch::Receiver<()>,
    ) -> Over {
        if !*is_complete {
            let begun = tokio::select! {
                biased;
                begun = self.begin_anew(turn) => begun,
                _ = back.changed(), if patience == Patience::Little => Err(Over::Back),
            };
            match begun {
                Ok(()) => *is_complete = true,
                Err(over) => return over,
            }
        }
        match self.read(turn, back).await {
            Ok(never) => match never {},
            Err(over) => over,
        }
    }

    /// Completes when a check needs an entry after the least delay, so that reconnecting isn't delayed further.
    async fn overdue(&self) {
        tokio::time::sleep(OVERDUE_EVERY).await;
        self.shared.poked.notified().await;
    }

    async fn begin_anew(&mut self, turn: usize) -> Result<(), Over> {
        // Fetches the keys before the snapshot, which may be large: without keys it is useless.
        let keys = self.http.keys(self.within.min(SILENT), None).await;
        let mut keys = self.heed(keys, SILENT)?;
        let snapshot = self.http.snapshot(turn, self.within).await;
        let snapshot = match self.heed(snapshot, SNAPSHOT_WITHIN)? {
            Ok(snapshot) => Box::new(snapshot),
            Err(fault) => return self.hand_over(|taken| Message::NotUnderstood(fault, taken)).await,
        };
        if !snapshot.policy.publishes(&keys) {
            let named = self.http.keys(self.within.min(SILENT), Some(&snapshot.policy)).await;
            keys = self.heed(named, SILENT)?;
        }
        self.keys.take(keys, &snapshot.policy).await?;
        self.hand_over(|taken| Message::Snapshot(snapshot, taken)).await?;
        self.signals.lease.notify_one();
        tracing::info!(
            entries = self.shared.state.load().revoked.len(),
            "took a snapshot of the issuer's log"
        );
        Ok(())
    }

    /// Doubles the limit for the next answer after a timeout, up to `most`.
    fn heed<T>(&mut self, answer: Result<T, Fault>, most: Duration) -> Result<T, Fault> {
        if matches!(answer, Err(Fault::Silent)) {
            self.within = (self.within * 2).min(most);
        }
        answer
    }

    async fn read(
        &mut self,
        turn: usize,
        back: &mut watch::Receiver<()>,
    ) -> Result<std::convert::Infallible, Over> {
        let place = self.signals.place.borrow().clone().ok_or(Over::Resync)?;
        let asked_at = self.shared.clock.uptime();
        let stream = tokio::select! {
            biased;
            stream = self.http.stream(turn, &place, self.within.min(SILENT)) => stream,
            _ = back.changed() => return Err(Over::Back),
            // A lease has shown that this place isn't in the log, so an answer from it would be useless.
            () = self.signals.snapshot.notified() => return Err(Over::Resync),
        };
        let mut stream = self.heed(stream, SILENT)?;
        // The issuer has answered, so its earlier absence no longer matters.
        back.mark_unchanged();
        let connected_at = self.shared.clock.uptime();
        self.within = (connected_at.saturating_sub(asked_at) * SLOWER).clamp(WITHIN, self.within);
        let mut parser = Parser::default();
        loop {
            let bytes = tokio::select! {
                biased;
                () = self.signals.snapshot.notified() => return Err(Over::Resync),
                () = self.keys.unnamed.notified() => return Err(Over::OtherKeys),
                bytes = stream.next() => bytes?,
                () = self.shared.poked.notified() => {
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
    ) -> Result<(), Over> {
        let is_missing = || *self.shared.proven.borrow() > *self.shared.cursor.borrow();
        let age = self.shared.clock.uptime().saturating_sub(connected_at);
        let mut time_is_up =
            std::pin::pin!(tokio::time::sleep(OVERDUE_EVERY.saturating_sub(age).max(UNDER_WAY)));
        while is_missing() {
            tokio::select! {
                biased;
                () = self.signals.snapshot.notified() => return Err(Over::Resync),
                bytes = stream.next() => self.take_bytes(parser, bytes?.as_ref()).await?,
                () = &mut time_is_up => return Err(Over::Overdue),
            }
        }
        Ok(())
    }

    async fn take_bytes(&self, parser: &mut Parser, bytes: &[u8]) -> Result<(), Over> {
        let mut events = Vec::new();
        parser.push(bytes, |event| events.push(event)).map_err(|_| Fault::TooLong)?;
        for event in events {
            self.take(&event).await?;
        }
        Ok(())
    }

    async fn take(&self, event: &Event) -> Result<(), Over> {
        match event.name.as_str() {
            "policy" => {
                let policy: Box<FeedPolicy> = Box::new(read(event)?);
                let named = policy.clone();
                self.hand_over(|taken| Message::Policy(policy, taken)).await?;
                self.keys.name(Some(&named));
                // Missed entries follow on this connection, and a lease proves that they are complete.
                self.signals.lease.notify_one();
            }
            "entries" => {
                let frame = read(event)?;
                self.hand_over(|taken| Message::Frame(frame, taken)).await?;
            }
            "wanted" => {
                let Wanted { seq } = read(event)?;
                // The keeping task ends only with the process.
                let _ = self.keeping.send(Message::Wanted(Seq::from_u64(seq))).await;
            }
            "resync" => return Err(Over::Resync),
            name => tracing::debug!(name, "ignoring an unknown event of the issuer's feed"),
        }
        Ok(())
    }

    async fn hand_over(&self, message: impl FnOnce(Taken) -> Message) -> Result<(), Over> {
        let (taken, outcome) = oneshot::channel();
        let sent = self.keeping.send(message(taken)).await;
        match (sent, outcome.await) {
            (Ok(()), Ok(outcome)) => Ok(outcome?),
            // The keeping task has ended, and this one is about to.
            _ => std::future::pending().await,
        }
    }

    fn report(&self, over: Over) {
        tracing::warn!(%over, "reconnecting to the issuer's feed");
        self.signals.started.send_if_modified(|started| {
            let Started::NotYet(before) = *started else { return false };
            *started = over.start_error(before);
            true
        });
    }
}

impl Over {
    fn asks_for_a_snapshot(self) -> bool {
        matches!(
            self,
            Self::Untaken(_)
                | Self::Resync
                | Self::Fault(Fault::SnapshotRequired | Fault::Unreadable | Fault::TooLong)
        )
    }

    /// Returns what this means for a verifier that hasn't started yet.
    fn start_error(self, before: Option<StartError>) -> Started {
        match self {
            Self::Fault(Fault::Status(401 | 403)) => Started::Never(StartError::CredentialRefused),
            Self::Fault(fault) => Started::NotYet(Some(StartError::Away(fault))),
            Self::Untaken(Untaken::NotUnderstood(fault)) => Started::Never(StartError::NotUnderstood(fault)),
            Self::Untaken(Untaken::Secret(error)) => Started::Never(error),
            Self::Untaken(Untaken::Astray(_) | Untaken::OtherEnd)
            | Self::Resync
            | Self::Overdue
            | Self::OtherKeys
            | Self::Back => Started::NotYet(before),
        }
    }
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, Fault> {
    serde_json::from_slice(&event.data).map_err(|_| Fault::Unreadable)
}
