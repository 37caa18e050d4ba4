//! The only writer of the state that a guard or a verifier reads.

use std::sync::Arc;

use quash_core::model::{Entry, Seq};
use quash_core::token::KeyRing;
use quash_core::watch::{FeedError, Follower, Revoked};

#[cfg(any(feature = "follow", feature = "test"))]
use crate::shared::trust::Terms;
use crate::shared::trust::Trust;
use crate::shared::{State, VerifierShared};

/// Publishes the successive states of a guard or a verifier. Each has exactly one publisher, which can't be
/// cloned.
pub struct Publisher {
    follower: Follower,
    trust: Trust,
    shared: Arc<VerifierShared>,
}

impl Publisher {
    pub(crate) fn new(follower: Follower, trust: Trust, shared: Arc<VerifierShared>) -> Self {
        Self { follower, trust, shared }
    }

    /// Returns the number of the newest known entry.
    pub fn cursor(&self) -> Seq {
        self.follower.revoked().cursor()
    }

    /// Adds the next entries of the log and publishes all of them at once.
    ///
    /// # Errors
    /// Returns an error if an entry doesn't follow the one before it. The entries before the gap are
    /// published; the rest needs a snapshot.
    pub fn follow(&mut self, entries: &[Entry]) -> Result<(), FeedError> {
        let followed = self.follower.follow(entries);
        self.publish();
        followed
    }

    /// Replaces the whole set. A set that knows less than the current one is ignored: revoked scopes stay
    /// revoked.
    pub fn replace(&mut self, revoked: Revoked) {
        // A failed replacement changes nothing.
        let _ = self.follower.replace(revoked);
        self.publish();
    }

    /// Replaces the key ring.
    pub fn set_ring(&mut self, ring: KeyRing) {
        self.trust = Trust { ring: Arc::new(ring), version: self.trust.version + 1, ..self.trust.clone() };
        self.publish_ring();
    }

    /// Publishes the state with its new ring, and wakes the tasks that wait for a key.
    fn publish_ring(&self) {
        self.publish();
        self.shared.notify_key_waiters();
    }

    fn publish(&self) {
        let revoked = self.follower.revoked().clone();
        let (cursor, freshness) = (revoked.cursor(), self.follower.freshness());
        let state = State { revoked, freshness, trust: Some(self.trust.clone()) };
        self.shared.state.store(Arc::new(state));
        self.shared.reach(cursor);
        // After the state: a request that is woken finds it.
        #[cfg(feature = "issuer")]
        if let (Some(proofs), quash_core::watch::Freshness::Proven { at, .. }) =
            (&self.shared.proofs, freshness)
        {
            proofs.publish(at);
        }
    }
}

/// Operations for the publisher of a node, which shares the log with other processes.
#[cfg(feature = "issuer")]
impl Publisher {
    /// Publishes that everything is applied up to a head whose read began at the uptime `at`, and that the node may
    /// decide until the uptime `until`.
    pub fn prove(&mut self, at: std::time::Duration, until: std::time::Duration) {
        self.follower.prove(at, until);
        self.publish();
    }

    /// Ends all proofs for good: the guard decides nothing more.
    pub fn fence(&mut self) {
        if let Some(proofs) = &self.shared.proofs {
            proofs.fence();
        }
    }

    /// Returns the hash over the log up to the newest known entry.
    pub fn chain(&self) -> quash_core::model::Chain {
        self.follower.revoked().chain()
    }

    /// Returns the longest lifetime of tokens ever configured, as far as it is known.
    pub fn longest_lifetime(&self) -> std::time::Duration {
        self.trust.terms.policy.longest_lifetime_ever
    }

    /// Replaces the longest lifetime of tokens ever configured, which another process has raised.
    pub fn set_longest_lifetime(&mut self, longest: std::time::Duration) {
        let mut terms = crate::shared::trust::Terms::clone(&self.trust.terms);
        terms.policy.longest_lifetime_ever = longest;
        self.trust = Trust { terms: Arc::new(terms), version: self.trust.version + 1, ..self.trust.clone() };
        self.publish();
    }

    /// Follows the arrival of the newest request that waits for a proof. `None` if this isn't a node's publisher.
    pub fn proof_wanted(&self) -> Option<tokio::sync::watch::Receiver<std::time::Duration>> {
        self.shared.proofs.as_ref().map(crate::issuer::Proofs::wanted)
    }
}

/// Operations for the publisher of a verifier, which follows an issuer in another process.
#[cfg(any(feature = "follow", feature = "test"))]
impl Publisher {
    /// Creates the publisher of a verifier and publishes its first state. Only a lease makes that state
    /// current.
    pub(crate) fn for_verifier(
        shared: Arc<VerifierShared>,
        revoked: Revoked,
        term: std::time::Duration,
        terms: Terms,
        ring: KeyRing,
    ) -> Self {
        let trust = Trust { ring: Arc::new(ring), terms: Arc::new(terms), version: 0 };
        let publisher = Self::new(Follower::lease_holder(revoked, term), trust, shared);
        publisher.publish();
        publisher
    }

    /// Applies a lease that is valid for `term`.
    ///
    /// # Errors
    /// Returns an error if the lease is of another log.
    pub(crate) fn grant(
        &mut self,
        lease: quash_core::watch::Lease,
        term: std::time::Duration,
    ) -> Result<(), FeedError> {
        self.shared.prove(lease.head);
        self.follower.set_term(term);
        let granted = self.follower.grant(lease);
        self.publish();
        granted
    }
}

/// Operations that only a remote issuer makes necessary.
#[cfg(feature = "follow")]
impl Publisher {
    /// Like [`Publisher::replace`], but also replaces the policy and the keys in the same step, and reports
    /// failure. Entries hashed under one policy must never be looked up under another.
    ///
    /// # Errors
    /// Returns an error if the set knows less than the current one. Nothing has changed then.
    pub(crate) fn take(&mut self, revoked: Revoked, terms: Terms, ring: KeyRing) -> Result<(), FeedError> {
        let taken = self.follower.replace(revoked);
        if !matches!(taken, Err(FeedError::WentBack { .. })) {
            self.trust =
                Trust { ring: Arc::new(ring), terms: Arc::new(terms), version: self.trust.version + 1 };
        }
        self.publish();
        taken
    }

    /// Ignores all leases that were requested before now.
    pub(crate) fn invalidate_leases(&mut self) {
        self.follower.invalidate_leases(self.shared.clock.uptime());
        self.publish();
    }

    /// Replaces the policy and the keys.
    pub(crate) fn set_policy(&mut self, terms: Terms, ring: KeyRing) {
        self.trust = Trust { ring: Arc::new(ring), terms: Arc::new(terms), version: self.trust.version + 1 };
        self.publish_ring();
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
