//! The one place that builds what a guard sees.

use std::sync::Arc;

use quash_core::model::{Entry, Seq};
use quash_core::token::KeyRing;
use quash_core::watch::Revoked;
use quash_core::watch::feed::Gap;
use tokio::sync::watch;

use crate::guard::{Guard, GuardSetup, Shared, State};

/// Builds the values that its guard sees, one after the other. There is one keeper to a guard; it isn't cloned.
pub struct Keeper {
    revoked: Revoked,
    ring: Arc<KeyRing>,
    shared: Arc<Shared>,
    cursor: watch::Sender<Seq>,
}

/// A guard and its keeper.
pub fn guard(setup: GuardSetup, revoked: Revoked, ring: KeyRing) -> (Guard, Keeper) {
    let ring = Arc::new(ring);
    let (cursor, follow) = watch::channel(revoked.cursor());
    let shared = Arc::new(Shared::new(setup, State { revoked: revoked.clone(), ring: Arc::clone(&ring) }));
    (Guard { shared: Arc::clone(&shared), cursor: follow }, Keeper { revoked, ring, shared, cursor })
}

impl Keeper {
    /// The number of the newest entry that the guard knows.
    pub fn cursor(&self) -> Seq {
        self.revoked.cursor()
    }

    /// Adds the next entries of the log, and lets the guard see them together.
    ///
    /// # Errors
    /// An entry doesn't follow the ones before it. The guard sees those that did; what is missing must be had with a
    /// snapshot.
    pub fn follow(&mut self, entries: &[Entry]) -> Result<(), Gap> {
        let followed = entries.iter().try_for_each(|entry| self.revoked.follow(entry));
        self.publish();
        followed
    }

    /// Replaces the whole set. One that knows less than the guard does is ignored: what is revoked stays revoked.
    pub fn replace(&mut self, revoked: Revoked) {
        if revoked.cursor() >= self.revoked.cursor() {
            self.revoked = revoked;
            self.publish();
        }
    }

    /// Replaces the key ring.
    pub fn turn_ring(&mut self, ring: KeyRing) {
        self.ring = Arc::new(ring);
        self.publish();
    }

    fn publish(&self) {
        self.shared.state.store(Arc::new(State { revoked: self.revoked.clone(), ring: Arc::clone(&self.ring) }));
        self.cursor.send_replace(self.revoked.cursor());
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
