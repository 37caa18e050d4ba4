//! Rounds of writes: all requests that wait share one. So 1,000 verifiers cost 50 transactions a second.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Binding, InstanceId, ProcessLabel};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Shared;
use super::rows::NewRow;
use crate::StoreError;
use crate::coordination::{Known, NotRecorded};

/// A request for a lease.
pub(super) struct Recording {
    pub(super) id: InstanceId,
    pub(super) binding: Binding,
    pub(super) label: ProcessLabel,
    pub(super) term: Duration,
    pub(super) answer: oneshot::Sender<Result<(), NotRecorded>>,
}

/// A confirmation.
pub(super) struct Confirmation {
    pub(super) id: InstanceId,
    pub(super) known: Known,
    pub(super) answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The end of a lease.
pub(super) struct Departure {
    pub(super) id: InstanceId,
    pub(super) answer: oneshot::Sender<Result<(), StoreError>>,
}

/// The shortest time between two rounds of leases.
const ROUND: Duration = Duration::from_millis(20);
/// The longest time that a round may take. Its connection is then replaced.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
/// The most requests in a round.
const MOST: usize = 1_024;

/// Grants leases in rounds.
pub(super) async fn record(shared: Arc<Shared>, mut asked: mpsc::Receiver<Recording>) {
    let mut pace = interval(ROUND);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(first) = asked.recv().await {
        pace.tick().await;
        let mut round = gathered(first, &mut asked);
        // The row is written once for each process: with its newest request, and the longest term.
        round.sort_by(|one, other| one.id.cmp(&other.id));
        let refused = match shared.refused(round.iter().map(|asked| &asked.id)).await {
            Ok(refused) => refused,
            Err(error) => {
                answer_all(round, |asked| asked.answer.send(Err(error.clone().into())).is_ok());
                continue;
            }
        };
        let mut rows: Vec<NewRow<'_>> = Vec::with_capacity(round.len());
        for Recording { id, binding, label, term, .. } in &round {
            if refused.iter().any(|(other, _)| other == id) {
                continue;
            }
            match rows.last_mut().filter(|row| row.id == id) {
                Some(row) => *row = NewRow { id, binding: *binding, label, term: row.term.max(*term) },
                None => rows.push(NewRow { id, binding: *binding, label, term: *term }),
            }
        }
        let granted = if rows.is_empty() {
            Ok(Vec::new())
        } else {
            // All leases of this process wait for this round, its own included.
            let written = timeout(WRITTEN_WITHIN, shared.database.record_leases(&rows)).await;
            written
                .unwrap_or_else(|_| Err(StoreError::Unavailable("the server doesn't answer".into()).into()))
        };
        match granted.map_err(StoreError::from) {
            Ok(mut granted) => {
                granted.sort_unstable();
                answer_all(round, |asked| {
                    let refusal =
                        refused.iter().find(|(id, _)| *id == asked.id).map(|(_, refusal)| refusal.clone());
                    let outcome = match refusal {
                        Some(refusal) => Err(refusal),
                        None if granted.binary_search(&asked.id).is_ok() => Ok(()),
                        None => Err(NotRecorded::Left),
                    };
                    asked.answer.send(outcome).is_ok()
                });
            }
            Err(error) => answer_all(round, |asked| asked.answer.send(Err(error.clone().into())).is_ok()),
        }
    }
}

/// Writes confirmations, one transaction at a time.
pub(super) async fn confirm(shared: Arc<Shared>, mut asked: mpsc::Receiver<Confirmation>) {
    while let Some(first) = asked.recv().await {
        let mut round = gathered(first, &mut asked);
        round.sort_by(|one, other| one.id.cmp(&other.id));
        let mut confirmed: Vec<(InstanceId, Known)> = Vec::with_capacity(round.len());
        for Confirmation { id, known, .. } in &round {
            match confirmed.last_mut().filter(|(last, _)| last == id) {
                Some((_, before)) => *before = before.and(*known),
                None => confirmed.push((id.clone(), *known)),
            }
        }
        let outcome = shared.database.confirm_leases(&confirmed).await.map_err(StoreError::from);
        shared.changes.send_replace(());
        answer_all(round, |asked| asked.answer.send(outcome.clone()).is_ok());
    }
}

/// Ends leases, one transaction at a time.
pub(super) async fn leave(shared: Arc<Shared>, mut asked: mpsc::Receiver<Departure>) {
    while let Some(first) = asked.recv().await {
        let round = gathered(first, &mut asked);
        let outcome = shared.end_leases(&round).await;
        shared.changes.send_replace(());
        answer_all(round, |asked| asked.answer.send(outcome.clone()).is_ok());
    }
}

impl Shared {
    /// The new processes for which there is no place, and why. Places of expired leases are given to them. Two
    /// processes of the issuer that grant leases at the same time may exceed a limit by those.
    async fn refused(
        &self,
        asked: impl Iterator<Item = &InstanceId>,
    ) -> Result<Vec<(InstanceId, NotRecorded)>, StoreError> {
        let mut new: Vec<&InstanceId> = asked.filter(|id| !self.sights.has(id)).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        self.sights.read(&self.database).await?;
        new.dedup();
        new.retain(|id| !self.sights.has(id));
        let (mut admitted, mut refused) = (Vec::with_capacity(new.len()), Vec::new());
        for id in new {
            let mut full = self.sights.full(id, &admitted);
            if let Some(limit) = &full {
                let evictable = self.sights.evictable(id, limit);
                if !evictable.is_empty() {
                    self.database.forget_leases(&evictable).await?;
                    self.sights.read(&self.database).await?;
                    full = self.sights.full(id, &admitted);
                }
            }
            match full {
                Some(limit) => refused.push((id.clone(), limit)),
                None => admitted.push(id.clone()),
            }
        }
        Ok(refused)
    }

    /// Remembers the processes even if they have no lease, while there is room for them.
    async fn end_leases(&self, round: &[Departure]) -> Result<(), StoreError> {
        let mut ids: Vec<InstanceId> = round.iter().map(|asked| asked.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let refused = self.refused(ids.iter()).await?;
        ids.retain(|id| !refused.iter().any(|(other, _)| other == id));
        if ids.is_empty() { Ok(()) } else { Ok(self.database.leave_leases(&ids).await?) }
    }
}

/// The requests that wait now.
fn gathered<T>(first: T, asked: &mut mpsc::Receiver<T>) -> Vec<T> {
    let mut round = vec![first];
    while round.len() < MOST
        && let Ok(next) = asked.try_recv()
    {
        round.push(next);
    }
    round
}

/// Answers requests. A caller that has stopped waiting needs no answer.
fn answer_all<T>(round: Vec<T>, answer: impl Fn(T) -> bool) {
    for asked in round {
        answer(asked);
    }
}
