//! Leases of two processes of the issuer over one PostgreSQL, each with its own connections and its own clock.

use std::time::Duration;

use quash_core::model::Seq;
use quash_store::{Known, Standing};
use tokio::task::JoinSet;

use crate::coordination::{Node, id};
use crate::database::{Database, eventually};

async fn two_nodes(database: &Database) -> (Node, Node) {
    let nodes = (Node::over(&database.url).await, Node::over(&database.url).await);
    // The clocks have nothing in common.
    nodes.0.clock.set(5_000);
    nodes.1.clock.set(100);
    nodes
}

#[tokio::test]
async fn leases_of_one_node_are_waited_for_at_the_other() {
    let Some(database) = Database::create().await else { return };
    let (a, b) = two_nodes(&database).await;
    assert_eq!(a.record(id(1)).await, Ok(()));
    let lease = b.listed().await.pop().expect("the lease");
    assert_eq!((lease.id, lease.until), (id(1), Duration::from_millis(110_006)), "by the own clock");
    assert_eq!(b.standing(id(1)).await, Standing::Confirmed(Known::default()));
    let known = Known::up_to(Seq::start_of(1));
    b.confirm(&id(1), known).await;
    assert_eq!(a.standing(id(1)).await, Standing::Confirmed(known), "confirmed at the other node");
    b.leave(&id(1)).await;
    assert_eq!(a.standing(id(1)).await, Standing::Left);
    assert_eq!(a.record(id(1)).await, Err(quash_store::NotRecorded::Left));
}

#[tokio::test]
async fn waiting_requests_are_woken_by_the_other_node() {
    let Some(database) = Database::create().await else { return };
    let (a, b) = two_nodes(&database).await;
    let (mut changes, mut wanted) = (a.coordination.changes(), a.coordination.wanted());
    let seq = Seq::start_of(1).next();
    b.coordination.want(seq).await.expect("it is written");
    wanted.wait_for(|wanted| *wanted == seq).await.expect("a sender");
    for _ in 0..3 {
        changes.changed().await.expect("a sender");
    }
}

#[tokio::test]
async fn leases_expire_a_term_after_their_renewal_was_seen() {
    let Some(database) = Database::create().await else { return };
    let (a, b) = two_nodes(&database).await;
    let until = async |secs| {
        b.clock.set(secs);
        b.listed().await[0].until.as_millis()
    };
    assert_eq!(a.record(id(1)).await, Ok(()));
    assert_eq!(until(100).await, 110_006);
    assert_eq!(until(105).await, 110_006, "not renewed");
    b.confirm(&id(1), Known::up_to(Seq::start_of(1))).await;
    assert_eq!(until(106).await, 110_006, "a confirmation is no renewal");
    assert_eq!(a.record(id(1)).await, Ok(()));
    assert_eq!(until(107).await, 117_006);
    assert_eq!(until(118).await, 117_006, "expired");
}

/// A read may take long. The lease may have been asked for meanwhile.
#[tokio::test]
async fn renewals_count_from_the_end_of_the_read() {
    let Some(database) = Database::create().await else { return };
    let b = Node::over(&database.url).await;
    b.clock.set(100);
    let locker = database.client().await;
    locker.batch_execute("BEGIN; LOCK TABLE lease IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let reading = tokio::spawn({
        let b = b.clone();
        async move { b.listed().await }
    });
    is_waiting(&database, "READ").await;
    b.clock.set(104);
    locker
        .batch_execute(
            "INSERT INTO lease (name, instance, kind, renewal, term_ms, bound) \
             VALUES ('api', decode(repeat('01', 16), 'hex'), 'verifier', nextval('lease_renewal'), 10000, true); COMMIT",
        )
        .await
        .expect("a lease");
    let listed = reading.await.expect("no panic");
    assert_eq!(listed[0].until, Duration::from_millis(114_006));
}

#[tokio::test]
async fn only_the_renewal_that_was_seen_is_deleted() {
    let Some(database) = Database::create().await else { return };
    let (a, b) = two_nodes(&database).await;
    assert_eq!(a.record(id(1)).await, Ok(()));
    assert_eq!(b.listed().await.len(), 1);
    b.clock.set(100 + 3_611);
    // Others may read, so the upkeep sees the old renewal, and then waits for this transaction.
    let renewer = database.client().await;
    renewer.batch_execute("BEGIN; LOCK TABLE lease IN SHARE MODE").await.expect("a lock");
    let upkeep = tokio::spawn({
        let b = b.clone();
        async move { b.coordination.upkeep(Duration::from_secs(3_711)).await }
    });
    is_waiting(&database, "DELETE").await;
    renewer
        .batch_execute("UPDATE lease SET renewal = nextval('lease_renewal'); COMMIT")
        .await
        .expect("a renewal");
    upkeep.await.expect("no panic").expect("it is written");
    assert_eq!(a.listed().await.len(), 1, "the new renewal stays");
}

/// Waits until another connection waits for the table's lock.
async fn is_waiting(database: &Database, what: &str) {
    let client = database.client().await;
    eventually(what, || async {
        let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'lease'::regclass";
        !client.query(waiting, &[]).await.expect("the locks").is_empty()
    })
    .await;
}

#[tokio::test]
async fn renewals_are_never_given_again() {
    let Some(database) = Database::create().await else { return };
    let (a, b) = two_nodes(&database).await;
    assert_eq!(a.record(id(1)).await, Ok(()));
    assert_eq!(b.listed().await[0].until, Duration::from_millis(110_006));
    // Another node deletes the row, and the process comes back, between two reads of this node.
    database.client().await.batch_execute("DELETE FROM lease").await.expect("no rows");
    assert_eq!(a.record(id(1)).await, Ok(()));
    b.clock.set(109);
    assert_eq!(b.listed().await[0].until, Duration::from_millis(119_006));
}

#[tokio::test]
async fn leases_that_wait_share_a_round() {
    let Some(database) = Database::create().await else { return };
    let (a, _) = two_nodes(&database).await;
    let mut tasks = JoinSet::new();
    for number in 0..200 {
        let a = a.clone();
        tasks.spawn(async move { a.record(id(number)).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    let client = database.client().await;
    let transactions = "SELECT count(DISTINCT xmin::text), count(*) FROM lease";
    let row = client.query_one(transactions, &[]).await.expect("the rows");
    let (transactions, rows): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(rows, 200);
    assert!(transactions <= 5, "{transactions} transactions");
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let Some(database) = Database::create().await else { return };
    let (a, _) = two_nodes(&database).await;
    assert_eq!(a.record(id(1)).await, Ok(()));
    let client = database.client().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    client.query(end, &[]).await.expect("the connections end");
    eventually("a lease", || async { a.record(id(2)).await.is_ok() }).await;
    assert_eq!(a.listed().await.len(), 2);
}

#[tokio::test]
async fn leases_are_granted_through_pgbouncer() {
    let Some(database) = Database::create().await else { return };
    let Some(url) = database.through_pgbouncer() else { return };
    let (a, b) = (Node::over(&url).await, Node::over(&database.url).await);
    for _ in 0..3 {
        assert_eq!(a.record(id(1)).await, Ok(()));
        a.confirm(&id(1), Known::up_to(Seq::start_of(1))).await;
        assert_eq!(b.standing(id(1)).await, Standing::Confirmed(Known::up_to(Seq::start_of(1))));
    }
    a.leave(&id(1)).await;
    assert_eq!(b.standing(id(1)).await, Standing::Left);
}
