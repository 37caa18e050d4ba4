//! The barrier: waits until every verifier knows an entry. A verifier with a lease has confirmed it, or its
//! lease has expired, and then it refuses tokens by itself.

use std::time::Duration;

use quash_core::model::{Seq, Timestamp};

use crate::context::Service;
use crate::feed::{Binding, InstanceId};

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
    /// Waits until every bound verifier knows the committed entry `seq`, has lost its lease, or has given it
    /// back: at most a lease's term, and a little more for clocks that differ. A verifier that has given its
    /// lease back accepts nothing, and isn't listed.
    pub async fn effective(&self, seq: Seq) -> BarrierResult {
        let context = &*self.context;
        let (leases, clock) = (&context.feed.leases, &*context.clock);
        let began = clock.uptime();
        let mut confirmations = leases.confirmations();
        // A verifier that enters after the commit gets a head that includes the entry.
        let mut waiting: Vec<_> = leases.seen(began).into_iter().collect();
        let mut verifiers = Vec::with_capacity(waiting.len());
        context.feed.broadcast.want(seq);
        loop {
            confirmations.mark_unchanged();
            let now = clock.uptime();
            waiting.retain(|(id, holder)| {
                if leases.has_left(id) {
                    return false;
                }
                let state = match holder.binding {
                    _ if leases.confirmed_by(id).is_some_and(|confirmed| confirmed >= seq) => {
                        VerifierState::Confirmed
                    }
                    Binding::NotBound => VerifierState::NotBound,
                    Binding::Bound if holder.until <= now => VerifierState::Stale,
                    Binding::Bound => return true,
                };
                if state == VerifierState::Confirmed {
                    context.metrics.confirmed(now.saturating_sub(began));
                }
                verifiers.push(VerifierResult { id: id.clone(), state, after: now.saturating_sub(began) });
                false
            });
            let next = waiting
                .iter()
                .map(|(_, holder)| holder.until)
                .chain([leases.previous_expired_at()])
                .filter(|until| *until > now)
                .min();
            let Some(next) = next else { break };
            tokio::select! {
                biased;
                _ = confirmations.changed() => {}
                () = tokio::time::sleep(next - now) => {}
            }
        }
        verifiers.sort_by(|one, other| one.id.cmp(&other.id));
        BarrierResult { seq, effective_at: clock.now(), verifiers }
    }
}
