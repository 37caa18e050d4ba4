//! The one place that builds what a guard or a verifier sees.

use std::sync::Arc;

use quash_core::model::{Entry, Seq};
use quash_core::token::KeyRing;
use quash_core::watch::{Astray, Follower, Revoked};

use crate::guard::{Guard, GuardSetup};
use crate::shared::{Shared, State};
use crate::trust::{Terms, Trust};

/// Builds the values that are seen, one after the other. There is one keeper to a guard or a verifier; it isn't cloned.
pub struct Keeper {
    follower: Follower,
    trust: Trust,
    shared: Arc<Shared>,
}

/// A guard and its keeper, in a process that every revocation passes through before anybody is told of it.
pub fn guard(setup: GuardSetup, revoked: Revoked, ring: KeyRing) -> (Guard, Keeper) {
    let GuardSetup { policy, scopes, clock, cache_key, more_keys } = setup;
    let trust = Trust { ring: Arc::new(ring), terms: Arc::new(Terms { policy, scopes }), version: 0 };
    let follower = Follower::holder(revoked);
    let state = State {
        revoked: follower.revoked().clone(),
        freshness: follower.freshness(),
        trust: Some(trust.clone()),
    };
    let shared = Arc::new(Shared::new(clock, cache_key, more_keys, state));
    (
        Guard { shared: Arc::clone(&shared), terms: Arc::clone(&trust.terms) },
        Keeper { follower, trust, shared },
    )
}

impl Keeper {
    /// The number of the newest entry that is known.
    pub fn cursor(&self) -> Seq {
        self.follower.revoked().cursor()
    }

    /// Adds the next entries of the log, and lets all of them be seen together.
    ///
    /// # Errors
    /// An entry doesn't follow the ones before it. Those that did are seen; what is missing must be had with a
    /// snapshot.
    pub fn follow(&mut self, entries: &[Entry]) -> Result<(), Astray> {
        let followed = self.follower.follow(entries);
        self.publish();
        followed
    }

    /// Replaces the whole set. One that knows less than before is ignored: what is revoked stays revoked.
    pub fn replace(&mut self, revoked: Revoked) {
        // Nothing has changed if it fails.
        let _ = self.follower.replace(revoked);
        self.publish();
    }

    /// Replaces the key ring.
    pub fn turn_ring(&mut self, ring: KeyRing) {
        self.trust = Trust { ring: Arc::new(ring), version: self.trust.version + 1, ..self.trust.clone() };
        self.publish_ring();
    }

    /// Publishes another ring, and tells those that wait for a key.
    fn publish_ring(&self) {
        self.publish();
        self.shared.turned();
    }

    fn publish(&self) {
        let revoked = self.follower.revoked().clone();
        let cursor = revoked.cursor();
        let state = State { revoked, freshness: self.follower.freshness(), trust: Some(self.trust.clone()) };
        self.shared.state.store(Arc::new(state));
        self.shared.reach(cursor);
    }
}

/// What the keeper of a verifier in another process does besides.
#[cfg(any(feature = "follow", feature = "test"))]
impl Keeper {
    /// The keeper of a verifier, which vouches for what it knows only with a lease. From now on something is known.
    pub(crate) fn tenant(
        shared: Arc<Shared>,
        revoked: Revoked,
        term: std::time::Duration,
        terms: Terms,
        ring: KeyRing,
    ) -> Self {
        let trust = Trust { ring: Arc::new(ring), terms: Arc::new(terms), version: 0 };
        let keeper = Self { follower: Follower::tenant(revoked, term), trust, shared };
        keeper.publish();
        keeper
    }

    /// Takes a lease that holds for `term`.
    ///
    /// # Errors
    /// Whoever granted it has another log.
    pub(crate) fn grant(
        &mut self,
        lease: quash_core::watch::Lease,
        term: std::time::Duration,
    ) -> Result<(), Astray> {
        self.shared.prove(lease.head);
        self.follower.hold_for(term);
        let granted = self.follower.grant(lease);
        self.publish();
        granted
    }
}

/// What only an issuer in another process can make necessary.
#[cfg(feature = "follow")]
impl Keeper {
    /// As [`Keeper::replace`], for whoever must know whether it was taken, together with what tokens must say from now on
    /// and the keys that sign them: entries of one hash must never be looked up with another.
    ///
    /// # Errors
    /// It knows less, and nothing has changed.
    pub(crate) fn take(&mut self, revoked: Revoked, terms: Terms, ring: KeyRing) -> Result<(), Astray> {
        let taken = self.follower.replace(revoked);
        if !matches!(taken, Err(Astray::WentBack { .. })) {
            self.trust =
                Trust { ring: Arc::new(ring), terms: Arc::new(terms), version: self.trust.version + 1 };
        }
        self.publish();
        taken
    }

    /// What leases have proven doesn't count any more that were asked for before now.
    pub(crate) fn doubt(&mut self) {
        self.follower.doubt(self.shared.clock.uptime());
        self.publish();
    }

    /// Replaces what tokens must say, and the keys that sign them.
    pub(crate) fn agree(&mut self, terms: Terms, ring: KeyRing) {
        self.trust = Trust { ring: Arc::new(ring), terms: Arc::new(terms), version: self.trust.version + 1 };
        self.publish_ring();
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
