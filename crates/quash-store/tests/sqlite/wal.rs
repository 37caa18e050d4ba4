//! Many writers and a reader that doesn't finish: no write fails, and the WAL stays bounded.

use std::fs;
use std::sync::Arc;

use quash_core::model::{Account, Change, PasswordHash, Seq};
use quash_store::{SqliteStore, Store, StoreFile};
use rusqlite::Connection;

use crate::support::*;

const WRITERS: u32 = 64;

/// Each of 64 writers adds accounts of three or more pages in sequence.
async fn write(store: &Arc<SqliteStore>, round: &'static str, each: u32) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(store);
        writers.spawn(async move {
            for n in 0..each {
                let password = Some(PasswordHash::new("x".repeat(12_000)));
                let added = Account { password, ..account(&format!("{round}-{writer}-{n}")) };
                commit(&*store, add(added)).await;
                commit(&*store, Change::Revoke { entry: entry(quash_core::model::ScopeKind::Token, 1) })
                    .await;
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.expect("a writer without a failure");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_a_long_reader_coexist() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(sqlite(directory.path()));
    let wal = || fs::metadata(directory.path().join("quash.db-wal")).expect("a WAL").len() / (1024 * 1024);

    let reader = Connection::open(directory.path().join("quash.db")).expect("a database");
    let count = |at: &Connection| {
        at.query_row("SELECT count(*) FROM account", [], |row| row.get::<_, u32>(0)).expect("a count")
    };
    reader.execute_batch("BEGIN").expect("a transaction");
    assert_eq!(count(&reader), 0);
    write(&store, "during", 90).await;
    assert_eq!(count(&reader), 0, "its snapshot moved");
    assert!(wal() > 64, "too little was written to see anything: {} MiB", wal());

    // Once the reader has finished, the WAL restarts and is truncated.
    reader.execute_batch("COMMIT").expect("an end");
    assert_eq!(count(&reader), WRITERS * 90);
    write(&store, "after", 90).await;
    assert!(wal() <= 80, "the WAL has {} MiB", wal());

    let entries = store.entries_after(Seq::ZERO, u32::MAX).await.expect("entries");
    assert_eq!(entries.len() as u32, 2 * WRITERS * 90);
    assert!(entries.windows(2).all(|pair| pair[1].seq == pair[0].seq.next()));
    assert!(!*store.broken().borrow());
}

#[tokio::test]
async fn checkpoints_run_while_the_database_is_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = sqlite(directory.path());
    let size = |name| fs::metadata(directory.path().join(name)).expect("a file").len();
    let before = size("quash.db");
    // Until the WAL exceeds the size at which a checkpoint is due, but not the size at which the writer stops
    // for one.
    for n in 0.. {
        let large = |k| Account {
            password: Some(PasswordHash::new("x".repeat(12_000))),
            ..account(&format!("account-{n}-{k}"))
        };
        let outcomes = commit_all(&store, (0..16).map(|k| add(large(k))).collect()).await;
        assert!(outcomes.iter().all(Result::is_ok));
        if size("quash.db") > before {
            return;
        }
        assert!(size("quash.db-wal") < 60 * 1024 * 1024, "no checkpoint yet");
    }
}
