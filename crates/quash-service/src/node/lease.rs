//! A node's own lease: it limits what the node decides and signs while it is paused or cut off. Other
//! processes wait for its row as they wait for a verifier's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quash_core::model::{Binding, Clock};
use quash_store::{Coordination, Known, NewLease, NotRecorded, StoreError};

use super::{Node, Recorded};

/// The time in which a row must be written.
const WITHIN: Duration = Duration::from_secs(1);
/// The difference between a node's clock and the database's of which the log warns.
const CLOCK_WARNED: Duration = Duration::from_secs(30);
/// The difference with which a node doesn't renew its lease.
const CLOCK_REFUSED: Duration = Duration::from_secs(300);
/// The pause after a failure.
const AGAIN: Duration = Duration::from_millis(100);
/// The interval at which all rows are read: those of processes that ended are then known to be expired before
/// anyone waits for them.
const SIGHTED_EVERY: Duration = Duration::from_secs(1);

/// Holds the lease for as long as the process runs.
pub(crate) async fn hold(node: Arc<Node>, coordination: Arc<dyn Coordination>, clock: Arc<dyn Clock>) {
    let mut is_failing = false;
    // A node that doesn't follow the log mustn't renew a lease that it can't use: the others would wait for its
    // expiry again and again.
    while node.may_renew().await {
        let confirmed = *node.published.borrow();
        // Read before the row is written, which is before the head is read that makes the lease count.
        let began = clock.uptime();
        let renewed =
            tokio::time::timeout(WITHIN, node.renew(&*coordination, &*clock, began, confirmed)).await;
        let fault = match renewed {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the store doesn't answer".to_owned()),
        };
        match (&fault, is_failing) {
            (Some(fault), false) => tracing::warn!(fault, "failed to renew this node's lease; retrying"),
            (None, true) => tracing::info!("renewing this node's lease again"),
            (Some(_), true) | (None, false) => {}
        }
        is_failing = fault.is_some();
        if is_failing {
            tokio::time::sleep(AGAIN).await;
        } else {
            let _ = tokio::time::timeout(node.term / 4, has_more(&node, &*coordination, confirmed)).await;
        }
    }
}

impl Node {
    /// Waits until the lease recorded last counts, or none was recorded yet. `false`: the process ends.
    async fn may_renew(&self) -> bool {
        let last = self.recorded.borrow().map_or(Duration::ZERO, |recorded| recorded.at);
        let (mut left, mut proven) = (self.left.subscribe(), self.proven.subscribe());
        tokio::select! {
            biased;
            _ = left.wait_for(|left| *left) => false,
            proven = proven.wait_for(|at| *at >= last) => proven.is_ok(),
        }
    }

    /// Writes the row, and what is confirmed in it.
    async fn renew(
        &self,
        coordination: &dyn Coordination,
        clock: &dyn Clock,
        began: Duration,
        confirmed: Known,
    ) -> Result<(), NotRecorded> {
        self.compare_clocks(coordination, clock).await?;
        let (id, label, term) = (&self.id, &self.label, self.term);
        coordination.record(NewLease { id, binding: Binding::Bound, label, term }, began).await?;
        let recorded = Recorded { at: clock.uptime(), until: began + self.term };
        self.recorded.send_replace(Some(recorded));
        coordination.confirm(&self.id, confirmed).await?;
        Ok(())
    }

