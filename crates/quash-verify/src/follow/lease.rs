//! The task that requests leases, which prove that no entry is missing. A lease counts from the moment of its
//! request by this process's own clock, which is read before the request is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quash_core::model::Clock;
use quash_core::watch::Lease;
use quash_core::watch::frame::{Cursor, LeaseNonce};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::fault::Fault;
use super::http::Http;
use super::keeping::{Message, Signals};
use crate::shared::Shared;
use crate::verifier::VerifierState;

pub(crate) struct Leasing {
    pub(crate) http: Arc<Http>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) keeping: mpsc::Sender<Message>,
    /// The random id of this process.
    pub(crate) instance: Arc<str>,
    pub(crate) unbound: Arc<AtomicBool>,
    pub(crate) backoff: Backoff,
    /// The random first half of this process's nonces.
    pub(crate) nonces: u64,
    /// The number of requests so far.
    pub(crate) asked: u64,
}

/// One lease request.
struct Question {
    http: Arc<Http>,
    clock: Arc<dyn Clock>,
    turn: usize,
    cursor: Cursor,
    instance: Arc<str>,
    nonce: LeaseNonce,
    policy: &'static str,
}

/// The issuer's state as this task sees it.
struct Course {
    /// The index of the current address.
    turn: usize,
    /// The interval between requests.
    every: Duration,
    /// A request was left without an answer.
    is_away: bool,
    /// The state that was last logged.
    told: VerifierState,
}

/// The first interval. Once the issuer has named the leases' term, the interval is a third of that.
const FIRST_EVERY: Duration = Duration::from_secs(3);
/// The least and the greatest interval, for every term that the issuer may name.
const EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(100));
/// The delay before another request on another connection while none is answered. A network that drops all
/// packets doesn't signal when it works again, and the verifier should know all that it missed within a
/// second of that.
const AGAIN: Duration = Duration::from_millis(400);
/// The most requests that wait for an answer at the same time.
const QUESTIONS: usize = 5;

impl Leasing {
    /// Requests leases until the process ends.
    pub(crate) async fn run(mut self) {
        let mut course = Course { turn: 0, every: FIRST_EVERY, is_away: false, told: VerifierState::Boot };
        let mut place = self.signals.place.subscribe();
        loop {
            if place.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let wait = match self.ask(&mut course).await {
                Ok(term) => {
                    self.backoff.reset();
                    self.note_back(&mut course.is_away);
                    course.every = (term / 3).clamp(EVERY.0, EVERY.1);
                    course.every
                }
                Err(fault) => {
                    course.turn += 1;
                    tracing::debug!(%fault, "failed to renew the lease");
                    if fault == Fault::SnapshotRequired {
                        self.note_back(&mut course.is_away);
                        self.signals.snapshot.notify_one();
                    } else {
                        course.is_away = true;
                    }
                    self.backoff.next().min(AGAIN).min(course.every)
                }
            };
            self.tell(&mut course.told);
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => {}
                () = self.signals.lease.notified() => {}
            }
            self.tell(&mut course.told);
        }
    }

    /// Notes that the issuer has answered. If it had been away, requests that still wait can be given up.
    fn note_back(&self, is_away: &mut bool) {
        if std::mem::take(is_away) {
            self.signals.back.send_replace(());
        }
    }

    /// Requests a lease until an answer arrives, and returns the lease's term.
    async fn ask(&mut self, course: &mut Course) -> Result<Duration, Fault> {
        let mut questions = JoinSet::new();
        loop {
            if questions.len() < QUESTIONS {
                questions.spawn(self.question(course.turn)?.ask());
            }
            match tokio::time::timeout(AGAIN.min(course.every), questions.join_next()).await {
                Ok(Some(Ok(Ok((lease, term))))) => {
                    // The keeping task ends only with the process.
                    let _ = self.keeping.send(Message::Lease(lease, term)).await;
                    return Ok(term);
                }
                Err(_) | Ok(Some(Ok(Err(Fault::Silent)))) => {
                    course.turn += 1;
                    course.is_away = true;
                    self.tell(&mut course.told);
                }
                Ok(Some(Ok(Err(fault)))) => return Err(fault),
                Ok(Some(Err(_)) | None) => return Err(Fault::Silent),
            }
        }
    }

    fn question(&mut self, turn: usize) -> Result<Question, Fault> {
        let cursor = self.signals.place.borrow().clone().ok_or(Fault::SnapshotRequired)?;
        Ok(Question {
            http: Arc::clone(&self.http),
            clock: Arc::clone(&self.shared.clock),
            turn,
            cursor,
            instance: Arc::clone(&self.instance),
            nonce: self.next_nonce(),
            policy: if self.unbound.load(Ordering::Relaxed) { "allow" } else { "deny" },
        })
    }

    /// Returns a nonce that no other request has.
    fn next_nonce(&mut self) -> LeaseNonce {
        self.asked += 1;
        LeaseNonce((u128::from(self.nonces) << 64 | u128::from(self.asked)).to_be_bytes())
    }

    /// Logs when the verifier becomes stale, and when it is fresh again.
    fn tell(&self, told: &mut VerifierState) {
        let now = self.shared.standing();
        let before = std::mem::replace(told, now);
        let is_stale = |state| state == VerifierState::Stale;
        match (is_stale(before), is_stale(now)) {
            (false, true) if before != VerifierState::Boot => {
                tracing::warn!(
                    "the verifier is stale: its lease has expired, and revocations may be missing"
                );
            }
            (true, false) => tracing::info!("the verifier is fresh again"),
            _ => {}
        }
    }
}

impl Question {
    /// Returns the lease and its term.
    async fn ask(self) -> Result<(Lease, Duration), Fault> {
        let sent_at = self.clock.uptime();
        let grant = self.http.lease(self.turn, &self.cursor, &self.instance, self.nonce, self.policy).await?;
        if grant.nonce() != self.nonce {
            // The answer belongs to another request, which may be old.
            return Err(Fault::Unreadable);
        }
        let lease =
            Lease { sent_at, cursor: self.cursor.seq(), head: grant.cursor().seq(), chain: grant.chain() };
        Ok((lease, grant.term()))
    }
}
