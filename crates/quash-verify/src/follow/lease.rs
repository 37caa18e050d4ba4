//! The task that asks for leases: proof that nothing is missing. A lease counts from the moment at which it was asked
//! for, by this process's own clock, read before the question leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quash_core::watch::Lease;
use quash_core::watch::frame::{Cursor, LeaseNonce};
use tokio::sync::mpsc;

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
    pub(crate) instance: String,
    pub(crate) unbound: Arc<AtomicBool>,
    pub(crate) backoff: Backoff,
    /// What the nonces of this process begin with: random.
    pub(crate) nonces: u64,
    /// How often it has asked.
    pub(crate) asked: u64,
}

/// A third of the time that a lease holds, until an issuer has said how long that is.
const FIRST_EVERY: Duration = Duration::from_secs(3);
/// Nobody is asked more often than this, nor more rarely than that, whatever the issuer says.
const EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(100));

impl Leasing {
    /// Asks for as long as the process runs.
    pub(crate) async fn run(mut self) {
        let (mut turn, mut every, mut seen, mut is_away) = (0, FIRST_EVERY, VerifierState::Boot, false);
        let mut place = self.signals.place.subscribe();
        loop {
            let Ok(cursor) = place.wait_for(Option::is_some).await.map(|place| place.clone()) else { return };
            let Some(cursor) = cursor else { continue };
            let wait = match self.ask(turn, &cursor, every).await {
                Ok(term) => {
                    self.backoff.reset();
                    self.note_back(&mut is_away);
                    every = (term / 3).clamp(EVERY.0, EVERY.1);
                    every
                }
                Err(fault) => {
                    turn += 1;
                    tracing::debug!(%fault, "the issuer has granted no lease");
                    if fault == Fault::SnapshotRequired {
                        self.note_back(&mut is_away);
                        self.signals.snapshot.notify_one();
                    } else {
                        is_away = true;
                    }
                    self.backoff.next().min(every)
                }
            };
            seen = self.tell(seen);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.signals.lease.notified() => {}
            }
            seen = self.tell(seen);
        }
    }

    /// The issuer has answered. If it was away before, whoever waits for an older answer needn't.
    fn note_back(&self, is_away: &mut bool) {
        if std::mem::take(is_away) {
            self.signals.back.send_replace(());
        }
    }

    /// Asks once, and says how long the lease holds.
    async fn ask(&mut self, turn: usize, cursor: &Cursor, within: Duration) -> Result<Duration, Fault> {
        let policy = if self.unbound.load(Ordering::Relaxed) { "allow" } else { "deny" };
        let nonce = self.next_nonce();
        let sent_at = self.shared.clock.uptime();
        let asked = tokio::time::timeout(within, self.http.lease(turn, cursor, &self.instance, nonce, policy));
        let grant = asked.await.unwrap_or(Err(Fault::Silent))?;
        if grant.nonce() != nonce {
            // It answers another question, which may have been asked long ago.
            return Err(Fault::Unreadable);
        }
        let lease = Lease { sent_at, cursor: cursor.seq(), head: grant.cursor().seq(), chain: grant.chain() };
        // The keeping task ends with the process.
        let _ = self.keeping.send(Message::Lease(lease, grant.term())).await;
        Ok(grant.term())
    }

    /// No two questions have the same.
    fn next_nonce(&mut self) -> LeaseNonce {
        self.asked += 1;
        LeaseNonce((u128::from(self.nonces) << 64 | u128::from(self.asked)).to_be_bytes())
    }

    /// Tells people when the verifier can vouch for its answers, and when it can't any more.
    fn tell(&self, before: VerifierState) -> VerifierState {
        let now = self.shared.standing();
        let is_stale = |state| state == VerifierState::Stale;
        match (is_stale(before), is_stale(now)) {
            (false, true) if before != VerifierState::Boot => {
                tracing::warn!("the verifier is stale: it can't tell whether it knows all revocations");
            }
            (true, false) => tracing::info!("the verifier is fresh again"),
            _ => {}
        }
        now
    }
}
