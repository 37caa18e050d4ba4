//! A real verifier in a process that is killed and restarted, with a clock that runs slightly too fast or too
//! slow. The simulated network carries its requests.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Clock, Refusal, Seeded, Seq};
use quash_verify::{AskError, VerifierMetrics, VerifierState, VerifyError, WhenStale};
use tokio::sync::watch;

use crate::chance::Chance;
use crate::journal::{Given, Token};
use crate::network::Network;
use crate::wait::pass;
use crate::world::{Credentials, World};

pub(crate) struct Verifier {
    pub(crate) number: usize,
    pub(crate) clock: Arc<dyn Clock>,
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
        let Credentials { verifier, shop } = world.credentials();
        let credential = if self.chance.once_in(2) { verifier } else { shop };
        let builder = quash_verify::Verifier::builder("https://issuer.test").credential(credential);
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
    pub(crate) async fn judge(&self, given: &Given, when_stale: WhenStale) -> Option<Said> {
        let (life, verifier) = self.running.borrow().clone();
        let Some(verifier) = verifier else { return Some(Said::Unsure) };
        let mut running = self.running.subscribe();
        let named = given.named();
        let decide = async {
            match (&given.token, &named) {
                (Token::Own { text, .. }, _) => verifier.check_when_stale(text, when_stale).await.map(drop),
                (Token::Shop { .. }, Some(named)) => match verifier.ask(named, when_stale).await {
                    Ok(()) => Ok(()),
                    Err(AskError::Denied(denied)) => Err(denied),
                    Err(error) => panic!("{error}"),
                },
                (Token::Shop { .. }, None) => panic!("{given:?} has names"),
            }
        };
        let decided = tokio::select! {
            biased;
            _ = running.wait_for(|running| running.0 != life) => return None,
            decided = decide => decided,
        };
        Some(match decided {
            Ok(()) => Said::Accepted { cursor: Seq::from_u64(verifier.metrics().cursor) },
            Err(VerifyError::Refused(Refusal::TokenRevoked(_))) => Said::Revoked,
            Err(VerifyError::Refused(refusal)) => Said::Refused(refusal),
            Err(_) => Said::Unsure,
        })
    }

    /// The newest number that it knows, if it can vouch for it.
    pub(crate) fn head(&self) -> Option<Seq> {
        let (_, verifier) = self.running.borrow().clone();
        verifier.and_then(|verifier| verifier.head()).map(Seq::from_u64)
    }

    /// Returns whether its lease is current.
    pub(crate) fn is_fresh(&self) -> bool {
        self.metrics().is_some_and(|metrics| metrics.state == VerifierState::Fresh)
    }

    fn metrics(&self) -> Option<VerifierMetrics> {
        self.running.borrow().1.as_ref().map(quash_verify::Verifier::metrics)
    }
}
