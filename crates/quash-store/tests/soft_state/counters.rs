//! The contract of `Counters`: the same tests for the counters in memory and for those in rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quash_core::model::LockoutPolicy;
use quash_store::{
    AGAIN_AFTER, Bucket, Counted, CounterKey, Counters, MemoryCounters, PostgresCounters, PostgresOptions,
    PostgresStore, RequestKind, RequestLimit, Window, WindowKind,
};

use crate::database::{Database, eventually};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The counters of a process of the issuer, and its clock.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) counters: Arc<dyn Counters>,
    uptime: Arc<AtomicU64>,
    database: Option<Arc<Database>>,
}

impl Process {
    pub(crate) fn in_memory() -> Self {
        let counters = MemoryCounters::new(LockoutPolicy::default());
        Self { counters: Arc::new(counters), uptime: Arc::new(AtomicU64::new(60_000)), database: None }
    }

    pub(crate) async fn over(database: &Arc<Database>, url: &str) -> Self {
        let store = PostgresStore::open(PostgresOptions::new(url)).await.expect("a store");
        let counters = PostgresCounters::beside(&store, LockoutPolicy::default()).expect("counters");
        let (uptime, database) = (Arc::new(AtomicU64::new(60_000)), Some(Arc::clone(database)));
        Self { counters: Arc::new(counters), uptime, database }
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.uptime.load(Ordering::SeqCst))
    }

    /// Lets time pass. For the database, everything that it has recorded becomes older.
    pub(crate) async fn pass(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).expect("a short time");
        self.uptime.fetch_add(millis, Ordering::SeqCst);
        let Some(database) = &self.database else { return };
        let older = |column: &str| {
            format!(
                "{column} = ARRAY(SELECT m - interval '{millis} ms' FROM unnest({column}) AS m ORDER BY m)"
            )
        };
        let earlier = |column: &str| format!("{column} = {column} - interval '{millis} ms'");
        let statements = format!(
            "UPDATE tally SET {}, {}, {}; UPDATE recent SET {}, {}, {}",
            older("running"),
            earlier("locked_until"),
            earlier("changed_at"),
            older("at"),
            older("running"),
            earlier("until"),
        );
        database.client().await.batch_execute(&statements).await.expect("time passes");
    }

    pub(crate) async fn reserve(&self, counted: Counted) -> bool {
        self.counters.reserve(counted, self.now()).await.expect("an answer")
    }

    pub(crate) async fn is_locked(&self, counted: Counted) -> bool {
        self.counters.is_locked(counted, self.now()).await.expect("an answer")
    }

    pub(crate) async fn failed(&self, counted: Counted) -> bool {
        self.counters.failed(counted, 0, self.now()).await.expect("it is counted")
    }

    async fn fail(&self, counted: Counted, times: usize) -> Vec<bool> {
        let mut locks = Vec::with_capacity(times);
        for _ in 0..times {
            locks.push(self.failed(counted).await);
        }
        locks
    }

    /// The most attempts that can be evaluated at once. Gives their places back.
    async fn places(&self, counted: Counted) -> usize {
        let mut places = 0;
        while self.reserve(counted).await {
            places += 1;
        }
        for _ in 0..places {
            self.counters.release(counted);
        }
        if let Some(database) = &self.database {
            let client = database.client().await;
            eventually("the places are given back", || async {
                let running = "SELECT 1 FROM tally WHERE cardinality(running) > 0";
                client.query(running, &[]).await.expect("the places").is_empty()
            })
            .await;
        }
        places
    }

    pub(crate) async fn begin(&self, window: Window) -> Result<(), Duration> {
        self.counters.begin(window, self.now()).await.expect("an answer")
    }

    /// An attempt that fails, once no place of an earlier one is in its way.
    pub(crate) async fn fail_in(&self, window: Window) -> Result<(), Duration> {
        loop {
            match self.begin(window).await {
                Ok(()) => break,
                Err(AGAIN_AFTER) => tokio::task::yield_now().await,
                Err(more_after) => return Err(more_after),
            }
        }
        self.counters.failed_in(window, self.now()).await.expect("it is counted");
        self.counters.end(window);
        Ok(())
    }

    pub(crate) async fn left(&self, window: Window) -> u32 {
        self.counters.allowance(window, self.now()).await.expect("an answer").left
    }

    pub(crate) async fn take(&self, limits: &[RequestLimit]) -> bool {
        self.counters.take(limits, self.now()).await.expect("an answer")
    }
}

