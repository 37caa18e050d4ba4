//! The feed's use cases for verifiers: policy, snapshot, stream, lease and its end. The HTTP endpoints are in
//! `quash-server/src/api/feed.rs`.

use std::sync::Arc;

use quash_core::model::{Binding, Head, InstanceId, ProcessLabel, Seq, Timestamp};
use quash_core::watch::frame::{Cursor, FeedPolicy, FrameFault, LeaseGrant, LeaseNonce};
use quash_store::{Known, NewLease};

use crate::context::Service;
use crate::credential::Credential;
use crate::failure::Failure;
use crate::feed::FeedReader;
use crate::feed::{FeedRefused, SnapshotFeed};
use crate::use_cases::feed::barrier::VerifierState;

/// A verifier's request for a lease.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    pub id: InstanceId,
    /// The verifier's position in the log.
    pub cursor: Cursor,
    /// Returned in the answer, so that the verifier recognises it as the answer to this request.
    pub nonce: LeaseNonce,
    /// Whether the verifier refuses tokens while it has no lease.
    pub binding: Binding,
    /// Where the process runs.
    pub label: ProcessLabel,
}

/// A verifier as it was last seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierInfo {
    pub id: InstanceId,
    /// The state of its lease.
    pub state: VerifierState,
    /// The last sequence number that it has confirmed.
    pub confirmed: Seq,
    /// The time until which some clock may consider its last lease valid.
    pub leased_until: Timestamp,
    pub label: ProcessLabel,
}

impl Service {
    /// The issuer's policy for verifiers.
    ///
    /// # Errors
    /// It can't be serialized.
    pub fn feed_policy(&self) -> Result<FeedPolicy, FrameFault> {
        let context = &*self.context;
        let term = context.policy.feed.term;
        let ring = context.guard.ring();
        FeedPolicy::of(&context.token_policy(), context.feed.scope_key, term, &ring)
    }

    /// Begins a snapshot of all entries in the log, for the verifier with this credential.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn feed_snapshot(&self, credential: Credential) -> Result<SnapshotFeed, FeedRefused> {
        let context = &*self.context;
        let permit =
            context.feed.snapshots.permit(&credential.client.name).await.map_err(|_| FeedRefused::TooMany)?;
        let watched = context.feed.broadcast.watch(Arc::clone(&context.store), credential);
        SnapshotFeed::begin(
            Arc::clone(&context.store),
            &self.feed_policy()?,
            &context.feed.cursors,
            watched,
            permit,
        )
        .await
    }

    /// Begins a stream of the feed after a position, for the verifier with this credential.
    ///
    /// # Errors
    /// The position isn't in this log, or the store is unavailable.
    pub async fn feed_stream(
        &self,
        after: &Cursor,
        credential: Credential,
    ) -> Result<FeedReader, FeedRefused> {
        let context = &*self.context;
        let head = context.store.head().await.map_err(Failure::from)?;
        self.check_position(after, &head).await?;
        let (broadcast, store, clock) =
            (Arc::clone(&context.feed.broadcast), Arc::clone(&context.store), Arc::clone(&context.clock));
        let watched = broadcast.watch(Arc::clone(&store), credential);
        let (cursors, wanted) = (context.feed.cursors.clone(), context.feed.coordination.wanted());
        Ok(FeedReader::new(broadcast, store, clock, cursors, after.seq(), wanted, watched))
    }

    /// Grants a lease. A verifier that has applied everything up to the lease's head knows everything
    /// committed before its request arrived.
    ///
    /// # Errors
    /// The verifier's position isn't in this log, there are too many verifiers, or the store is unavailable.
    pub async fn lease(&self, asked: &LeaseRequest) -> Result<LeaseGrant, FeedRefused> {
        let context = &*self.context;
        let coordination = &context.feed.coordination;
        let LeaseRequest { id, binding, label, .. } = asked;
        let lease = NewLease { id, binding: *binding, label, term: context.policy.feed.term };
        // Recorded before the head is read: a barrier that starts now also waits for this verifier, whichever
        // head it gets.
        coordination.record(lease, context.clock.uptime()).await?;
        let head = context.store.head().await.map_err(Failure::from)?;
        self.check_position(&asked.cursor, &head).await?;
        coordination.confirm(id, Known::up_to(asked.cursor.seq())).await.map_err(Failure::from)?;
        let cursor = context.feed.cursors.cursor(head.seq, &head.chain);
        Ok(LeaseGrant::new(asked.nonce, cursor, &head.chain, context.policy.feed.term, context.clock.now()))
    }

    /// Ends the lease of a verifier that accepts no more tokens.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn give_lease_back(&self, id: &InstanceId) -> Result<(), Failure> {
        Ok(self.context.feed.coordination.leave(id, self.context.clock.uptime()).await?)
    }

    /// The verifiers that have recently asked for a lease.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn verifiers(&self) -> Result<Vec<VerifierInfo>, Failure> {
        let (now, time) = (self.context.clock.uptime(), self.context.clock.now());
        let leases = self.context.feed.coordination.leases(now).await?;
        let leases = leases.into_iter().filter(|lease| !lease.id.is_node()).map(|lease| {
            let state = match lease.binding {
                Binding::NotBound => VerifierState::NotBound,
                Binding::Bound if lease.until <= now => VerifierState::Stale,
                Binding::Bound => VerifierState::Confirmed,
            };
            let leased_until = time + lease.until.saturating_sub(now) - now.saturating_sub(lease.until);
            VerifierInfo {
                id: lease.id,
                state,
                confirmed: lease.confirmed.seq,
                leased_until,
                label: lease.label,
            }
        });
        Ok(leases.collect())
    }

    /// Ends all streams of the feed, because this process is about to exit.
    pub fn close_feed(&self) {
        self.context.feed.broadcast.close();
    }

    /// Checks that a position is in this log, which ends at `head`. A position that the issuer has given out
    /// but that isn't in its log proves that the store went back: it has lost its latest changes. Since those
    /// may include ended sessions, this ends everything.
    async fn check_position(&self, cursor: &Cursor, head: &Head) -> Result<(), FeedRefused> {
        if !self.context.feed.cursors.has_issued(cursor) {
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

    /// Returns whether the store went back and its log has since given the same sequence numbers to other
    /// entries.
    /// Pruned entries can't be compared, but no longer matter.
    async fn is_of_another_log(&self, cursor: &Cursor, head: &Head) -> Result<bool, Failure> {
        if cursor.seq() == head.seq {
            return Ok(!cursor.is_of(&head.chain));
        }
        let before = Seq::from_u64(cursor.seq().as_u64().saturating_sub(1));
        let next = self.context.store.entries_after(before, 1).await?;
        Ok(next.first().is_some_and(|entry| entry.seq == cursor.seq() && !cursor.is_of(&entry.chain)))
    }
}
