//! Counters of two processes of the issuer over one PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quash_store::{AGAIN_AFTER, Bucket, Counted, CounterKey};
use tokio::task::JoinSet;

use crate::counters::{HOUR, MINUTE, Process, counted, mail, network};
use crate::database::{Database, eventually};

async fn two_processes() -> Option<(Arc<Database>, Process, Process)> {
    let database = Arc::new(Database::create().await?);
    let (a, b) =
        (Process::over(&database, &database.url).await, Process::over(&database, &database.url).await);
    Some((database, a, b))
}

/// Guesses as the service does, and counts the guesses that are evaluated.
async fn guess(process: Process, dana: Counted, evaluated: Arc<AtomicUsize>) {
    while !process.reserve(dana).await {
        tokio::task::yield_now().await;
    }
    if !process.is_locked(dana).await {
        evaluated.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        process.failed(dana).await;
    }
    process.counters.release(dana);
}

#[tokio::test]
async fn a20_five_of_200_parallel_guesses_are_evaluated() {
    let Some((_database, a, b)) = two_processes().await else { return };
    let (dana, evaluated) = (counted(Bucket::Account, 1), Arc::new(AtomicUsize::new(0)));
    let mut guesses = JoinSet::new();
    for _ in 0..100 {
        for process in [&a, &b] {
            guesses.spawn(guess(process.clone(), dana, Arc::clone(&evaluated)));
        }
    }
    guesses.join_all().await;
    assert_eq!(evaluated.load(Ordering::SeqCst), 5);
    assert!(a.is_locked(dana).await && b.is_locked(dana).await);
}

#[tokio::test]
async fn a20_right_passwords_are_not_limited_in_number() {
    let Some((_database, a, b)) = two_processes().await else { return };
    let dana = counted(Bucket::Account, 1);
    let mut attempts = JoinSet::new();
    for _ in 0..50 {
        for process in [a.clone(), b.clone()] {
            attempts.spawn(async move {
                while !process.reserve(dana).await {
                    tokio::task::yield_now().await;
                }
                process.counters.clear(dana).await.expect("it is cleared");
                process.counters.release(dana);
            });
        }
    }
    attempts.join_all().await;
    assert!(!a.is_locked(dana).await);
}

#[tokio::test]
async fn locks_and_successes_of_one_process_hold_at_the_other() {
    let Some((_database, a, b)) = two_processes().await else { return };
    let dana = counted(Bucket::Account, 1);
    for n in 0..5 {
        let process = if n % 2 == 0 { &a } else { &b };
        assert_eq!(process.failed(dana).await, n == 4);
    }
    assert!(a.is_locked(dana).await && b.is_locked(dana).await);
    b.counters.clear(dana).await.expect("it is cleared");
    assert!(!b.is_locked(dana).await);
    assert!(a.is_locked(dana).await, "believed for a second");
    a.pass(Duration::from_secs(1)).await;
    assert!(!a.is_locked(dana).await);
}

#[tokio::test]
async fn places_of_a_lost_process_expire() {
    let Some((_database, a, b)) = two_processes().await else { return };
    let (dana, window) = (counted(Bucket::Account, 1), network(1));
    for _ in 0..5 {
        assert!(a.reserve(dana).await);
    }
    for _ in 0..50 {
        assert_eq!(a.begin(window).await, Ok(()));
    }
    b.pass(Duration::from_secs(25)).await;
    assert!(!b.reserve(dana).await);
    assert_eq!(b.begin(window).await, Err(AGAIN_AFTER));
    b.pass(Duration::from_secs(5)).await;
    assert!(b.reserve(dana).await);
    assert_eq!(b.begin(window).await, Ok(()));
}

/// Otherwise a client that disconnects at the right moment could keep all places of an account.
#[tokio::test]
async fn cancelled_requests_give_their_place_back() {
    let Some((database, a, b)) = two_processes().await else { return };
    let dana = counted(Bucket::Account, 1);
    let client = database.client().await;
    for _ in 0..5 {
        // Its statement waits, and is run after the request was cancelled.
        client.batch_execute("BEGIN; LOCK TABLE tally").await.expect("a lock");
        let cancelled = tokio::time::timeout(Duration::from_millis(100), a.reserve(dana)).await;
        assert!(cancelled.is_err(), "it waits for the lock");
        client.batch_execute("COMMIT").await.expect("no lock");
    }
    let places = AtomicUsize::new(0);
    eventually("all places are free again", async || {
        let is_free = b.reserve(dana).await;
        places.fetch_add(usize::from(is_free), Ordering::SeqCst) + usize::from(is_free) == 5
    })
    .await;
}

/// The places that remain are those of the newest attempts.
#[tokio::test]
async fn places_are_given_back_oldest_first() {
    let Some((_database, a, b)) = two_processes().await else { return };
    let dana = counted(Bucket::Account, 1);
    assert!(a.reserve(dana).await);
    a.pass(Duration::from_secs(20)).await;
    for _ in 0..4 {
        assert!(b.reserve(dana).await);
    }
    b.counters.release(dana);
    eventually("a place", || async { b.reserve(dana).await }).await;
    b.pass(Duration::from_secs(11)).await;
    assert!(!b.reserve(dana).await, "the one that remained isn't 30 seconds old");
}

