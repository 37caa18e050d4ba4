//! A full disk: writes that fit are kept, others leave no trace, and the store continues.

use std::task::Poll;

use quash_core::model::{Account, AccountBy, Change, PasswordHash, Sealed};
use quash_store::{SqliteOptions, SqliteStore, Store, StoreError, StoreFile};
use rusqlite::Connection;

use crate::support::*;

const NAMES: [&str; 16] = [
    "s00", "s01", "s02", "s03", "s04", "s05", "s06", "s07", "s08", "s09", "s10", "s11", "s12", "s13", "s14",
    "s15",
];

/// An account that needs its own page. If none is left, SQLite undoes the statement.
fn large_account(n: usize) -> Change {
    add(Account { password: Some(PasswordHash::new("x".repeat(3000))), ..account(NAMES[n]) })
}

/// A secret that needs its own page. If none is left, SQLite drops the whole transaction.
fn large_secret(n: usize) -> Change {
    Change::AddSecret { name: NAMES[n], secret: Sealed(vec![0; 3000]) }
}

/// The existing accounts and secrets of those above.
async fn found(store: &SqliteStore) -> [bool; 16] {
    let mut found = [false; 16];
    for (found, name) in found.iter_mut().zip(NAMES) {
        let account = store.account(&AccountBy::Subject(subject(name)), NOW).await.expect("a read").account;
        *found = account.is_some() || store.secret(name).await.expect("a read").is_some();
    }
    found
}

async fn a_batch_is_written_as_far_as_it_fits(large: fn(usize) -> Change) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    drop(sqlite(directory.path()));
    let other = Connection::open(&path).expect("a database");
    let pages: u32 = other.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count");
    let options = SqliteOptions { max_pages: Some(pages + 8), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).expect("a store");

    // While another connection writes, the writer waits with the first change, and the other sixteen queue
    // behind it.
    other.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    let mut changes = vec![add(account("first"))];
    changes.extend((0..16).map(large));
    changes[9] = end_account("nobody", 1, None);
    let mut commits = Box::pin(commit_all(&store, changes));
    let early = std::future::poll_fn(|context| Poll::Ready(commits.as_mut().poll(context).is_ready())).await;
    assert!(!early, "an answer before the commit");
    other.execute_batch("ROLLBACK").expect("an end");
    let outcomes = commits.await;

    let written: Vec<bool> = outcomes[1..].iter().map(Result::is_ok).collect();
    let full = outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Full)).count();
    assert_eq!((outcomes[0].is_ok(), &outcomes[9]), (true, &Err(StoreError::Conflict)));
    assert!(
        written.iter().filter(|written| **written).count() + full == 15 && written[2] && full > 2,
        "{outcomes:?}"
    );
    assert_eq!(found(&store).await.as_slice(), written);
    assert!(!*store.broken().borrow());

    // Changes that need no new page still work. A value that takes pages and returns them needs them
    // nevertheless.
    commit(&store, Change::RaiseLongestLifetime(1)).await;
    let remember = |length| Change::Remember { name: "readiness", value: "x".repeat(length) };
    for _ in 0..3 {
        assert_eq!(
            store.commit(Change::Together(vec![remember(12_288), remember(0)])).await,
            Err(StoreError::Full)
        );
    }
    drop((store, other));
    let store = sqlite(directory.path());
    assert_eq!(found(&store).await.as_slice(), written);
    for (n, written) in written.into_iter().enumerate() {
        assert_eq!(store.commit(large(n)).await.is_err(), written);
    }
}

#[tokio::test]
async fn oversized_statements_do_not_affect_their_batch() {
    a_batch_is_written_as_far_as_it_fits(large_account).await;
}

#[tokio::test]
async fn lost_batches_are_retried_one_by_one() {
    a_batch_is_written_as_far_as_it_fits(large_secret).await;
}
