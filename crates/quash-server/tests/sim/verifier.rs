//! A real verifier in a process that is killed and restarted, with a clock that runs slightly too fast or too
//! slow. The simulated network carries its requests.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Clock, Refusal, Seeded, Seq};
use quash_verify::{VerifierMetrics, VerifierState, VerifyError, WhenStale};
use tokio::sync::watch;

use crate::chance::Chance;
use crate::network::Network;
use crate::wait::pass;
use crate::world::World;

pub(crate) struct Verifier {
    pub(crate) number: usize,
    clock: Arc<dyn Clock>,
    chance: Chance,
    /// The number of the process, and the verifier while it runs.
    running: watch::Sender<(u32, Option<quash_verify::Verifier>)>,
}

/// The end of a verifier's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// It gives its lease back first.
    Leaves,
    IsKilled,
}

/// A verifier's answer about a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Accepted { cursor: Seq },
    Revoked,
    Unsure,
    Refused(Refusal),
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {:?}: {:?}", self.clock.uptime(), self.metrics())
    }
}

impl Verifier {
    pub(crate) fn new(number: usize, clock: Arc<dyn Clock>, chance: Chance) -> Self {
        Self { number, clock, chance, running: watch::Sender::default() }
    }

    /// Starts its process, which knows nothing.
    pub(crate) fn start(&self, world: &Arc<World>) {
        let network = Network { world: Arc::clone(world), verifier: self.number, chance: self.chance.fork() };
        let builder = quash_verify::Verifier::builder("https://issuer.test").credential(world.credential());
        let builder = builder.transport(Arc::new(network)).entropy(Seeded::new(self.chance.below(u64::MAX)));
        let verifier = builder.clock(Arc::clone(&self.clock)).start_in_background().expect("a verifier");
        self.running.send_modify(|running| running.1 = Some(verifier));
    }

    /// Ends its process, and restarts it after this time.
    pub(crate) async fn restart(self: Arc<Self>, how: Exit, down: Duration, world: Arc<World>) {
        let (life, verifier) = self.running.borrow().clone();
        if let (Exit::Leaves, Some(verifier)) = (how, verifier) {
            // Tokens are presented to it meanwhile.
            verifier.leave().await;
        }
        // It may have been ended meanwhile.
        if self.running.borrow().0 != life {
            return;
        }
        self.stop();
        let life = self.running.borrow().0;
        pass(down).await;
        // It may have been killed again meanwhile.
        if self.running.borrow().0 == life {
            self.start(&world);
        }
    }

    /// Kills its process.
    pub(crate) fn stop(&self) {
        self.running.send_modify(|running| *running = (running.0 + 1, None));
    }

    /// Judges a token. `None` if the process was killed meanwhile.
    pub(crate) async fn judge(&self, token: &str, when_stale: WhenStale) -> Option<Said> {
        let (life, verifier) = self.running.borrow().clone();
        let Some(verifier) = verifier else { return Some(Said::Unsure) };
        let mut running = self.running.subscribe();
        let decided = tokio::select! {
            biased;
            _ = running.wait_for(|running| running.0 != life) => return None,
            decided = verifier.check_when_stale(token, when_stale) => decided,
        };
        Some(match decided {
            Ok(_) => Said::Accepted { cursor: Seq::from_u64(verifier.metrics().cursor) },
            Err(VerifyError::Refused(Refusal::TokenRevoked(_))) => Said::Revoked,
            Err(VerifyError::Refused(refusal)) => Said::Refused(refusal),
            Err(_) => Said::Unsure,
        })
    }

    /// Returns whether its lease is current.
    pub(crate) fn is_fresh(&self) -> bool {
        self.metrics().is_some_and(|metrics| metrics.state == VerifierState::Fresh)
    }

    fn metrics(&self) -> Option<VerifierMetrics> {
        self.running.borrow().1.as_ref().map(quash_verify::Verifier::metrics)
    }
}