#[tokio::test]
async fn windows_are_shared() {
    let Some((_database, a, b)) = two_processes().await else { return };
    let window = network(1);
    let mut attempts = JoinSet::new();
    for n in 0..120 {
        let process = if n % 2 == 0 { a.clone() } else { b.clone() };
        attempts.spawn(async move { process.fail_in(window).await.is_ok() });
    }
    let failed = attempts.join_all().await.into_iter().filter(|failed| *failed).count();
    assert_eq!(failed, 50);
    assert_eq!((a.left(window).await, b.left(window).await), (0, 0));
    assert!(a.begin(window).await.is_err() && b.begin(window).await.is_err());
}

#[tokio::test]
async fn requests_are_counted_together() {
    let Some((_database, a, b)) = two_processes().await else { return };
    let mut requests = JoinSet::new();
    for n in 0..60 {
        let process = if n % 2 == 0 { a.clone() } else { b.clone() };
        requests.spawn(async move { process.take(&[mail(1, 20)]).await });
    }
    let taken = requests.join_all().await.into_iter().filter(|taken| *taken).count();
    assert_eq!(taken, 20);
}

/// A request that loses a race gives back what it has taken.
#[tokio::test]
async fn refused_requests_leave_no_count() {
    let Some((database, a, b)) = two_processes().await else { return };
    let mut requests = JoinSet::new();
    for n in 0..60 {
        let process = if n % 2 == 0 { a.clone() } else { b.clone() };
        requests.spawn(async move { process.take(&[mail(1, 1000), mail(2, 10)]).await });
    }
    let taken = requests.join_all().await.into_iter().filter(|taken| *taken).count();
    assert!(taken <= 10, "{taken}");
    let counts = "SELECT cardinality(at) FROM recent ORDER BY key";
    let rows = database.client().await.query(counts, &[]).await.expect("the counts");
    let counts: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(counts, [i32::try_from(taken).expect("a small number"); 2]);
}

#[tokio::test]
async fn a26_unknown_names_share_rows() {
    let Some((database, a, b)) = two_processes().await else { return };
    let name = |first: u32, last: u8| {
        let mut key = [last; 16];
        key[..4].copy_from_slice(&first.to_be_bytes());
        Counted { bucket: Bucket::UnknownName, key: CounterKey(key) }
    };
    for n in 0..4 {
        assert!(!a.failed(name(7, n)).await);
    }
    assert!(!a.failed(name(8, 0)).await, "another row");
    assert!(b.failed(name(7 + (1 << 17), 9)).await, "the fifth failure of the shared row");
    let rows = database.client().await.query("SELECT 1 FROM tally", &[]).await.expect("the rows");
    assert_eq!(rows.len(), 2);
}

#[tokio::test]
async fn known_refusals_need_no_database() {
    let Some((database, a, _)) = two_processes().await else { return };
    let (dana, window) = (counted(Bucket::Account, 1), network(1));
    for _ in 0..5 {
        a.failed(dana).await;
    }
    for _ in 0..50 {
        a.counters.failed_in(window, a.now()).await.expect("it is counted");
    }
    assert!(a.take(&[mail(1, 1)]).await);
    assert!(!a.take(&[mail(1, 1)]).await);
    assert!(a.is_locked(dana).await);
    assert!(a.begin(window).await.is_err());
    database.client().await.batch_execute("DROP TABLE tally, recent").await.expect("no tables");
    for _ in 0..100 {
        assert!(a.is_locked(dana).await);
        assert!(a.begin(window).await.is_err());
        assert!(!a.take(&[mail(1, 1)]).await);
    }
    assert!(a.counters.reserve(dana, a.now()).await.is_err(), "what isn't known fails");
    assert!(a.counters.failed(dana, 0, a.now()).await.is_err());
}

#[tokio::test]
async fn upkeep_deletes_what_no_longer_counts() {
    let Some((database, a, _)) = two_processes().await else { return };
    a.failed(counted(Bucket::Account, 1)).await;
    assert!(a.reserve(counted(Bucket::Account, 2)).await);
    assert_eq!(a.fail_in(network(1)).await, Ok(()));
    assert!(a.take(&[mail(1, 1)]).await);
    let client = database.client().await;
    for (span, expected) in [(MINUTE * 9, 4), (MINUTE * 50, 3), (HOUR, 0)] {
        a.pass(span).await;
        a.counters.upkeep().await.expect("it is done");
        let rows = "SELECT 1 FROM tally UNION ALL SELECT 1 FROM recent";
        assert_eq!(client.query(rows, &[]).await.expect("the rows").len(), expected, "{span:?}");
    }
}

#[tokio::test]
async fn counters_work_through_pgbouncer() {
    let Some(database) = Database::create().await else { return };
    let Some(url) = database.through_pgbouncer() else { return };
    let database = Arc::new(database);
    let (a, b) = (Process::over(&database, &url).await, Process::over(&database, &database.url).await);
    let dana = counted(Bucket::Account, 1);
    for n in 0..5 {
        eventually("a place", || a.reserve(dana)).await;
        assert_eq!(a.failed(dana).await, n == 4);
        a.counters.release(dana);
        assert_eq!(a.fail_in(network(1)).await, Ok(()));
    }
    assert!(b.is_locked(dana).await);
    assert_eq!(b.left(network(1)).await, 45);
}
