//! The key ring of this process: our own keys and those of other issuers. Each half changes independently;
//! the guard gets a sequence of rings with increasing versions.

use std::time::Duration;

use quash_core::model::Kid;
use quash_core::token::{ForeignKey, KeyRing, VerifyingKey};
use tokio::sync::{Mutex, mpsc, oneshot};

/// A ring for the guard, and the signal that the guard has it.
pub(crate) struct RingUpdate {
    pub(crate) ring: KeyRing,
    pub(crate) seen: oneshot::Sender<()>,
}

/// Our own keys that verify.
#[derive(Clone, Default)]
pub(crate) struct OwnKeys {
    /// All keys. The signing key is first, because it is looked up most.
    pub(crate) keys: Vec<VerifyingKey>,
    /// The ids of the revoked ones among them.
    pub(crate) revoked: Vec<Kid>,
}

/// The guard didn't take a ring in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GuardTimeout;

/// Builds rings and passes them to the guard.
pub(crate) struct Rings {
    halves: Mutex<Halves>,
    updates: mpsc::Sender<RingUpdate>,
}

struct Halves {
    version: u64,
    own: OwnKeys,
    /// The key that verifies only refresh tokens. It never changes.
    refresh: VerifyingKey,
    foreign: Vec<ForeignKey>,
}

/// The time in which the guard must take a ring.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

impl Rings {
    /// Creates the builder and the first ring.
    pub(crate) fn new(
        own: OwnKeys,
        refresh: VerifyingKey,
        foreign: Vec<ForeignKey>,
        updates: mpsc::Sender<RingUpdate>,
    ) -> (Self, KeyRing) {
        let halves = Halves { version: 1, own, refresh, foreign };
        let first = halves.ring();
        (Self { halves: Mutex::new(halves), updates }, first)
    }

    /// Replaces our own keys in the guard.
    ///
    /// # Errors
    /// The guard doesn't take the ring in time.
    pub(crate) async fn update_own(&self, own: OwnKeys) -> Result<(), GuardTimeout> {
        let mut halves = self.halves.lock().await;
        halves.own = own;
        self.publish(&mut halves).await
    }

    /// Replaces the keys of other issuers in the guard.
    ///
    /// # Errors
    /// The guard doesn't take the ring in time.
    pub(crate) async fn update_foreign(&self, foreign: Vec<ForeignKey>) -> Result<(), GuardTimeout> {
        let mut halves = self.halves.lock().await;
        halves.foreign = foreign;
        self.publish(&mut halves).await
    }

    /// Keeps the halves locked until the guard has the ring, so that rings arrive in order.
    async fn publish(&self, halves: &mut Halves) -> Result<(), GuardTimeout> {
        halves.version += 1;
        let (seen, saw) = oneshot::channel();
        let ring = halves.ring();
        let turned = async {
            self.updates.send(RingUpdate { ring, seen }).await.map_err(|_| GuardTimeout)?;
            saw.await.map_err(|_| GuardTimeout)
        };
        tokio::time::timeout(SEEN_WITHIN, turned).await.unwrap_or(Err(GuardTimeout))
    }
}

impl Halves {
    fn ring(&self) -> KeyRing {
        let ring = KeyRing::with_foreign(self.version, self.own.keys.clone(), self.foreign.clone());
        ring.with_refresh_key(self.refresh.clone()).with_revoked(&self.own.revoked)
    }
}
