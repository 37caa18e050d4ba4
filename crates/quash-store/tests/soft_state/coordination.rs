//! The contract of `Coordination`: the same tests for the leases in memory and for those in rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quash_core::model::{Binding, Clock, InstanceId, ProcessLabel, Seq, Timestamp, limits};
use quash_store::{
    Coordination, Known, Lease, MemoryCoordination, MemoryStore, NewLease, NotRecorded, PostgresCoordination,
    PostgresOptions, PostgresStore, Standing,
};
use tokio::task::JoinSet;

use crate::database::Database;

pub(crate) const T: Duration = Duration::from_secs(10);

/// A clock that stands still until a test moves it.
#[derive(Default)]
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn set(&self, secs: u64) {
        self.0.store(secs * 1000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A process of the issuer.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) coordination: Arc<dyn Coordination>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Node {
    pub(crate) async fn in_memory() -> Self {
        let clock = Arc::<ManualClock>::default();
        let store = Arc::new(MemoryStore::new());
        let coordination = MemoryCoordination::beside(store, T, clock.uptime()).await.expect("a store");
        Self { coordination: Arc::new(coordination), clock }
    }

    pub(crate) async fn over(url: &str) -> Self {
        let clock = Arc::<ManualClock>::default();
        let store = PostgresStore::open(PostgresOptions::new(url)).await.expect("a store");
        let coordination =
            PostgresCoordination::beside(&store, Arc::clone(&clock) as _, Duration::from_secs(10))
                .await
                .expect("leases");
        Self { coordination: Arc::new(coordination), clock }
    }

    pub(crate) async fn record(&self, id: InstanceId) -> Result<(), NotRecorded> {
        let label = ProcessLabel::parse(Some("web-1"), Some("7")).expect("a label");
        let lease = NewLease { id: &id, binding: Binding::Bound, label: &label, term: T };
        self.coordination.record(lease, self.clock.uptime()).await
    }

    /// Records leases at the same time, and expects that all are granted.
    async fn record_all(&self, ids: impl Iterator<Item = InstanceId>) {
        let mut tasks = JoinSet::new();
        for id in ids {
            let node = self.clone();
            tasks.spawn(async move { node.record(id).await });
        }
        assert!(tasks.join_all().await.iter().all(Result::is_ok));
    }

    pub(crate) async fn listed(&self) -> Vec<Lease> {
        self.coordination.leases(self.clock.uptime()).await.expect("leases")
    }

    pub(crate) async fn standing(&self, id: InstanceId) -> Standing {
        let (binding, label) = (Binding::Bound, ProcessLabel::default());
        let lease = Lease { id, until: Duration::ZERO, confirmed: Known::default(), binding, label };
        self.coordination.standings(&[lease]).await.expect("standings")[0]
    }

    pub(crate) async fn confirm(&self, id: &InstanceId, known: Known) {
        self.coordination.confirm(id, known).await.expect("it is written");
    }

    pub(crate) async fn leave(&self, id: &InstanceId) {
        self.coordination.leave(id, self.clock.uptime()).await.expect("it is written");
    }
}

pub(crate) fn id(number: u8) -> InstanceId {
    InstanceId { name: "api".into(), number: [number; 16] }
}

fn numbered(name: usize, number: usize) -> InstanceId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    InstanceId { name: format!("api-{name:02}"), number: bytes }
}

macro_rules! for_each_engine {
    ($($promise:ident)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(&super::Node::in_memory().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $promise() {
                let Some(database) = super::Database::create().await else { return };
                super::$promise(&super::Node::over(&database.url).await).await;
            })+
        }
    };
}

for_each_engine! {
    leases_are_read_back
    expired_leases_are_evicted_when_full
    one_credential_leaves_leases_to_others
    leases_that_were_given_back_are_not_revived
    processes_that_left_take_no_place
    confirmations_never_decrease
    nodes_confirm_log_and_keys
    old_leases_are_no_longer_listed
    the_largest_wanted_number_is_followed
}

async fn leases_are_read_back(node: &Node) {
    node.clock.set(100);
    let label = ProcessLabel::parse(Some("web-2"), None).expect("a label");
    for (number, binding, term) in
        [(2, Binding::NotBound, T), (1, Binding::Bound, T / 2), (1, Binding::Bound, T)]
    {
        let lease = NewLease { id: &id(number), binding, label: &label, term };
        assert_eq!(node.coordination.record(lease, node.clock.uptime()).await, Ok(()));
    }
    let until = Duration::from_millis(110_006);
    let expected = |number, binding| Lease {
        id: id(number),
        until,
        confirmed: Known::default(),
        binding,
        label: label.clone(),
    };
    assert_eq!(node.listed().await, [expected(1, Binding::Bound), expected(2, Binding::NotBound)]);
}

async fn expired_leases_are_evicted_when_full(node: &Node) {
    let of = |number: usize| numbered(number / limits::VERIFIERS_PER_CREDENTIAL, number);
    node.record_all((0..limits::VERIFIERS).map(of)).await;
    assert_eq!(node.listed().await.len(), limits::VERIFIERS);
    node.clock.set(1);
    assert_eq!(node.record(of(limits::VERIFIERS)).await, Err(NotRecorded::TooMany), "one past the edge");
    assert_eq!(node.record(of(0)).await, Ok(()), "renewing needs no room");
    assert_eq!(node.record(InstanceId::of_node([1; 16])).await, Ok(()), "verifiers keep no node out");
    node.listed().await;
    node.clock.set(11);
    assert_eq!(node.record(of(limits::VERIFIERS)).await, Ok(()));
    assert_eq!(node.listed().await.len(), 3, "only those that hold one");
    assert_eq!(node.standing(of(1)).await, Standing::Forgotten);
}