pub(crate) fn counted(bucket: Bucket, n: u8) -> Counted {
    Counted { bucket, key: CounterKey([n; 16]) }
}

pub(crate) fn network(n: u8) -> Window {
    Window { kind: WindowKind::Subnet, key: CounterKey([n; 16]), most: 50, span: MINUTE * 10 }
}

pub(crate) fn mail(n: u8, most: u32) -> RequestLimit {
    let kind = RequestKind::MailFrom(WindowKind::Subnet);
    RequestLimit { kind, key: CounterKey([n; 16]), most, span: HOUR }
}

macro_rules! for_each_engine {
    ($($promise:ident)+) => {
        mod memory {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(&super::Process::in_memory()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $promise() {
                let Some(database) = super::Database::create().await else { return };
                let (url, database) = (database.url.clone(), std::sync::Arc::new(database));
                super::$promise(&super::Process::over(&database, &url).await).await;
            })+
        }
    };
}

for_each_engine! {
    a20_failures_and_running_attempts_share_the_places
    a22_counting_restarts_when_a_lock_ends
    stored_consecutive_locks_lengthen_the_next
    failures_are_forgotten_after_the_longest_lock
    fifty_failures_exhaust_a_sliding_window
    parallel_attempts_reserve_failures_before_judgment
    a_used_up_limit_counts_nothing
    kinds_with_the_same_key_are_counted_apart
    upkeep_forgets_nothing_that_counts
}

async fn a20_failures_and_running_attempts_share_the_places(process: &Process) {
    let (dana, device) = (counted(Bucket::Account, 1), counted(Bucket::Device, 1));
    for _ in 0..5 {
        assert!(process.reserve(dana).await);
    }
    assert!(!process.reserve(dana).await, "one past the edge");
    assert!(process.reserve(device).await, "another counter");
    for _ in 0..4 {
        assert!(!process.failed(dana).await);
        process.counters.release(dana);
        assert!(!process.reserve(dana).await, "one place, and one attempt that has it");
    }
    assert!(process.failed(dana).await, "the fifth failure locks");
    process.counters.release(dana);
    assert!(process.is_locked(dana).await);
    eventually("an attempt under a lock has a place, too", || process.reserve(dana)).await;
    process.pass(MINUTE).await;
    assert!(!process.is_locked(dana).await);
    assert_eq!(process.fail(dana, 5).await, [false, false, false, false, true]);
    assert!(process.is_locked(dana).await);
    process.counters.clear(dana).await.expect("it is cleared");
    assert!(!process.is_locked(dana).await);
}

async fn a22_counting_restarts_when_a_lock_ends(process: &Process) {
    for (bucket, n) in [(Bucket::Account, 1), (Bucket::Device, 2), (Bucket::UnknownName, 3)] {
        let dana = counted(bucket, n);
        assert_eq!(process.fail(dana, 5).await, [false, false, false, false, true]);
        process.pass(MINUTE - Duration::from_secs(5)).await;
        assert!(process.is_locked(dana).await);
        process.pass(Duration::from_secs(5)).await;
        assert!(!process.is_locked(dana).await);
        assert_eq!(process.places(dana).await, 5);
        assert_eq!(process.fail(dana, 4).await, [false; 4]);
        assert_eq!(process.places(dana).await, 1);
        assert!(process.failed(dana).await);
        process.pass(MINUTE * 2 - Duration::from_secs(5)).await;
        assert!(process.is_locked(dana).await, "twice as long");
        process.pass(Duration::from_secs(5)).await;
        assert!(!process.is_locked(dana).await);
        process.counters.clear(dana).await.expect("it is cleared");
        assert!(process.fail(dana, 5).await[4]);
        process.pass(MINUTE).await;
        assert!(!process.is_locked(dana).await, "the first one again");
    }
}

async fn stored_consecutive_locks_lengthen_the_next(process: &Process) {
    for (n, locks, expected) in [(1, 4, MINUTE * 16), (2, u32::MAX, HOUR)] {
        let dana = counted(Bucket::Account, n);
        for _ in 0..5 {
            process.counters.failed(dana, locks, process.now()).await.expect("it is counted");
        }
        process.pass(expected - Duration::from_secs(5)).await;
        assert!(process.is_locked(dana).await);
        process.pass(Duration::from_secs(5)).await;
        assert!(!process.is_locked(dana).await);
    }
}

