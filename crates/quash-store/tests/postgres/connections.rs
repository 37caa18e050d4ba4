//! Connections that lead to another server than the primary, or on which no transaction begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quash_core::model::{Generation, SessionState};
use quash_store::{PostgresOptions, PostgresStore, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::server::{at_address, server_of};
use crate::support::postgres::database;
use crate::support::wait::until;
use crate::support::*;

/// A name or a balancer may lead to a replica later.
#[tokio::test]
async fn replicas_are_not_read() {
    let Some(database) = database().await else { return };
    let store = database.open().await;
    commit(&store, add(account("dana"))).await;
    let client = database.client().await;
    let end_others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    // A replica says the same of its transactions.
    let read_only = format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name());
    client.batch_execute(&read_only).await.expect("a setting");
    client.batch_execute(end_others).await.expect("no connections");
    for _ in 0..5 {
        let read = store.accounts(None, 9).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        let read = store.head().await;
        assert!(
            matches!(&read, Err(StoreError::Unavailable(told)) if told.contains("it is a standby")),
            "{read:?}"
        );
    }
    let back = format!("ALTER DATABASE {} RESET default_transaction_read_only", database.name());
    client.batch_execute(&back).await.expect("a setting");
    assert_eq!(store.accounts(None, 9).await.expect("accounts").len(), 1);
    assert_eq!(store.head().await.expect("a head").seq, head(&database.open().await).await);
}

/// Another pool or node may need those that a burst of requests has left.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_not_used_are_given_back() {
    let Some(database) = database().await else { return };
    let store = Arc::new(database.open().await);
    let open = || {
        let connections = store.connections().expect("it has a server");
        connections.idle + connections.in_use
    };
    let reads = (0..64).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.accounts(None, 9).await.expect("accounts").len() })
    });
    for read in reads.collect::<Vec<_>>() {
        assert_eq!(read.await.expect("no panic"), 0);
    }
    let after_load = open();
    assert!(after_load > 6, "{after_load}");
    until(|| open() < after_load).await;
    assert!(open() < after_load, "{} of {after_load}", open());
    assert_eq!(store.accounts(None, 9).await.expect("accounts").len(), 0);
}

/// A plan that was made before a change of the tables can't be used after it.
#[tokio::test]
async fn statements_are_prepared_again_after_tables_have_changed() {
    let Some(database) = database().await else { return };
    let store = database.open().await;
    commit(&store, add(account("dana"))).await;
    assert_eq!(store.accounts(None, 9).await.expect("accounts").len(), 1);
    let named = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
    let client = database.client().await;
    assert!(client.query_one(named, &[]).await.expect("a count").get::<_, i64>(0) > 1);
    client
        .batch_execute("ALTER TABLE account ALTER COLUMN username TYPE varchar(200)")
        .await
        .expect("a table");
    for _ in 0..3 {
        assert_eq!(store.accounts(None, 9).await.expect("accounts").len(), 1);
    }
    commit(&store, add(account("noor"))).await;
    assert_eq!(store.accounts(None, 9).await.expect("accounts").len(), 2);
}

/// A commit that waits for its standby keeps its locks.
#[tokio::test]
async fn locks_that_are_not_released_point_to_the_standby() {
    let Some(database) = database().await else { return };
    let store = database.open().await;
    let client = database.client().await;
    client.batch_execute("BEGIN; LOCK TABLE account").await.expect("a lock");
    let told = store.commit(add(account("dana"))).await.expect_err("a lock is held").to_string();
    assert!(told.contains("55P03") && told.contains("wait for a standby"), "{told}");
}

/// The kernel of a server that was stopped, or whose disk hangs, still accepts connections.
#[tokio::test]
async fn a_silent_host_does_not_hide_the_primary() {
    let Some(database) = database().await else { return };
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let silent_port = silent.local_addr().expect("an address").port();
    let config: Config = database.url().parse().expect("a URL");
    let user = config.get_user().expect("a user");
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let host = match &config.get_hosts()[0] {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let url = format!(
        "postgres://{user}@/{}?host=127.0.0.1&host={host}&port={silent_port},{port}&target_session_attrs=read-write",
        database.name()
    );
    let opening = PostgresStore::open(PostgresOptions::new(url));
    let opened = tokio::time::timeout(Duration::from_secs(30), opening).await;
    let store = opened.expect("the other host is tried").expect("a store");
    commit(&store, add(account("dana"))).await;
    assert_eq!(store.accounts(None, 9).await.expect("accounts").len(), 1);
}

/// A proxy that makes the server refuse BEGIN, while it is told to.
async fn spoiling(url: &str, spoils: Arc<AtomicBool>) -> SocketAddr {
    const BEGIN: &[u8] = b"BEGIN ISOLATION";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = listener.local_addr().expect("an address");
    let config: Config = url.parse().expect("a URL");
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.expect("a client");
            let (config, spoils) = (config.clone(), Arc::clone(&spoils));
            tokio::spawn(async move {
                let mut server = server_of(&config).await;
                let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                loop {
                    tokio::select! {
                        read = client.read(&mut sent) => {
                            let Ok(length @ 1..) = read else { return };
                            let found = sent[..length].windows(BEGIN.len()).position(|bytes| bytes == BEGIN);
                            if let Some(at) = found.filter(|_| spoils.load(Ordering::SeqCst)) {
                                sent[at] = b'X';
                            }
                            if server.write_all(&sent[..length]).await.is_err() {
                                return;
                            }
                        }
                        read = server.read(&mut answered) => {
                            let Ok(length @ 1..) = read else { return };
                            if client.write_all(&answered[..length]).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    address
}

/// The statements after it were sent before it was refused. Each of them is a transaction by itself then.
#[tokio::test(flavor = "multi_thread")]
async fn statements_after_a_refused_begin_write_nothing() {
    let Some(database) = database().await else { return };
    let direct = database.open().await;
    two_sessions(&direct).await;
    let spoils = Arc::new(AtomicBool::new(false));
    let address = spoiling(&database.url(), Arc::clone(&spoils)).await;
    let options = PostgresOptions::new(at_address(&database, address));
    let store = PostgresStore::open(options).await.expect("a store");
    let before = everything(&direct).await;

    spoils.store(true, Ordering::SeqCst);
    for change in [rotate(1, 0), ends(vec![end(2)]), open(session(3, "dana", head(&direct).await), 1)] {
        let refused = store.commit(change.clone()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{change:?}: {refused:?}");
        assert_eq!(everything(&direct).await, before, "{change:?}");
    }
    spoils.store(false, Ordering::SeqCst);
    commit(&store, rotate(1, 0)).await;
    commit(&store, ends(vec![end(2)])).await;
    assert_eq!(
        direct.session(sid(1)).await.expect("a read").found.expect("a session").0.generation,
        Generation(1)
    );
    assert_ne!(state(&direct, 2).await, SessionState::Live);
}
