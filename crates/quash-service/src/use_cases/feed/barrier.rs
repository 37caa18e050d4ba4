//! The barrier: waiting until something is known everywhere. Whoever holds a lease has confirmed it, or their lease has
//! run out, after which they refuse tokens by themselves.

use std::time::Duration;

use quash_core::model::{Seq, Timestamp};

use crate::context::Service;
use crate::feed::{Binding, InstanceId};

/// What waiting has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effective {
    /// What was waited for.
    pub seq: Seq,
    /// Since when nobody who is bound accepts what it covers.
    pub effective_at: Timestamp,
    /// What became of each verifier.
    pub verifiers: Vec<VerifierSeen>,
}

/// What became of a verifier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierSeen {
    /// Which.
    pub id: InstanceId,
    /// Where it stands.
    pub state: VerifierState,
    /// After which time it stood there.
    pub after: Duration,
}

/// Where a verifier stands towards a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifierState {
    /// It knows it.
    Confirmed,
    /// It hasn't said so, and can't vouch for anything any more.
    Stale,
    /// It accepts tokens without a lease: nothing can be said.
    NotBound,
}

impl VerifierState {
    /// Its name, in answers and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Stale => "stale",
            Self::NotBound => "not_bound",
        }
    }
}

impl Effective {
    /// Whether every verifier has confirmed it.
    pub fn is_confirmed_by_all(&self) -> bool {
        self.verifiers.iter().all(|verifier| verifier.state == VerifierState::Confirmed)
    }
}

impl Service {
    /// Waits until every verifier that is bound knows the entry `seq`, which was committed before, or has lost its lease:
    /// a lease's term at the most, a little more for clocks that differ.
    pub async fn effective(&self, seq: Seq) -> Effective {
        let desk = &*self.desk;
        let (leases, clock) = (&desk.feed.leases, &*desk.clock);
        let began = clock.uptime();
        let mut confirmations = leases.confirmations();
        // Whoever enters after the commit is given a head that has the entry.
        let mut waiting: Vec<_> = leases.seen(began).into_iter().collect();
        let mut verifiers = Vec::with_capacity(waiting.len());
        desk.feed.outlet.want(seq);
        loop {
            confirmations.mark_unchanged();
            let now = clock.uptime();
            waiting.retain(|(id, tenant)| {
                let state = match tenant.binding {
                    _ if leases.confirmed_by(id).is_some_and(|confirmed| confirmed >= seq) => {
                        VerifierState::Confirmed
                    }
                    Binding::NotBound => VerifierState::NotBound,
                    Binding::Bound if tenant.until <= now => VerifierState::Stale,
                    Binding::Bound => return true,
                };
                if state == VerifierState::Confirmed {
                    desk.metrics.confirmed(now.saturating_sub(began));
                }
                verifiers.push(VerifierSeen { id: id.clone(), state, after: now.saturating_sub(began) });
                false
            });
            let next = waiting
                .iter()
                .map(|(_, tenant)| tenant.until)
                .chain([leases.alone_from()])
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
        Effective { seq, effective_at: clock.now(), verifiers }
    }
}
