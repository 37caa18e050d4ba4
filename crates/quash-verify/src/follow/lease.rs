//! The task that asks for leases: proof that nothing is missing. A lease counts from the moment at which it was asked
//! for, by this process's own clock, read before the question leaves.

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
    /// Random, and of this process alone.
    pub(crate) instance: Arc<str>,
    pub(crate) unbound: Arc<AtomicBool>,
    pub(crate) backoff: Backoff,
    /// What the nonces of this process begin with: random.
    pub(crate) nonces: u64,
    /// How often it has asked.
    pub(crate) asked: u64,
}

/// One question, and what must be known of it when its answer comes.
struct Question {
    http: Arc<Http>,
    clock: Arc<dyn Clock>,
    turn: usize,
    cursor: Cursor,
    instance: Arc<str>,
    nonce: LeaseNonce,
    policy: &'static str,
}

/// How the issuer is, as far as it is known here.
struct Course {
    /// Which of its addresses is asked.
    turn: usize,
    /// How often.
    every: Duration,
    /// It has left a question without an answer.
    is_away: bool,
    /// What people have been told.
    told: VerifierState,
}

/// A third of the time that a lease holds, until an issuer has said how long that is.
const FIRST_EVERY: Duration = Duration::from_secs(3);
/// Nobody is asked more often than this, nor more rarely than that, whatever the issuer says.
const EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(100));
/// While no answer comes, another question goes after this long, on another connection: a network that swallows everything
/// doesn't say when it has stopped, and a second later this process should know all that it missed.
const AGAIN: Duration = Duration::from_millis(400);
/// How many questions wait for an answer at a time.
const QUESTIONS: usize = 5;

impl Leasing {
    /// Asks for as long as the process runs.
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
                    tracing::debug!(%fault, "the issuer has granted no lease");
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

    /// The issuer has answered. If it was away before, whoever waits for an older answer needn't.
    fn note_back(&self, is_away: &mut bool) {
        if std::mem::take(is_away) {
            self.signals.back.send_replace(());
        }
    }

    /// Asks until an answer comes, and says how long the lease holds.
    async fn ask(&mut self, course: &mut Course) -> Result<Duration, Fault> {
        let mut questions = JoinSet::new();
        loop {
            if questions.len() < QUESTIONS {
                questions.spawn(self.question(course.turn)?.ask());
            }
            match tokio::time::timeout(AGAIN.min(course.every), questions.join_next()).await {
                Ok(Some(Ok(Ok((lease, term))))) => {
                    // The keeping task ends with the process.
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

    /// No two questions have the same.
    fn next_nonce(&mut self) -> LeaseNonce {
        self.asked += 1;
        LeaseNonce((u128::from(self.nonces) << 64 | u128::from(self.asked)).to_be_bytes())
    }

    /// Tells people when the verifier can vouch for its answers, and when it can't any more.
    fn tell(&self, told: &mut VerifierState) {
        let now = self.shared.standing();
        let before = std::mem::replace(told, now);
        let is_stale = |state| state == VerifierState::Stale;
        match (is_stale(before), is_stale(now)) {
            (false, true) if before != VerifierState::Boot => {
                tracing::warn!("the verifier is stale: it can't tell whether it knows all revocations");
            }
            (true, false) => tracing::info!("the verifier is fresh again"),
            _ => {}
        }
    }
}

impl Question {
    /// The lease, and how long it holds.
    async fn ask(self) -> Result<(Lease, Duration), Fault> {
        let sent_at = self.clock.uptime();
        let grant = self.http.lease(self.turn, &self.cursor, &self.instance, self.nonce, self.policy).await?;
        if grant.nonce() != self.nonce {
            // It answers another question, which may have been asked long ago.
            return Err(Fault::Unreadable);
        }
        let lease =
            Lease { sent_at, cursor: self.cursor.seq(), head: grant.cursor().seq(), chain: grant.chain() };
        Ok((lease, grant.term()))
    }
}
