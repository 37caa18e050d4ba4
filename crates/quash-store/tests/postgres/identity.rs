//! The databases that a store opens: the recorded one, a copy, one on a promoted server, and one on a server that
//! doesn't say what it is.

use std::time::Duration;

use quash_core::decide::{NotedEntry, begin_epoch, compare_end};
use quash_core::model::{
    Actor, Change, Followed, InstanceId, NotedEnd, OldSessions, ScopeHasher, ScopeKind, Seq, Timestamp,
};
use quash_store::{FailOver, IfAnother, OpenError, PostgresOptions, PostgresStore, Store, StoreError};
use tokio_postgres::Client;

use crate::support::postgres::{TestDatabase, connect, database};
use crate::support::{NOW, account, add, commit, entry};

async fn identity(client: &Client) -> (Option<String>, Option<i32>, bool) {
    let row = client.query_one("SELECT system_identifier, timeline, settled FROM cluster", &[]).await;
    let row = row.expect("a row");
    (row.get(0), row.get(1), row.get(2))
}

/// Opens the database after a promotion that nobody has noticed.
async fn promoted(database: &TestDatabase) -> (PostgresStore, Client) {
    let store = database.open().await;
    commit(&store, add(account("dana"))).await;
    drop(store);
    let client = database.client().await;
    client.batch_execute("UPDATE cluster SET timeline = 0").await.expect("an older timeline");
    (database.open().await, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_refused_until_it_is_recorded() {
    let Some(database) = database().await else { return };
    let client = database.client().await;
    drop(database.open().await);
    assert!(matches!(identity(&client).await, (Some(_), Some(1..), true)));
    drop(database.open().await);
    for (column, told) in [
        ("system_identifier = '7'", "another system identifier"),
        ("database_oid = 1", "its oid"),
        ("log_oid = 1", "the table revocation_log"),
    ] {
        client.batch_execute(&format!("UPDATE cluster SET {column}")).await.expect("another identity");
        let refused = PostgresStore::open(PostgresOptions::new(database.url())).await.expect_err("a copy");
        assert!(
            matches!(refused, OpenError::Another { .. }) && refused.to_string().contains(told),
            "{refused}"
        );
        let options = PostgresOptions { if_another: IfAnother::Open, ..PostgresOptions::new(database.url()) };
        let store = PostgresStore::open(options).await.expect("a store");
        store.record_identity().await.expect("a record");
        assert!(!identity(&client).await.2, "leases may be unknown to it");
        drop(database.open().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_server_answers_once_it_is_taken_over() {
    let Some(database) = database().await else { return };
    let (store, client) = promoted(&database).await;
    let server = store.fail_over();
    assert!(*server.is_due().borrow());
    let refused = store.head().await.expect_err("not yet");
    assert!(matches!(&refused, StoreError::Unavailable(_)), "{refused}");
    let promoted = server.inspect(server.seen()).await.expect("the promoted server");
    assert!(!promoted.is_decided && !promoted.was_synchronous && promoted.all_compared, "{promoted:?}");
    server.take_over().await.expect("the server");
    let read = store.accounts(None, 9).await.expect("accounts");
    assert_eq!((read.len(), *server.is_due().borrow()), (1, false));
    let (_, timeline, is_settled) = identity(&client).await;
    assert!(timeline >= Some(1) && !is_settled, "{timeline:?}");
    // Another process that comes later finds the decision.
    drop(store);
    assert!(!*database.open().await.fail_over().is_due().borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_have_not_compared_are_known() {
    let Some(database) = database().await else { return };
    let (store, client) = promoted(&database).await;
    let server = store.fail_over();
    let id = InstanceId::of_node([7; 16]);
    let row = "INSERT INTO lease (name, instance, kind, renewal, term_ms, bound) \
        VALUES ('', decode(repeat('07', 16), 'hex'), 'node', 1, 10000, true)";
    client.batch_execute(row).await.expect("a node's lease");
    let all_compared =
        async || server.inspect(server.seen()).await.expect("the promoted server").all_compared;
    assert!(!all_compared().await);
    server.compared(&id).await.expect("a mark");
    assert!(all_compared().await);
    client.batch_execute("UPDATE lease SET compared_on = 0").await.expect("an earlier promotion");
    assert!(!all_compared().await);
    client.batch_execute("UPDATE lease SET has_left = true").await.expect("it has left");
    assert!(all_compared().await, "what it had seen is written before its leave");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_shrinks_is_noticed() {
    let Some(database) = database().await else { return };
    let store = database.open().await;
    for number in 1..=2 {
        commit(&store, Change::Revoke { entry: entry(ScopeKind::Token, number) }).await;
    }
    let followed = store.follow(Seq::start_of(1), 9).await.expect("entries");
    assert_eq!(followed.entries.len(), 2);
    let client = database.client().await;
    for lost in [
        "DELETE FROM revocation_log WHERE seq = (SELECT max(seq) FROM revocation_log)",
        "INSERT INTO revocation_log SELECT seq + 1, kind, key, drop_after, reason, at, actor, sha256(chain) \
         FROM revocation_log ORDER BY seq DESC LIMIT 1",
    ] {
        client.batch_execute(lost).await.expect("another log");
        let refused = store.follow(followed.head.seq, 9).await.expect_err("it has seen more").to_string();
        assert!(refused.contains("lacks entries"), "{refused}");
        assert!(*store.fail_over().is_due().borrow());
    }
    let server = store.fail_over();
    let promoted = server.inspect(server.seen()).await.expect("the promoted server");
    assert_eq!(promoted.lost, followed.entries[1..]);
    let change =
        begin_epoch(&promoted.head, None, OldSessions::End, Actor::Rule, &ScopeHasher::ours([1; 16]), NOW);
    server.begin_epoch(change.expect("an epoch")).await.expect("it begins");
    server.take_over().await.expect("the server");
    let head = store.follow(followed.head.seq, 9).await.expect("another epoch").head;
    assert!(head.seq.epoch() > followed.head.seq.epoch());
}

/// A log with two entries, as a process knows it that has followed it up to the second one or to the first.
async fn grown_past_a_loss(database: &TestDatabase, limit: u32) -> (PostgresStore, Followed) {
    let store = database.open().await;
    for number in 1..=2 {
        commit(&store, Change::Revoke { entry: entry(ScopeKind::Token, number) }).await;
    }
    let followed = store.follow(Seq::start_of(1), limit).await.expect("entries");
    let grown = "UPDATE revocation_log SET chain = sha256(chain) WHERE seq = (SELECT max(seq) FROM revocation_log); \
         INSERT INTO revocation_log SELECT seq + 1, kind, key, drop_after, reason, at, actor, sha256(chain) \
         FROM revocation_log ORDER BY seq DESC LIMIT 1";
    database.client().await.batch_execute(grown).await.expect("another log");
    (store, followed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_grown_past_a_loss_is_noticed() {
    let Some(database) = database().await else { return };
    // The process has applied the first entry, and seen the number of the second.
    let (store, followed) = grown_past_a_loss(&database, 1).await;
    let refused =
        store.follow(followed.entries[0].seq, 9).await.expect_err("another second entry").to_string();
    assert!(refused.contains("lacks entries"), "{refused}");
    assert!(*store.fail_over().is_due().borrow());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubted_log_is_compared_up_to_what_was_known() {
    let Some(database) = database().await else { return };
    let (store, followed) = grown_past_a_loss(&database, 9).await;
    let (head, server) = (followed.head, store.fail_over());
    let known = NotedEnd { seq: head.seq, chain: Some(head.chain) };
    assert!(!*server.is_due().borrow());
    // A read moves the end that this process has seen past the loss.
    store.follow(head.seq, 9).await.expect("the newest entry");
    assert!(server.seen().seq > known.seq);
    server.doubt(known);
    assert!(*server.is_due().borrow());
    assert_eq!(server.seen(), known);
    let promoted = server.inspect(server.seen()).await.expect("the server");
    assert_eq!(compare_end(&promoted.head, known, promoted.noted_chain), NotedEntry::Lost);
    assert_eq!(promoted.lost, followed.entries[1..]);
    server.take_over().await.expect("the server");
    assert_eq!((*server.is_due().borrow(), server.seen().seq), (false, promoted.head.seq));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_standby_with_the_same_timeline_is_noticed() {
    let Some(database) = database().await else { return };
    let store = database.open().await;
    commit(&store, add(account("dana"))).await;
    let client = database.client().await;
    // Its database was last used on the primary of both.
    client.batch_execute("UPDATE cluster SET timeline = 0, is_synchronous = true").await.expect("a twin");
    let close = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
        database.name()
    );
    client.batch_execute(&close).await.expect("the old primary is gone");
    store.head().await.expect_err("the first server is gone");
    let server = store.fail_over();
    let noticed = tokio::time::timeout(Duration::from_secs(10), async {
        server.is_due().wait_for(|due| *due).await.map(|due| *due)
    });
    assert!(matches!(noticed.await, Ok(Ok(true))), "it isn't noticed");
    assert!(
        !server.inspect(server.seen()).await.expect("the promoted server").was_synchronous,
        "it was no standby of the first one"
    );
    server.take_over().await.expect("the server");
    assert_eq!(store.accounts(None, 9).await.expect("accounts").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_be_read_now_is_an_error() {
    let Some(database) = database().await else { return };
    drop(database.open().await);
    let client = database.client().await;
    let failing = format!(
        "CREATE SCHEMA failing; CREATE FUNCTION failing.pg_control_system() RETURNS TABLE (system_identifier bigint) \
         LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no memory is left' USING ERRCODE = '53200'; END $$; \
         ALTER DATABASE {} SET search_path = public, failing, pg_catalog",
        database.name()
    );
    client.batch_execute(&failing).await.expect("a function");
    let refused = PostgresStore::open(PostgresOptions::new(database.url())).await.expect_err("no identity");
    assert!(refused.to_string().contains("no memory is left"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_the_server_does_not_tell_are_left_out() {
    let Some(database) = database().await else { return };
    let client = database.client().await;
    let user = format!("{}_untold", database.name());
    let limited = format!(
        "DROP ROLE IF EXISTS {user}; CREATE ROLE {user} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}; \
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}; \
         REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC; \
         REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM PUBLIC"
    );
    client.batch_execute(&limited).await.expect("a user");
    let url = database.url();
    let (_, host) = url.split_once('@').expect("a user in the URL");
    let limited = format!("postgres://{user}@{host}");
    drop(connect(&limited).await);
    let store = PostgresStore::open(PostgresOptions::new(limited)).await.expect("a store");
    assert_eq!(store.untold().len(), 2, "{:?}", store.untold());
    commit(&store, add(account("dana"))).await;
    store.sessions_of(&account("dana").subject, None, 9).await.expect("sessions");
    store.mails_due(Timestamp::default(), 9).await.expect("mails");
    drop(store);
    assert_eq!(identity(&client).await.0, None);
    client.batch_execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await.expect("no user");
}
