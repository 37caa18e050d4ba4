//! Coordination in the memory of the only process. After its start, it waits until the leases that the process
//! before it has granted have expired; the store has their longest term.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{Binding, Change, InstanceId, ProcessLabel, Seq, limits};
use tokio::sync::watch;

use super::{Coordination, Known, LEFT, LISTED, Lease, NewLease, NotRecorded, Standing, counted};
use crate::{Store, StoreError};

/// [`Coordination`] for a store that only one process uses.
pub struct MemoryCoordination {
    store: Arc<dyn Store>,
    holders: Mutex<BTreeMap<InstanceId, Holder>>,
    changes: watch::Sender<()>,
    wanted: watch::Sender<Seq>,
    /// The term of this process's leases.
    term: Duration,
    /// Whether leases of an earlier process may last longer than this process's own, according to the store.
    shorter: AtomicBool,
    /// The uptime at which all leases of an earlier process have expired.
    previous_expired_at: Duration,
}

struct Holder {
    until: Duration,
    confirmed: Known,
    binding: Binding,
    label: ProcessLabel,
    /// Whether the process has given its lease back. It never gets another one.
    has_left: bool,
}

/// The name of the setting for the longest term of leases that may still be valid.
const LONGEST_TERM: &str = "feed_term";

impl MemoryCoordination {
    /// Begins without leases, in a process whose leases have the term `term` and whose uptime is `now`.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub async fn beside(store: Arc<dyn Store>, term: Duration, now: Duration) -> Result<Self, StoreError> {
        let before = store
            .remembered(LONGEST_TERM)
            .await?
            .and_then(|millis| millis.parse().ok())
            .map(Duration::from_millis);
        if before.is_none_or(|before| before < term) {
            store.commit(remember(term)).await?;
        }
        let before = before.unwrap_or_default();
        Ok(Self {
            store,
            holders: Mutex::default(),
            changes: watch::Sender::new(()),
            wanted: watch::Sender::new(Seq::ZERO),
            term,
            shorter: AtomicBool::new(term < before),
            previous_expired_at: now + counted(before),
        })
    }

    fn holders(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Coordination for MemoryCoordination {
    async fn record(&self, lease: NewLease<'_>, arrived: Duration) -> Result<(), NotRecorded> {
        let NewLease { id, binding, label, term } = lease;
        let until = arrived + counted(term);
        let mut holders = self.holders();
        if let Some(holder) = holders.get_mut(id) {
            if holder.has_left {
                return Err(NotRecorded::Left);
            }
            (holder.until, holder.binding) = (until.max(holder.until), binding);
            if holder.label != *label {
                holder.label = label.clone();
            }
            return Ok(());
        }
        if let Some(full) = full_after_eviction(&mut holders, id, arrived) {
            return Err(full);
        }
        holders.insert(id.clone(), Holder { until, binding, label: label.clone(), ..Holder::default() });
        Ok(())
    }

    async fn confirm(&self, id: &InstanceId, known: Known) -> Result<(), StoreError> {
        if let Some(holder) = self.holders().get_mut(id) {
            holder.confirmed = holder.confirmed.and(known);
        }
        self.changes.send_replace(());
        Ok(())
    }

    /// Remembers the process even if it has no lease: a request for one may be under way.
    async fn leave(&self, id: &InstanceId, now: Duration) -> Result<(), StoreError> {
        let mut holders = self.holders();
        if holders.contains_key(id) || full_after_eviction(&mut holders, id, now).is_none() {
            holders.insert(id.clone(), Holder { until: now, has_left: true, ..Holder::default() });
        }
        drop(holders);
        self.changes.send_replace(());
        Ok(())
    }

    async fn leases(&self, now: Duration) -> Result<Vec<Lease>, StoreError> {
        let mut holders = self.holders();
        holders.retain(|_, holder| holder.until + if holder.has_left { LEFT } else { LISTED } > now);
        let listed = holders.iter().filter(|(_, holder)| !holder.has_left);
        Ok(listed.map(|(id, holder)| holder.lease(id)).collect())
    }

    async fn standings(&self, of: &[Lease]) -> Result<Vec<Standing>, StoreError> {
        let holders = self.holders();
        let standing = |lease: &Lease| match holders.get(&lease.id) {
            Some(holder) if holder.has_left => Standing::Left,
            Some(holder) => Standing::Confirmed(holder.confirmed),
            None => Standing::Forgotten,
        };
        Ok(of.iter().map(standing).collect())
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    async fn want(&self, seq: Seq) -> Result<(), StoreError> {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, seq.max(*wanted)) < seq);
        Ok(())
    }

    fn wanted(&self) -> watch::Receiver<Seq> {
        self.wanted.subscribe()
    }

    fn unlisted_until(&self) -> Duration {
        self.previous_expired_at
    }

    /// Stores this process's term once leases of an earlier process with a longer one have expired.
    async fn upkeep(&self, now: Duration) -> Result<(), StoreError> {
        if now >= self.previous_expired_at && self.shorter.swap(false, Ordering::Relaxed) {
            self.store.commit(remember(self.term)).await?;
        }
        Ok(())
    }
}

