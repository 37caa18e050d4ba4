//! The task that brings entries: a snapshot first, then the stream, and a snapshot again where something is missing. It
//! delivers; what that proves is the business of leases.

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
    /// How long the issuer may be silent that is asked: longer with each answer that didn't come, until one does.
    pub(crate) within: Duration,
}

/// Why a connection is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum Over {
    /// The issuer is away, or asks for a snapshot.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// What came from it isn't taken.
    #[error("{0}")]
    Untaken(#[from] Untaken),
    /// It wants this verifier to take a snapshot, or a lease has shown that it must.
    #[error("a snapshot is needed")]
    Resync,
    /// An entry that exists hasn't come: the connection may be dead without anybody knowing.
    #[error("an entry that exists has not come")]
    Overdue,
    /// A key set was read that isn't the one that is named: another connection begins with its name.
    #[error("the issuer's keys are not those that it has named")]
    OtherKeys,
    /// The issuer was away and has answered about a lease: what was asked before may never be answered.
    #[error("the issuer is back")]
    Back,
}

/// Whether a snapshot that is on its way is given up when the issuer is back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// It is: it may never come.
    Little,
    /// It isn't: the one before was, and large ones must come some time, however often the issuer goes away and is back.
    Much,
}

/// How long the issuer may be silent at first: a connection may be dead, and what is asked on another is answered at once.
pub(super) const WITHIN: Duration = Duration::from_millis(400);
/// How long it may be at most while it makes a snapshot, and answers else: a large one takes seconds.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);
/// An answer that takes so many times as long as the last one won't come.
const SLOWER: u32 = 4;
/// An entry that exists is on its way for as long as this.
const UNDER_WAY: Duration = Duration::from_millis(10);
/// A connection isn't given up more often than this because of entries that haven't come.
const OVERDUE_EVERY: Duration = Duration::from_millis(400);
/// How long the issuer is left alone at most that has given no snapshot.
const INCOMPLETE: Duration = Duration::from_millis(400);
/// A connection that has lasted this long was a good one.
const GOOD: Duration = Duration::from_secs(5);

impl Streaming {
    /// Brings entries for as long as the process runs.
    pub(crate) async fn run(mut self) {
        let (mut turn, mut is_complete, mut patience) = (0, false, Patience::Little);
        loop {
            let began = self.shared.clock.uptime();
            let mut back = self.signals.back.subscribe();
            let over = self.follow(turn, &mut is_complete, patience, &mut back).await;
            if self.shared.standing() == VerifierState::Stale {
                // The issuer's keys may have changed, and nothing has named them here for a while.
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
            // Nobody else asks whether it is back before there has been a snapshot.
            let delay = if is_complete { self.backoff.next() } else { self.backoff.next().min(INCOMPLETE) };
            tokio::select! {
                biased;
                () = tokio::time::sleep(delay) => {}
                _ = back.changed() => {}
                () = self.overdue() => {}
            }
        }
    }

    /// Follows on one connection until it is over.
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

    /// Somebody has been waiting for an entry for a while, so nobody is spared by waiting longer.
    async fn overdue(&self) {
        tokio::time::sleep(OVERDUE_EVERY).await;
        self.shared.poked.notified().await;
    }

    async fn begin_anew(&mut self, turn: usize) -> Result<(), Over> {
        // Before the snapshot, which may be large: without keys it is of no use.
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
            "a snapshot of the issuer's log was taken"
        );
        Ok(())
    }

    /// Waits for longer the next time where no answer came in time, but not for longer than this.
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
            // A lease has shown that this place is none of the log: whatever is answered from there, if anything is, is no use.
            () = self.signals.snapshot.notified() => return Err(Over::Resync),
        };
        let mut stream = self.heed(stream, SILENT)?;
        // It has answered: that it was away before is over.
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

    /// Somebody waits for an entry that exists: either it comes in a moment, or the connection is given up.
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
                // The connection stands: what was missed meanwhile comes next, and a lease proves it.
                self.signals.lease.notify_one();
            }
            "entries" => {
                let frame = read(event)?;
                self.hand_over(|taken| Message::Frame(frame, taken)).await?;
            }
            "wanted" => {
                let Wanted { seq } = read(event)?;
                // The keeping task ends with the process.
                let _ = self.keeping.send(Message::Wanted(Seq::from_u64(seq))).await;
            }
            "resync" => return Err(Over::Resync),
            name => tracing::debug!(name, "the issuer sends an event that this program does not know"),
        }
        Ok(())
    }

    async fn hand_over(&self, message: impl FnOnce(Taken) -> Message) -> Result<(), Over> {
        let (taken, outcome) = oneshot::channel();
        let sent = self.keeping.send(message(taken)).await;
        match (sent, outcome.await) {
            (Ok(()), Ok(outcome)) => Ok(outcome?),
            // The keeping task has ended, and so does this one.
            _ => std::future::pending().await,
        }
    }

    fn report(&self, over: Over) {
        tracing::warn!(%over, "the connection to the issuer is given up, and another is made");
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

    /// What this means for a verifier that has never known anything.
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