async fn failures_are_forgotten_after_the_longest_lock(process: &Process) {
    let dana = counted(Bucket::Account, 1);
    process.fail(dana, 4).await;
    process.pass(HOUR - Duration::from_secs(5)).await;
    assert_eq!(process.places(dana).await, 1);
    process.pass(Duration::from_secs(5)).await;
    assert_eq!(process.places(dana).await, 5);
    assert!(!process.failed(dana).await, "the first one again");
}

async fn fifty_failures_exhaust_a_sliding_window(process: &Process) {
    let (window, second) = (network(1), Duration::from_secs(1));
    for _ in 0..50 {
        assert_eq!(process.fail_in(window).await, Ok(()));
        process.pass(second * 10).await;
    }
    let more_after = process.fail_in(window).await.expect_err("none is left");
    assert!(more_after <= second * 100 && more_after > second * 70, "{more_after:?}");
    assert_eq!(process.left(window).await, 0);
    assert_eq!(process.fail_in(network(2)).await, Ok(()), "another network");
    process.pass(second * 100).await;
    assert_eq!(process.fail_in(window).await, Ok(()), "a window that moves on");
    let more_after = process.fail_in(window).await.expect_err("none is left");
    assert!(more_after <= second * 10, "{more_after:?}");
    process.pass(MINUTE * 20).await;
    let allowance = process.counters.allowance(window, process.now()).await.expect("an answer");
    assert_eq!((allowance.left, allowance.more_after), (50, MINUTE * 10));
}

async fn parallel_attempts_reserve_failures_before_judgment(process: &Process) {
    let window = network(1);
    for _ in 0..48 {
        assert_eq!(process.fail_in(window).await, Ok(()));
    }
    // Until the 48 places have been given back, there are fewer.
    eventually("two are left", || async { process.begin(window).await.is_ok() }).await;
    eventually("one is left", || async { process.begin(window).await.is_ok() }).await;
    assert_eq!(process.begin(window).await, Err(AGAIN_AFTER));
    assert_eq!(process.left(window).await, 2, "they are no failures yet");
    process.counters.end(window);
    eventually("one is given back", || async { process.begin(window).await.is_ok() }).await;
    assert_eq!(process.begin(window).await, Err(AGAIN_AFTER));
}

async fn a_used_up_limit_counts_nothing(process: &Process) {
    let (narrow, wide) = (mail(1, 2), mail(2, 3));
    let both = [narrow, wide];
    assert!(process.take(&both).await && process.take(&both).await);
    assert!(!process.take(&both).await);
    assert!(process.take(&[wide]).await, "the third one of it");
    assert!(!process.take(&[wide]).await);
    process.pass(HOUR - Duration::from_secs(5)).await;
    assert!(!process.take(&[wide]).await);
    process.pass(Duration::from_secs(5)).await;
    assert!(process.take(&both).await, "an hour after the first one");
    assert!(process.take(&both).await);
    assert!(!process.take(&both).await);
}

async fn kinds_with_the_same_key_are_counted_apart(process: &Process) {
    for kind in [
        RequestKind::MailFrom(WindowKind::Subnet),
        RequestKind::MailFrom(WindowKind::Home),
        RequestKind::MailFrom(WindowKind::Site),
        RequestKind::MailFromUnknown,
        RequestKind::AddressChange,
        RequestKind::LockNotice,
    ] {
        let limit = RequestLimit { kind, ..mail(1, 1) };
        assert!(process.take(&[limit]).await, "{kind:?}");
        assert!(!process.take(&[limit]).await, "{kind:?}");
    }
    for kind in [WindowKind::Subnet, WindowKind::Home, WindowKind::Site, WindowKind::Devices] {
        let window = Window { kind, ..network(1) };
        assert_eq!(process.left(window).await, 50, "{kind:?}");
        assert_eq!(process.fail_in(window).await, Ok(()));
    }
}

async fn upkeep_forgets_nothing_that_counts(process: &Process) {
    let (locked, failed) = (counted(Bucket::Account, 1), counted(Bucket::Account, 2));
    for _ in 0..5 {
        process.counters.failed(locked, 10, process.now()).await.expect("it is counted");
    }
    process.fail(failed, 4).await;
    assert_eq!(process.fail_in(network(1)).await, Ok(()));
    assert!(process.take(&[mail(1, 1)]).await);
    process.pass(MINUTE * 9).await;
    process.counters.upkeep().await.expect("it is done");
    assert!(process.is_locked(locked).await);
    assert_eq!(process.places(failed).await, 1);
    assert_eq!(process.left(network(1)).await, 49);
    assert!(!process.take(&[mail(1, 1)]).await);
}