async fn one_credential_leaves_leases_to_others(node: &Node) {
    let most = limits::VERIFIERS_PER_CREDENTIAL;
    node.record_all((0..most).map(|number| numbered(1, number))).await;
    let past_the_edge = node.record(numbered(1, most)).await;
    assert_eq!(past_the_edge, Err(NotRecorded::TooManyWithCredential), "one past the edge");
    for name in [0, 2] {
        assert_eq!(node.record(numbered(name, 0)).await, Ok(()));
    }
    node.listed().await;
    node.clock.set(1);
    assert_eq!(node.record(numbered(1, 0)).await, Ok(()), "renewing needs no room");
    node.listed().await;
    node.clock.set(11);
    assert_eq!(node.record(numbered(1, most)).await, Ok(()));
    assert_eq!(node.listed().await.len(), 4, "two that are gone are still listed");
}

async fn leases_that_were_given_back_are_not_revived(node: &Node) {
    assert_eq!(node.record(id(1)).await, Ok(()));
    let mut changes = node.coordination.changes();
    changes.mark_unchanged();
    node.clock.set(1);
    node.leave(&id(1)).await;
    assert!(changes.has_changed().expect("a sender"), "requests that wait for it are woken");
    assert_eq!(node.listed().await, []);
    assert_eq!(node.standing(id(1)).await, Standing::Left);
    node.clock.set(2);
    assert_eq!(node.record(id(1)).await, Err(NotRecorded::Left), "a request that was under way");
    node.confirm(&id(1), Known::up_to(Seq::start_of(1))).await;
    assert_eq!(node.listed().await, []);
    // The request may also arrive before the process has had any lease.
    node.leave(&id(2)).await;
    assert_eq!(node.record(id(2)).await, Err(NotRecorded::Left));
    node.listed().await;
    node.clock.set(61);
    node.coordination.upkeep(node.clock.uptime()).await.expect("it is written");
    node.listed().await;
    let standings = [node.standing(id(1)).await, node.standing(id(2)).await];
    assert_eq!(standings, [Standing::Forgotten, Standing::Left], "forgotten after a minute");
}

async fn processes_that_left_take_no_place(node: &Node) {
    let most = limits::VERIFIERS_PER_CREDENTIAL;
    for number in 0..=most {
        node.leave(&numbered(1, number)).await;
    }
    node.record_all((0..most).map(|number| numbered(1, most + 1 + number))).await;
    node.leave(&numbered(1, 0)).await;
    let standing = node.standing(numbered(1, 0)).await;
    assert_eq!(standing, Standing::Forgotten, "there is no place to remember it");
    assert_eq!(node.listed().await.len(), most);
}

async fn confirmations_never_decrease(node: &Node) {
    assert_eq!(node.record(id(1)).await, Ok(()));
    for seq in [Seq::start_of(1).next(), Seq::start_of(1)] {
        node.confirm(&id(1), Known::up_to(seq)).await;
    }
    let expected = Standing::Confirmed(Known::up_to(Seq::start_of(1).next()));
    assert_eq!(node.standing(id(1)).await, expected);
    assert_eq!(node.record(id(1)).await, Ok(()));
    assert_eq!(node.standing(id(1)).await, expected, "a renewal keeps it");
}

async fn nodes_confirm_log_and_keys(node: &Node) {
    let own = InstanceId::of_node([7; 16]);
    assert_eq!(node.record(own.clone()).await, Ok(()));
    node.confirm(&own, Known { seq: Seq::start_of(1), ring: 3 }).await;
    node.confirm(&own, Known { seq: Seq::start_of(1).next(), ring: 2 }).await;
    let expected = Known { seq: Seq::start_of(1).next(), ring: 3 };
    assert_eq!(node.standing(own).await, Standing::Confirmed(expected));
    let listed = node.listed().await;
    assert!(listed[0].id.is_node());
    assert_eq!(listed[0].confirmed, expected);
}

async fn old_leases_are_no_longer_listed(node: &Node) {
    assert_eq!(node.record(id(1)).await, Ok(()));
    assert_eq!(node.listed().await.len(), 1);
    for (secs, expected) in [(3609, 1), (3611, 0)] {
        node.clock.set(secs);
        node.coordination.upkeep(node.clock.uptime()).await.expect("it is written");
        assert_eq!(node.listed().await.len(), expected, "after {secs} s");
    }
    assert_eq!(node.standing(id(1)).await, Standing::Forgotten);
}

async fn the_largest_wanted_number_is_followed(node: &Node) {
    let wanted = node.coordination.wanted();
    for seq in [Seq::start_of(1).next(), Seq::start_of(1)] {
        node.coordination.want(seq).await.expect("it is written");
    }
    assert_eq!(*wanted.borrow(), Seq::start_of(1).next());
}
