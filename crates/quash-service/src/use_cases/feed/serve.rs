//! The feed as verifiers see it: policy, snapshot, stream, lease. How it travels is the door's business.

use std::sync::Arc;

use quash_core::model::{Head, Seq};
use quash_core::watch::frame::{Cursor, FeedPolicy, LeaseGrant, LeaseNonce};

use crate::context::Service;
use crate::credential::Credential;
use crate::failure::Failure;
use crate::feed::FeedReader;
use crate::feed::{Binding, InstanceId};
use crate::feed::{FeedRefused, SnapshotFeed};
use crate::use_cases::feed::barrier::VerifierState;

/// A verifier asks for a lease.
#[derive(Clone, Debug)]
pub struct LeaseAsked {
    /// Who.
    pub id: InstanceId,
    /// How far it has come.
    pub cursor: Cursor,
    /// What tells which request the answer is to.
    pub nonce: LeaseNonce,
    /// Whether it refuses tokens without a lease.
    pub binding: Binding,
}

/// A verifier as it was last seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierNow {
    /// Which.
    pub id: InstanceId,
    /// Whether its lease holds, and whether it needs one.
    pub state: VerifierState,
    /// How far it had come.
    pub confirmed: Seq,
}

impl Service {
    /// What verifiers are told of this issuer.
    pub fn feed_policy(&self) -> FeedPolicy {
        let desk = &*self.desk;
        let ring = desk.guard.ring();
        FeedPolicy::of(
            &desk.policy.tokens,
            desk.feed.scope_key,
            desk.policy.feed.term,
            ring.own(),
            &ring.jwks(),
        )
    }

    /// Everything that the log still remembers, for the verifier with this credential.
    ///
    /// # Errors
    /// The store is away.
    pub async fn feed_snapshot(&self, credential: Credential) -> Result<SnapshotFeed, FeedRefused> {
        let desk = &*self.desk;
        let turn =
            desk.feed.snapshots.turn(&credential.client.name).await.map_err(|_| FeedRefused::TooMany)?;
        let watched = desk.feed.outlet.watch(Arc::clone(&desk.store), credential);
        SnapshotFeed::begin(Arc::clone(&desk.store), &self.feed_policy(), &desk.feed.cursors, watched, turn)
            .await
    }

    /// The feed from a place on, for the verifier with this credential.
    ///
    /// # Errors
    /// The place isn't one of this log, or the store is away.
    pub async fn feed_stream(
        &self,
        after: &Cursor,
        credential: Credential,
    ) -> Result<FeedReader, FeedRefused> {
        let desk = &*self.desk;
        let head = desk.store.head().await.map_err(Failure::from)?;
        self.placed(after, &head).await?;
        let (outlet, store, clock) =
            (Arc::clone(&desk.feed.outlet), Arc::clone(&desk.store), Arc::clone(&desk.clock));
        let watched = outlet.watch(Arc::clone(&store), credential);
        Ok(FeedReader::new(outlet, store, clock, desk.feed.cursors.clone(), after.seq(), watched))
    }

    /// Grants a lease: whoever has everything up to its head had everything when the request arrived.
    ///
    /// # Errors
    /// The verifier's place isn't one of this log, there are too many, or the store is away.
    pub async fn lease(&self, asked: &LeaseAsked) -> Result<LeaseGrant, FeedRefused> {
        let desk = &*self.desk;
        // Noted first: who asks whether everybody knows something waits for this one too, whatever head it is given.
        let entered = desk.feed.leases.enter(asked.id.clone(), asked.binding, desk.clock.uptime());
        entered.map_err(FeedRefused::from)?;
        let head = desk.store.head().await.map_err(Failure::from)?;
        self.placed(&asked.cursor, &head).await?;
        desk.feed.leases.confirm(&asked.id, asked.cursor.seq());
        let cursor = desk.feed.cursors.cursor(head.seq, &head.chain);
        Ok(LeaseGrant::new(asked.nonce, cursor, &head.chain, desk.policy.feed.term, desk.clock.now()))
    }

    /// The verifiers that have asked for a lease not long ago.
    pub fn verifiers(&self) -> Vec<VerifierNow> {
        let now = self.desk.clock.uptime();
        let seen = self.desk.feed.leases.seen(now).into_iter().map(|(id, tenant)| {
            let state = match tenant.binding {
                Binding::NotBound => VerifierState::NotBound,
                Binding::Bound if tenant.until <= now => VerifierState::Stale,
                Binding::Bound => VerifierState::Confirmed,
            };
            VerifierNow { id, state, confirmed: tenant.confirmed }
        });
        seen.collect()
    }

    /// Ends all streams of the feed: this process is about to go.
    pub fn close_feed(&self) {
        self.desk.feed.outlet.close();
    }

    /// Whether a place is one of this log, which ends at `head`. A place that the issuer has given out and its store doesn't
    /// know proves that the store went back: what was ended there is unknown, so everything ends.
    async fn placed(&self, cursor: &Cursor, head: &Head) -> Result<(), FeedRefused> {
        if !self.desk.feed.cursors.has_given(cursor) {
            return Err(FeedRefused::SnapshotRequired);
        }
        if cursor.seq() > head.seq {
            self.store_went_back(cursor.seq()).await?;
            return Err(FeedRefused::SnapshotRequired);
        }
        if cursor.seq().epoch() != head.seq.epoch() {
            return Err(FeedRefused::SnapshotRequired);
        }
        if self.is_of_another_log(cursor, head).await? {
            self.store_has_another_log(cursor.seq()).await?;
            return Err(FeedRefused::SnapshotRequired);
        }
        Ok(())
    }

    /// Whether the log went back and has gone on since, with other entries under the same numbers. What has been forgotten
    /// can't be compared any more; nor does it matter.
    async fn is_of_another_log(&self, cursor: &Cursor, head: &Head) -> Result<bool, Failure> {
        if cursor.seq() == head.seq {
            return Ok(!cursor.is_of(&head.chain));
        }
        let before = Seq::from_u64(cursor.seq().as_u64().saturating_sub(1));
        let next = self.desk.store.entries_after(before, 1).await?;
        Ok(next.first().is_some_and(|entry| entry.seq == cursor.seq() && !cursor.is_of(&entry.chain)))
    }
}
