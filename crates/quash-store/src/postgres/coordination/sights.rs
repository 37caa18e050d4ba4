//! The rows as this process has seen them: when it first saw each renewal, by its own clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::{Binding, Clock, InstanceId, ProcessLabel, limits};

use super::super::transaction::Database;
use crate::StoreError;
use crate::coordination::{Known, Lease, NotRecorded, Standing, counted};

/// The rows that the newest read has returned. Callers share reads: each gets one that began after its call.
pub(super) struct Sights {
    clock: Arc<dyn Clock>,
    rows: Mutex<BTreeMap<InstanceId, Sight>>,
    /// The number of reads that have begun.
    begun: AtomicU64,
    /// Held during a read; the number and the outcome of the newest one.
    turn: tokio::sync::Mutex<(u64, Result<(), StoreError>)>,
}

/// A row, as it was read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) renewal: i64,
    pub(super) known: Known,
    pub(super) term: Duration,
    pub(super) binding: Binding,
    pub(super) has_left: bool,
    pub(super) label: ProcessLabel,
}

/// A row, and the uptime at which a read first returned its renewal.
pub(super) struct Sight {
    found: Found,
    since: Duration,
}

/// A process, and the renewal that was seen of it.
pub(super) struct Renewal {
    pub(super) id: InstanceId,
    pub(super) number: i64,
}

impl Sights {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            rows: Mutex::default(),
            begun: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new((0, Ok(()))),
        }
    }

    pub(super) fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    /// Reads all rows, with a read that begins after this call. Calls that wait for it share it.
    pub(super) async fn read(&self, database: &Database) -> Result<(), StoreError> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut turn = self.turn.lock().await;
        let (number, outcome) = &*turn;
        if *number > before {
            return outcome.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = match database.read_leases().await {
            Ok(found) => {
                self.see(found, self.clock.uptime());
                Ok(())
            }
            Err(error) => Err(StoreError::from(error)),
        };
        *turn = (number, outcome.clone());
        outcome
    }

    /// A renewal counts from the time at which a read first *returned* it: it was requested before. The time at which
    /// the read was sent may be before the request.
    fn see(&self, found: Vec<(InstanceId, Found)>, returned: Duration) {
        let mut rows = self.rows();
        let mut before = std::mem::take(&mut *rows);
        *rows = found
            .into_iter()
            .map(|(id, found)| {
                let same = before.remove(&id).filter(|sight| sight.found.renewal == found.renewal);
                let since = same.map_or(returned, |sight| sight.since);
                (id, Sight { found, since })
            })
            .collect();
    }

    /// The leases that weren't given back, ordered by id.
    pub(super) fn leases(&self) -> Vec<Lease> {
        let rows = self.rows();
        let held = rows.iter().filter(|(_, sight)| !sight.found.has_left);
        held.map(|(id, sight)| sight.lease(id)).collect()
    }

    pub(super) fn standings(&self, of: &[Lease]) -> Vec<Standing> {
        let rows = self.rows();
        let standing = |lease: &Lease| match rows.get(&lease.id) {
            Some(sight) if sight.found.has_left => Standing::Left,
            Some(sight) => Standing::Confirmed(sight.found.known),
            None => Standing::Forgotten,
        };
        of.iter().map(standing).collect()
    }

    /// Returns whether a row was seen that has this knowledge.
    pub(super) fn knows(&self, id: &InstanceId, known: Known) -> bool {
        self.rows().get(id).is_some_and(|sight| sight.found.known.and(known) == sight.found.known)
    }

    /// The label of a lease's holder, the time since which no renewal of the lease was seen, and the
    /// longest time for which the lease may still be valid. `None`: it has none, or has given it back.
    pub(super) fn holder(
        &self,
        id: &InstanceId,
        now: Duration,
    ) -> Option<(ProcessLabel, Duration, Option<Duration>)> {
        let rows = self.rows();
        let sight = rows.get(id).filter(|sight| !sight.found.has_left)?;
        let left = sight.until().checked_sub(now).filter(|left| !left.is_zero());
        Some((sight.found.label.clone(), now.saturating_sub(sight.since), left))
    }

    /// Returns whether the process has a row.
    pub(super) fn has(&self, id: &InstanceId) -> bool {
        self.rows().contains_key(id)
    }

    /// The renewals of the rows for which this is true.
    pub(super) fn renewals(&self, of: impl Fn(&Sight) -> bool) -> Vec<Renewal> {
        let rows = self.rows();
        let chosen = rows.iter().filter(|(_, sight)| of(sight));
        chosen.map(|(id, sight)| Renewal { id: id.clone(), number: sight.found.renewal }).collect()
    }

    /// The limit, if reached, that prevents a lease for another process with this credential, if `admitted` are about
    /// to get one. Processes of the issuer have no limit: verifiers mustn't keep them out.
    pub(super) fn full(&self, id: &InstanceId, admitted: &[InstanceId]) -> Option<NotRecorded> {
        if id.is_node() {
            return None;
        }
        let rows = self.rows();
        let of_credential = |number| InstanceId { name: id.name.clone(), number };
        let mine = rows.range(of_credential([0; 16])..=of_credential([0xFF; 16])).count()
            + admitted.iter().filter(|other| other.name == id.name).count();
        if mine >= limits::VERIFIERS_PER_CREDENTIAL {
            return Some(NotRecorded::TooManyWithCredential);
        }
        (rows.len() + admitted.len() >= limits::VERIFIERS).then_some(NotRecorded::TooMany)
    }

    /// The renewals of the expired rows whose places may be given to this process.
    pub(super) fn evictable(&self, id: &InstanceId, full: &NotRecorded) -> Vec<Renewal> {
        let now = self.clock.uptime();
        let mut expired = self.renewals(|sight| sight.is_past(now, Duration::ZERO, Duration::ZERO));
        // The row of a node that was killed counts for an hour: after a promotion, it says who hasn't compared its log.
        expired.retain(|renewal| {
            !renewal.id.is_node() && (*full == NotRecorded::TooMany || renewal.id.name == id.name)
        });
        expired
    }

    /// A poisoned lock is safe to use: a panic in other code can't have left a row half written.
    fn rows(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Sight>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sight {
    /// The uptime until which some clock within the tolerance may consider the lease valid.
    fn until(&self) -> Duration {
        if self.found.has_left { self.since } else { self.since + counted(self.found.term) }
    }

    /// Returns whether the lease has expired for longer than `listed`, or was given back for longer than `left`.
    pub(super) fn is_past(&self, now: Duration, listed: Duration, left: Duration) -> bool {
        self.until() + if self.found.has_left { left } else { listed } <= now
    }

    fn lease(&self, id: &InstanceId) -> Lease {
        Lease {
            id: id.clone(),
            until: self.until(),
            confirmed: self.found.known,
            binding: self.found.binding,
            label: self.found.label.clone(),
        }
    }
}
