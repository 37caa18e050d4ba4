//! The barrier: waits until every verifier and every node knows an entry. A process with a lease has confirmed it,
//! or its lease has expired, and then it refuses tokens by itself.

use std::time::Duration;

use quash_core::model::{Binding, Clock, InstanceId, Seq, Timestamp};
use quash_store::{Known, Lease, Standing, StoreError};
use tracing::Instrument;

use crate::context::{Context, Service};
use crate::failure::{Failure, Unavailable};
use crate::traced::part;

/// The result of a barrier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BarrierResult {
    /// The sequence number of the entry.
    pub seq: Seq,
    /// The time since which no bound verifier accepts a token that the entry covers.
    pub effective_at: Timestamp,
    pub verifiers: Vec<VerifierResult>,
}

/// The state of a verifier at the end of a barrier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierResult {
    pub id: InstanceId,
    pub state: VerifierState,
    /// The time after which it reached this state.
    pub after: Duration,
}

/// A verifier's state with respect to a sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifierState {
    /// The verifier has confirmed it.
    Confirmed,
    /// The verifier hasn't confirmed it, and refuses tokens because its lease has expired.
    Stale,
    /// The verifier accepts tokens without a lease, so its state is unknown.
    NotBound,
}

impl VerifierState {
    /// The name of the state, in answers and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Stale => "stale",
            Self::NotBound => "not_bound",
        }
    }
}

impl BarrierResult {
    /// Returns whether every verifier has confirmed the entry.
    pub fn is_confirmed_by_all(&self) -> bool {
        self.verifiers.iter().all(|verifier| verifier.state == VerifierState::Confirmed)
    }
}

impl Service {
    /// Like [`Service::effective`], for everything that was committed before this call.
    ///
    /// # Errors
    /// As for [`Service::effective`].
    pub async fn effective_now(&self) -> Result<BarrierResult, Failure> {
        let context = &*self.context;
        let seq = match &context.node {
            // The guard of the only process knows of each change before its request is answered.
            None => context.guard.cursor(),
            Some(_) => until_read(&*context.clock, || context.store.head()).await?.seq,
        };
        self.effective(seq).await
    }

    /// Waits until every bound verifier and every node knows the committed entry `seq`, has lost its lease, or has
    /// given it back: at most a lease's term, and a little more for clocks that differ. A verifier that has given
    /// its lease back accepts nothing, and isn't listed.
    ///
    /// # Errors
    /// The leases can't be read for 20 seconds: the entry is written, and it isn't known who knows it.
    pub async fn effective(&self, seq: Seq) -> Result<BarrierResult, Failure> {
        self.context.barrier(Known::up_to(seq), |_| true).instrument(part!("wait for verifiers")).await
    }
}

impl Context {
    /// Waits until every node has the keys that this one has, or has lost its lease and signs nothing.
    pub(crate) async fn keys_at_all_nodes(&self, seq: Option<Seq>) -> Result<(), Failure> {
        if let Some(node) = &self.node {
            let known = Known { seq: seq.unwrap_or(Seq::ZERO), ring: node.ring() };
            self.barrier(known, |lease| lease.id.is_node()).await?;
        }
        Ok(())
    }

    /// Waits until the processes that `waits_for` chooses have confirmed so much, or have no lease.
    async fn barrier(
        &self,
        asked: Known,
        waits_for: impl Fn(&Lease) -> bool,
    ) -> Result<BarrierResult, Failure> {
        let Known { seq, .. } = asked;
        let (coordination, clock) = (&*self.feed.coordination, &*self.clock);
        let began = clock.uptime();
        let mut changes = coordination.changes();
        // A process that enters after the commit gets a head that includes the entry.
        let mut waiting = until_read(clock, || coordination.leases(clock.uptime())).await?;
        waiting.retain(waits_for);
        let mut verifiers = Vec::with_capacity(waiting.len());
        if let Err(error) = coordination.want(seq).await {
            tracing::warn!(%error, "failed to ask verifiers for an early confirmation");
        }
        loop {
            changes.mark_unchanged();
            let standings = until_read(clock, || coordination.standings(&waiting)).await?;
            let now = clock.uptime();
            let mut standings = standings.into_iter();
            waiting.retain(|lease| {
                let standing = standings.next().unwrap_or(Standing::Forgotten);
                let state = match lease.binding {
                    _ if standing == Standing::Left => return false,
                    _ if matches!(standing, Standing::Confirmed(has) if has_confirmed(lease, has, asked)) => {
                        VerifierState::Confirmed
                    }
                    Binding::NotBound => VerifierState::NotBound,
                    Binding::Bound if lease.until <= now => VerifierState::Stale,
                    Binding::Bound => return true,
                };
                if lease.id.is_node() {
                    return false;
                }
                if state == VerifierState::Confirmed {
                    self.metrics.confirmed(now.saturating_sub(began));
                }
                let after = now.saturating_sub(began);
                verifiers.push(VerifierResult { id: lease.id.clone(), state, after });
                false
            });
            let next = waiting
                .iter()
                .map(|lease| lease.until)
                .chain([coordination.unlisted_until()])
                .filter(|until| *until > now)
                .min();
            let Some(next) = next else { break };
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = tokio::time::sleep(next - now) => {}
            }
        }
        verifiers.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(BarrierResult { seq, effective_at: clock.now(), verifiers })
    }
}

/// Returns whether a process has confirmed what is asked for. A verifier confirms no keys: it fetches them.
fn has_confirmed(lease: &Lease, has: Known, asked: Known) -> bool {
    has.seq >= asked.seq && (has.ring >= asked.ring || !lease.id.is_node())
}

/// Repeats a read until it succeeds: a barrier that can't read the leases must not succeed.
///
/// # Errors
/// It fails for too long.
async fn until_read<T, F>(clock: &dyn Clock, mut read: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let began = clock.uptime();
    loop {
        match read().await {
            Ok(found) => return Ok(found),
            Err(error) if clock.uptime().saturating_sub(began) < READ_WITHIN => {
                tracing::warn!(%error, "failed to read the leases of verifiers; retrying");
            }
            Err(error) => {
                let cause = format!("it is, and the leases of verifiers can't be read: {error}");
                return Err(Failure::Unavailable(Unavailable::OutcomeUnknown(cause)));
            }
        }
        tokio::time::sleep(READ_AGAIN).await;
    }
}

/// The longest time in which reads of the leases may fail: less than a request may take.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// The pause after a failed read of the leases.
const READ_AGAIN: Duration = Duration::from_millis(100);
