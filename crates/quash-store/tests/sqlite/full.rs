//! A full disk: what fits is kept, what doesn't leaves no trace, and the store goes on.

use quash_core::model::{Account, Change, PasswordHash};
use quash_store::{SqliteOptions, SqliteStore, Store, StoreError};
use rusqlite::Connection;

use crate::support::*;

/// An account that takes a page of its own.
fn large(n: usize) -> Account {
    Account { password: Some(PasswordHash::new("x".repeat(3000))), ..account(&format!("large{n:02}")) }
}

#[tokio::test]
async fn a_batch_that_does_not_fit_is_written_as_far_as_it_fits() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    drop(sqlite(directory.path()));
    let other = Connection::open(&path).expect("a database");
    let pages: u32 = other.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count");
    let options = SqliteOptions { max_pages: Some(pages + 8), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).expect("a store");

    // While somebody else writes, the writer waits with the first change, and the other sixteen gather behind it.
    other.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
    let mut changes = vec![Change::AddAccount(account("first"))];
    changes.extend((0..16).map(|n| Change::AddAccount(large(n))));
    changes[9] = end_account("nobody", 1, None);
    let mut commits = Box::pin(commit_all(&store, changes));
    let early = std::future::poll_fn(|context| std::task::Poll::Ready(commits.as_mut().poll(context).is_ready())).await;
    assert!(!early, "an answer before the commit");
    other.execute_batch("ROLLBACK").expect("an end");
    let outcomes = commits.await;

    let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let full = outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Full)).count();
    assert_eq!(outcomes[9], Err(StoreError::Conflict));
    assert_eq!(written + full, 16, "{outcomes:?}");
    assert!(written > 2 && full > 2, "{outcomes:?}");
    assert!(!*store.broken().borrow());

    let names = async |store: &SqliteStore| {
        let accounts = store.accounts(None, 100).await.expect("accounts");
        accounts.iter().map(|account| account.subject.to_string()).collect::<Vec<_>>()
    };
    let numbered = outcomes[1..].iter().enumerate().filter(|(_, outcome)| outcome.is_ok()).map(|(n, _)| format!("large{n:02}"));
    let expected: Vec<_> = std::iter::once("first".to_owned()).chain(numbered).collect();
    assert_eq!(names(&store).await, expected);

    // What needs no new page still works.
    commit(&store, end_account("first", 1, None)).await;
    drop((store, other));
    let store = sqlite(directory.path());
    assert_eq!(names(&store).await, expected);
    for n in 0..16 {
        let again = store.commit(Change::AddAccount(large(n))).await;
        assert_eq!(again.is_ok(), !expected.contains(&format!("large{n:02}")));
    }
}
