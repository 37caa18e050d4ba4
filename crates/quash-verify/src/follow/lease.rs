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
use super::fault::IssuerError;
use super::http::Http;
use super::process::Process;
use super::publisher_task::{Message, Signals};
use crate::shared::VerifierShared;
use crate::state::VerifierState;

pub(crate) struct Leasing {
    pub(crate) http: Arc<Http>,
    pub(crate) shared: Arc<VerifierShared>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) publisher_task: mpsc::Sender<Message>,
    pub(crate) process: Arc<Process>,
    pub(crate) unbound: Arc<AtomicBool>,
    pub(crate) backoff: Backoff,
    /// The random first half of this process's nonces.
    pub(crate) nonces: u64,
    /// The number of requests so far.
    pub(crate) asked: u64,
}

/// One lease request.
struct LeaseRequest {
    http: Arc<Http>,
    clock: Arc<dyn Clock>,
    address_index: usize,
    cursor: Cursor,
    process: Arc<Process>,
    nonce: LeaseNonce,
    policy: &'static str,
}

/// The issuer's state as this task sees it.
struct IssuerHealth {
    /// The index of the current address.
    address_index: usize,
    /// The interval between requests.
    every: Duration,
    /// A request was left without an answer.
    is_away: bool,
    /// The state that was last logged.
    logged: VerifierState,
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
const MAX_LEASE_REQUESTS: usize = 5;

impl Leasing {
    /// Requests leases until the process ends.
    pub(crate) async fn run(mut self) {
        let mut health = IssuerHealth {
            address_index: 0,
            every: FIRST_EVERY,
            is_away: false,
            logged: VerifierState::Boot,
        };
        let mut place = self.signals.place.subscribe();
        loop {
            if place.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let wait = match self.ask(&mut health).await {
                Ok(term) => {
                    self.backoff.reset();
                    self.note_answer(&mut health.is_away);
                    health.every = (term / 3).clamp(EVERY.0, EVERY.1);
                    health.every
                }
                Err(fault) => {
                    health.address_index += 1;
                    tracing::debug!(%fault, "failed to renew the lease");
                    if fault == IssuerError::SnapshotRequired {
                        self.note_answer(&mut health.is_away);
                        self.signals.snapshot.notify_one();
                    } else {
                        health.is_away = true;
                    }
                    self.backoff.next().min(AGAIN).min(health.every)
                }
            };
            self.log_state_change(&mut health.logged);
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => {}
                () = self.signals.lease.notified() => {}
            }
            self.log_state_change(&mut health.logged);
        }
    }

    /// Notes that the issuer has answered. If it had been unreachable, requests that still wait can be given up.
    fn note_answer(&self, is_away: &mut bool) {
        if std::mem::take(is_away) {
            self.signals.back.send_replace(());
        }
    }

    /// Requests a lease until an answer arrives, and returns the lease's term.
    async fn ask(&mut self, health: &mut IssuerHealth) -> Result<Duration, IssuerError> {
        let mut requests = JoinSet::new();
        loop {
            if requests.len() < MAX_LEASE_REQUESTS {
                requests.spawn(self.lease_request(health.address_index)?.ask());
            }
            match tokio::time::timeout(AGAIN.min(health.every), requests.join_next()).await {
                Ok(Some(Ok(Ok((lease, term))))) => {
                    // The keeping task ends only with the process.
                    let _ = self.publisher_task.send(Message::Lease(lease, term)).await;
                    return Ok(term);
                }
                Err(_) | Ok(Some(Ok(Err(IssuerError::TimedOut)))) => {
                    health.address_index += 1;
                    health.is_away = true;
                    self.log_state_change(&mut health.logged);
                }
                Ok(Some(Ok(Err(fault)))) => return Err(fault),
                Ok(Some(Err(_)) | None) => return Err(IssuerError::TimedOut),
            }
        }
    }

    fn lease_request(&mut self, address_index: usize) -> Result<LeaseRequest, IssuerError> {
        let cursor = self.signals.place.borrow().clone().ok_or(IssuerError::SnapshotRequired)?;
        Ok(LeaseRequest {
            http: Arc::clone(&self.http),
            clock: Arc::clone(&self.shared.clock),
            address_index,
            cursor,
            process: Arc::clone(&self.process),
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
    fn log_state_change(&self, logged: &mut VerifierState) {
        let now = self.shared.verifier_state();
        let before = std::mem::replace(logged, now);
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

impl LeaseRequest {
    /// Returns the lease and its term.
    async fn ask(self) -> Result<(Lease, Duration), IssuerError> {
        let sent_at = self.clock.uptime();
        let grant =
            self.http.lease(self.address_index, &self.cursor, &self.process, self.nonce, self.policy).await?;
        if grant.nonce() != self.nonce {
            // The answer belongs to another request, which may be old.
            return Err(IssuerError::Unreadable);
        }
        let lease =
            Lease { sent_at, cursor: self.cursor.seq(), head: grant.cursor().seq(), chain: grant.chain() };
        Ok((lease, grant.term()))
    }
}
