//! A database of its own for each test, directly and through pgbouncer.

use std::time::Duration;

use tokio_postgres::Client;

use crate::postgres::{self, TestDatabase};

/// A new database. It is dropped with this.
pub(crate) struct Database {
    made: TestDatabase,
    pub(crate) url: String,
}

impl Database {
    /// Creates a database, or returns `None` after saying that the test is skipped.
    pub(crate) async fn create() -> Option<Self> {
        let made = postgres::database().await?;
        Some(Self { url: made.url(), made })
    }

    /// The database through pgbouncer, or `None` after saying that the test is skipped.
    pub(crate) fn through_pgbouncer(&self) -> Option<String> {
        self.made.pooled_url()
    }

    /// A connection of the test's own.
    pub(crate) async fn client(&self) -> Client {
        self.made.client().await
    }
}

/// Repeats a check until it holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let holds = async {
        while !check().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), holds).await.unwrap_or_else(|_| panic!("{what}"));
}