    /// Compares this node's wall clock with the database's. A node whose clock is far off would sign tokens from
    /// another time.
    ///
    /// # Errors
    /// It differs by more than [`CLOCK_REFUSED`], or the database doesn't tell its time.
    async fn compare_clocks(
        &self,
        coordination: &dyn Coordination,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        let before = clock.now();
        let Some(shared) = coordination.shared_time().await? else { return Ok(()) };
        // The other clock was read in between.
        let ahead = before.since(shared);
        let differs = ahead.max(shared.since(clock.now()));
        let is_wrong = differs > CLOCK_REFUSED;
        self.has_wrong_clock.store(is_wrong, Ordering::Relaxed);
        let direction = if ahead.is_zero() { "behind" } else { "ahead of" };
        if is_wrong {
            return Err(StoreError::Unavailable(format!(
                "this node's clock is {} s {direction} the database's: set it, and run NTP on both machines",
                differs.as_secs()
            )));
        }
        let is_off = differs > CLOCK_WARNED;
        if is_off && !self.was_clock_off.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                secs = differs.as_secs(),
                "this node's clock is {direction} the database's: run NTP on both machines"
            );
        }
        self.was_clock_off.store(is_off, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the lease back: no other process waits for this one any more, which accepts and signs nothing any more.
    /// A renewal that is under way is refused, or its row expires like that of a process that was killed.
    pub(crate) async fn leave(&self, coordination: &dyn Coordination, clock: &dyn Clock) {
        self.left.send_replace(true);
        let left = coordination.leave(&self.id, clock.uptime());
        if let Ok(Err(error)) = tokio::time::timeout(WITHIN, left).await {
            tracing::debug!(%error, "failed to give this node's lease back");
        }
    }
}

/// Reads all leases again and again.
pub(crate) async fn sight(coordination: Arc<dyn Coordination>, clock: Arc<dyn Clock>) {
    loop {
        if let Ok(Err(error)) = tokio::time::timeout(WITHIN, coordination.leases(clock.uptime())).await {
            tracing::debug!(%error, "failed to read the leases");
        }
        tokio::time::sleep(SIGHTED_EVERY).await;
    }
}

/// Waits until the guard has more than was confirmed, and a request waits for that: an entry, or other keys.
async fn has_more(node: &Node, coordination: &dyn Coordination, confirmed: Known) {
    let (mut published, mut wanted) = (node.published.subscribe(), coordination.wanted());
    loop {
        let (has, asked) = (*published.borrow_and_update(), *wanted.borrow_and_update());
        if has.ring > confirmed.ring || (asked > confirmed.seq && has.seq > confirmed.seq) {
            return;
        }
        tokio::select! {
            biased;
            changed = published.changed() => if changed.is_err() { std::future::pending().await },
            changed = wanted.changed() => if changed.is_err() { std::future::pending().await },
        }
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::{ProcessLabel, Seeded, Timestamp};
    use quash_store::{LeaseRows, NodeCoordination};
    use tokio::time::Instant;

    use super::*;
    use crate::node::NodeSetup;

    const TERM: Duration = Duration::from_secs(10);
    const SOON: Duration = Duration::from_millis(1);

    /// The paused clock of the runtime.
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000)
        }

        fn uptime(&self) -> Duration {
            Duration::from_secs(1) + self.0.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_does_not_count_is_not_renewed() {
        let rows = Arc::<LeaseRows>::default();
        let other = NodeCoordination::over(Arc::clone(&rows));
        let setup = NodeSetup::new(ProcessLabel::default(), TERM, &Seeded::new(1));
        let node = Arc::new(Node::new(setup, 0, 0));
        #[expect(clippy::disallowed_methods, reason = "the runtime's clock is the test's")]
        let clock = Arc::new(Paused(Instant::now()));
        let coordination = Arc::new(NodeCoordination::over(rows));
        tokio::spawn(hold(Arc::clone(&node), coordination, Arc::clone(&clock) as _));
        // Another node sees each renewal as a later end of the lease.
        let seen_after = async |span: Duration| {
            tokio::time::sleep(span).await;
            other.leases(clock.uptime()).await.expect("leases")[0].until
        };
        let first = seen_after(SOON).await;
        assert_eq!(seen_after(TERM * 2).await, first, "no read of the log has made it count");
        node.proven.send_replace(clock.uptime());
        let second = seen_after(SOON).await;
        assert!(second > first);
        node.proven.send_replace(clock.uptime());
        assert!(seen_after(TERM / 3).await > second, "in time");
        node.left.send_replace(true);
        node.proven.send_replace(clock.uptime());
        let last = seen_after(TERM).await;
        node.proven.send_replace(clock.uptime());
        assert_eq!(seen_after(TERM).await, last, "it has been given back");
    }
}