impl Holder {
    fn lease(&self, id: &InstanceId) -> Lease {
        Lease {
            id: id.clone(),
            until: self.until,
            confirmed: self.confirmed,
            binding: self.binding,
            label: self.label.clone(),
        }
    }
}

impl Default for Holder {
    fn default() -> Self {
        let (confirmed, binding, label) = (Known::default(), Binding::Bound, ProcessLabel::default());
        Self { until: Duration::ZERO, confirmed, binding, label, has_left: false }
    }
}

/// The limit, if reached, that prevents a lease for another process with this credential. Processes of the issuer
/// have no limit: verifiers mustn't keep them out.
fn full(holders: &BTreeMap<InstanceId, Holder>, id: &InstanceId) -> Option<NotRecorded> {
    if id.is_node() {
        return None;
    }
    let of_credential = |number| InstanceId { name: id.name.clone(), number };
    if holders.range(of_credential([0; 16])..=of_credential([0xFF; 16])).count()
        >= limits::VERIFIERS_PER_CREDENTIAL
    {
        return Some(NotRecorded::TooManyWithCredential);
    }
    (holders.len() >= limits::VERIFIERS).then_some(NotRecorded::TooMany)
}

/// The limit that prevents a lease for another process although the expired ones have been forgotten.
fn full_after_eviction(
    holders: &mut BTreeMap<InstanceId, Holder>,
    id: &InstanceId,
    now: Duration,
) -> Option<NotRecorded> {
    let full_before = full(holders, id)?;
    let concerns = |other: &InstanceId| full_before == NotRecorded::TooMany || other.name == id.name;
    holders.retain(|other, holder| holder.until > now || !concerns(other));
    full(holders, id)
}

/// The change that stores the longest term of leases that may still be valid.
fn remember(term: Duration) -> Change {
    Change::Remember { name: LONGEST_TERM, value: term.as_millis().to_string() }
}

/// Tests of this implementation alone. `tests/soft_state/coordination.rs` tests the contract of both.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    const T: Duration = Duration::from_secs(10);

    /// A process that starts after another one with the same term.
    async fn coordination() -> MemoryCoordination {
        let store = Arc::new(MemoryStore::new());
        store.commit(remember(T)).await.expect("it is written");
        MemoryCoordination::beside(store, T, Duration::ZERO).await.expect("a store")
    }

    fn id(number: u8) -> InstanceId {
        InstanceId { name: "api".into(), number: [number; 16] }
    }

    async fn record(leases: &MemoryCoordination, id: InstanceId, at: Duration) -> Result<(), NotRecorded> {
        let label = ProcessLabel::default();
        leases.record(NewLease { id: &id, binding: Binding::Bound, label: &label, term: T }, at).await
    }

    async fn listed(leases: &MemoryCoordination, at: Duration) -> Vec<Lease> {
        leases.leases(at).await.expect("leases")
    }

    #[tokio::test]
    async fn leases_count_longer_than_their_term() {
        let leases = coordination().await;
        assert_eq!(record(&leases, id(1), Duration::from_secs(100)).await, Ok(()));
        assert_eq!(
            record(&leases, id(1), Duration::from_secs(90)).await,
            Ok(()),
            "a request that was delayed"
        );
        let listed = listed(&leases, Duration::from_secs(100)).await;
        assert_eq!(listed[0].until, Duration::from_secs(110) + Duration::from_millis(6));
        assert_eq!(leases.unlisted_until(), T + Duration::from_millis(6));
    }

    #[tokio::test]
    async fn longer_terms_are_remembered_until_they_have_expired() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let start = |term| MemoryCoordination::beside(Arc::clone(&store), term, Duration::ZERO);
        let remembered = async || store.remembered(LONGEST_TERM).await.expect("a store");
        assert_eq!(start(T).await.expect("a store").unlisted_until(), Duration::ZERO, "the first process");
        assert_eq!(remembered().await.as_deref(), Some("10000"));
        let shorter = start(T / 2).await.expect("a store");
        for (at, expected) in [(T, "10000"), (T + Duration::from_millis(6), "5000")] {
            shorter.upkeep(at).await.expect("it is written");
            assert_eq!(remembered().await.as_deref(), Some(expected), "{at:?}");
        }
        start(T * 2).await.expect("a store");
        assert_eq!(remembered().await.as_deref(), Some("20000"), "before the first lease of this term");
    }
}
