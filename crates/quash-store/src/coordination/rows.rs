//! Leases as rows that several nodes share, in memory: the model of the rows in a database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{Binding, InstanceId, ProcessLabel, Seq, limits};
use tokio::sync::watch;

use super::sightings::Sightings;
use super::{Coordination, Known, Lease, NewLease, NotRecorded, Standing};
use crate::StoreError;

/// The rows that nodes share.
#[derive(Default)]
pub struct LeaseRows {
    rows: Mutex<Rows>,
    changes: watch::Sender<()>,
    wanted: watch::Sender<Seq>,
}

#[derive(Default)]
struct Rows {
    /// The number of the newest renewal. No two renewals have the same, even of a row that was deleted
    /// meanwhile.
    renewals: u64,
    of: BTreeMap<InstanceId, Row>,
}

#[derive(Clone)]
struct Row {
    renewal: u64,
    binding: Binding,
    label: ProcessLabel,
    confirmed: Known,
    term: Duration,
    /// Whether the process has given its lease back. It never gets another one.
    has_left: bool,
}

/// [`Coordination`] of one node over [`LeaseRows`].
pub struct NodeCoordination {
    rows: Arc<LeaseRows>,
    sightings: Mutex<Sightings>,
    /// The time for which a row is kept after its lease has expired.
    kept: Duration,
}

/// The time for which a row is kept after its lease has expired.
const KEPT: Duration = Duration::from_secs(3600);

impl NodeCoordination {
    pub fn over(rows: Arc<LeaseRows>) -> Self {
        Self { rows, sightings: Mutex::default(), kept: KEPT }
    }

    /// Keeps rows for this long after their leases have expired, in place of an hour. For simulations.
    #[must_use]
    pub fn keeping_rows_for(self, kept: Duration) -> Self {
        Self { kept, ..self }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sightings(&self) -> MutexGuard<'_, Sightings> {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All rows as a read returns them at `now`, with the uptimes until which their leases may count.
    fn read(&self, now: Duration) -> Vec<(InstanceId, Row, Duration)> {
        let (rows, mut sightings) = (self.rows(), self.sightings());
        sightings.keep(|id| rows.of.contains_key(id));
        let mut read = Vec::with_capacity(rows.of.len());
        for (id, row) in &rows.of {
            read.push((id.clone(), row.clone(), sightings.until(id, row.renewal, row.term, now)));
        }
        read
    }
}

#[async_trait]
impl Coordination for NodeCoordination {
    async fn record(&self, lease: NewLease<'_>, arrived: Duration) -> Result<(), NotRecorded> {
        let is_live = |(_, row, until): &(InstanceId, Row, Duration)| !row.has_left && *until > arrived;
        let live: Vec<_> = self.read(arrived).into_iter().filter(is_live).collect();
        let mut rows = self.rows();
        if let Some(row) = rows.of.get(lease.id) {
            if row.has_left {
                return Err(NotRecorded::Left);
            }
        } else if !lease.id.is_node() {
            let verifiers = live.iter().filter(|(id, ..)| !id.is_node());
            if verifiers.clone().filter(|(id, ..)| id.name == lease.id.name).count()
                >= limits::VERIFIERS_PER_CREDENTIAL
            {
                return Err(NotRecorded::TooManyWithCredential);
            }
            if verifiers.count() >= limits::VERIFIERS {
                return Err(NotRecorded::TooMany);
            }
        }
        rows.renewals += 1;
        let renewal = rows.renewals;
        let row = rows.of.entry(lease.id.clone()).or_insert_with(|| Row {
            renewal,
            binding: lease.binding,
            label: lease.label.clone(),
            confirmed: Known::default(),
            term: lease.term,
            has_left: false,
        });
        (row.renewal, row.binding, row.label) = (renewal, lease.binding, lease.label.clone());
        row.term = row.term.max(lease.term);
        drop(rows);
        self.rows.changes.send_replace(());
        Ok(())
    }

    async fn confirm(&self, id: &InstanceId, known: Known) -> Result<(), StoreError> {
        if let Some(row) = self.rows().of.get_mut(id) {
            row.confirmed = row.confirmed.and(known);
        }
        self.rows.changes.send_replace(());
        Ok(())
    }

    /// Remembers the process even if it has no row: a request for a lease may be under way.
    async fn leave(&self, id: &InstanceId, _: Duration) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.renewals += 1;
        let renewal = rows.renewals;
        let row = rows.of.entry(id.clone()).or_insert_with(|| Row {
            renewal,
            binding: Binding::Bound,
            label: ProcessLabel::default(),
            confirmed: Known::default(),
            term: Duration::ZERO,
            has_left: true,
        });
        (row.renewal, row.has_left) = (renewal, true);
        drop(rows);
        self.rows.changes.send_replace(());
        Ok(())
    }

    async fn leases(&self, now: Duration) -> Result<Vec<Lease>, StoreError> {
        let listed = self.read(now).into_iter().filter(|(_, row, _)| !row.has_left);
        Ok(listed.map(|(id, row, until)| row.lease(id, until)).collect())
    }

    async fn standings(&self, of: &[Lease]) -> Result<Vec<Standing>, StoreError> {
        let rows = self.rows();
        let standing = |lease: &Lease| match rows.of.get(&lease.id) {
            Some(row) if row.has_left => Standing::Left,
            Some(row) => Standing::Confirmed(row.confirmed),
            None => Standing::Forgotten,
        };
        Ok(of.iter().map(standing).collect())
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.rows.changes.subscribe()
    }

    async fn want(&self, seq: Seq) -> Result<(), StoreError> {
        let wanted = &self.rows.wanted;
        wanted.send_if_modified(|wanted| std::mem::replace(wanted, seq.max(*wanted)) < seq);
        Ok(())
    }

    fn wanted(&self) -> watch::Receiver<Seq> {
        self.rows.wanted.subscribe()
    }

    /// Rows outlive processes: there is no lease that can't be listed.
    fn unlisted_until(&self) -> Duration {
        Duration::ZERO
    }

    /// Deletes the rows that this node has seen expired for long enough, unless they were renewed since it
    /// read them.
    async fn upkeep(&self, now: Duration) -> Result<(), StoreError> {
        for (id, renewal) in self.expired(now) {
            self.delete(&id, renewal);
        }
        Ok(())
    }
}

impl NodeCoordination {
    /// The rows that this node has seen expired for long enough, with their renewals.
    pub fn expired(&self, now: Duration) -> Vec<(InstanceId, u64)> {
        let read = self.read(now).into_iter().filter(|(_, _, until)| *until + self.kept <= now);
        read.map(|(id, row, _)| (id, row.renewal)).collect()
    }

    /// Deletes a row that is still at this renewal.
    pub fn delete(&self, id: &InstanceId, renewal: u64) {
        let mut rows = self.rows();
        if rows.of.get(id).is_some_and(|row| row.renewal == renewal) {
            rows.of.remove(id);
        }
    }
}

impl Row {
    fn lease(self, id: InstanceId, until: Duration) -> Lease {
        let Self { confirmed, binding, label, .. } = self;
        Lease { id, until, confirmed, binding, label }
    }
}
