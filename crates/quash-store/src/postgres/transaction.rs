//! Write transactions: how each begins, and how its outcome is determined if the connection is lost at
//! COMMIT.
//!
//! Each transaction writes a mark. If it isn't known whether a commit has taken effect, the mark is claimed
//! in another transaction: either it is there, so the commit has taken effect, or it never can. The claim
//! waits while the server still has the first transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::Object;
use quash_core::model::{Chain, Entry, Head, NotedEnd, Seq};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;

use super::fault::{PostgresError, is_refusal, message};
use super::params::{Param, Params};
use super::pipeline::join_all;
use super::read::recent_entries::RecentEntries;
use super::server::connect::{self, Pool, Pooled, Target};
use super::server::prepared::is_stale;
use crate::{OpenError, StoreError};

/// Begins a write transaction. A commit is durable even if the server's defaults say otherwise; `remote_apply`,
/// which promises more, is kept. One message, so that a pooler gives all of it to one connection.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s'; \
    SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '2s'; \
    SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
    WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true), set_config('quash.begun', 'yes', true)";

/// Begins a transaction whose loss does no harm.
const BEGIN_SOFT: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s'; \
    SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '2s'; \
    SET LOCAL synchronous_commit = off";

/// Begins a transaction that reads several statements in one snapshot.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = '2s'";

const ADD_MARK: &str = "INSERT INTO mark (writer, batch) VALUES ($1, $2)";

/// Both outcomes write, so that this commit, too, waits for the standby, and the first one is durable there.
const CLAIM_MARK: &str = "INSERT INTO mark (writer, batch, claimed) VALUES ($1, $2, true) \
    ON CONFLICT (writer, batch) DO UPDATE SET at = now() RETURNING claimed";

/// The longest time in which the outcome of a commit is determined.
const RESOLVED_WITHIN: Duration = Duration::from_secs(10);

/// The longest time that a statement that reads may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time that a COMMIT may take before its outcome counts as unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time that a statement of a transaction may take: longer than the server permits.
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);

/// The pause between two attempts to determine an outcome.
const PAUSE: Duration = Duration::from_millis(50);

/// A statement with its parameters.
pub(super) type Statement<'s> = (&'s str, Vec<&'s dyn Param>);

/// The connections to a database, and what the parts of the store share.
#[derive(Debug)]
pub(super) struct Database {
    /// Opens connections that the pool doesn't have.
    pub(super) target: Target,
    pub(super) pool: Pool,
    /// Names this process in marks.
    writer: [u8; 16],
    /// The number of the next transaction of this process.
    batch: Arc<AtomicU64>,
    /// The newest number that this process has seen.
    pub(super) newest: watch::Sender<Seq>,
    /// The same with the hash there, for comparing another server's log with it.
    pub(super) end: watch::Sender<NotedEnd>,
    /// The newest entries that this process has read.
    pub(super) recent: RecentEntries,
}

/// An open transaction. If it is dropped, its connection is closed, and the server undoes it.
#[derive(Debug)]
pub(super) struct Transaction<'d> {
    database: &'d Database,
    /// `None` once it has ended.
    connection: Option<Pooled>,
    /// The number in the mark. A soft transaction has none.
    batch: Option<i64>,
}

impl Database {
    pub(super) fn new(target: Target, pool: Pool, writer: [u8; 16]) -> Self {
        Self {
            target,
            pool,
            writer,
            batch: Arc::new(AtomicU64::new(1)),
            newest: watch::Sender::new(Seq::ZERO),
            end: watch::Sender::new(Seq::ZERO.into()),
            recent: RecentEntries::default(),
        }
    }

    /// The same database, with a pool of its own.
    pub(super) fn with_own_pool(&self, size: usize, wait: Duration) -> Result<Self, OpenError> {
        let pool = self.target.clone().pool(size, wait)?;
        Ok(Self { batch: Arc::clone(&self.batch), ..Self::new(self.target.clone(), pool, self.writer) })
    }

    /// A connection for a statement that is a transaction by itself.
    pub(super) async fn connection(&self) -> Result<Pooled, StoreError> {
        connect::take(&self.pool).await
    }

    /// Runs one statement that reads. If the connection was lost meanwhile, on another one.
    pub(super) async fn query(&self, statement: &str, params: Params<'_>) -> Result<Vec<Row>, PostgresError> {
        self.query_on(&self.pool, statement, params).await
    }

    /// Like [`Database::query`], on a connection of a pool.
    pub(super) async fn query_on(
        &self,
        pool: &Pool,
        statement: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        match once(pool, statement, params).await {
            Err(PostgresError::Postgres(error)) if self.may_repeat(&error) => {
                once(pool, statement, params).await
            }
            other => other,
        }
    }

    /// Returns whether what failed may succeed on another connection. If the server can't use a prepared statement any
    /// more, all connections are replaced: each has its own.
    fn may_repeat(&self, error: &tokio_postgres::Error) -> bool {
        let is_stale = is_stale(error);
        if is_stale && let Some(history) = self.target.history() {
            history.end_connections();
        }
        is_stale || error.is_closed()
    }

    /// Runs one statement by itself, which may write. It isn't repeated.
    pub(super) async fn query_once(
        &self,
        statement: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        once(&self.pool, statement, params).await
    }

    /// Begins a durable transaction on a connection of the pool, and takes locks.
    pub(super) async fn begin(&self, locks: &[Statement<'_>]) -> Result<Transaction<'_>, PostgresError> {
        let (transaction, _) = self.begin_on(&self.pool, locks).await?;
        Ok(transaction)
    }

    /// Begins a durable transaction, and runs statements. Each is sent before the first is
    /// answered. If the connection was lost meanwhile, on another one: nothing is written before COMMIT.
    pub(super) async fn begin_on(
        &self,
        pool: &Pool,
        statements: &[Statement<'_>],
    ) -> Result<(Transaction<'_>, Vec<Vec<Row>>), PostgresError> {
        match self.begin_once(pool, statements).await {
            Err(PostgresError::Postgres(error)) if self.may_repeat(&error) => {
                self.begin_once(pool, statements).await
            }
            other => other,
        }
    }

    async fn begin_once(
        &self,
        pool: &Pool,
        statements: &[Statement<'_>],
    ) -> Result<(Transaction<'_>, Vec<Vec<Row>>), PostgresError> {
        let batch = i64::try_from(self.batch.fetch_add(1, Ordering::Relaxed))
            .map_err(|_| PostgresError::Value("the number of a transaction"))?;
        let mut connection = connect::take(pool).await?;
        connection.is_open = true;
        connection.take_warning();
        let transaction = Transaction { database: self, connection: Some(connection), batch: Some(batch) };
        let writer = self.writer.as_slice();
        let mark: [&dyn Param; 2] = [&writer, &batch];
        let client = transaction.client()?;
        let marks = answered(client.ready([(ADD_MARK, mark.as_slice())])).await?;
        let statements = answered(client.ready(sendable(statements))).await?;
        // They are sent in this order. If one fails, all later ones do, for that reason alone; but if BEGIN itself
        // fails, each later one is a transaction by itself. So the statements of batches write only after `quash.begun`.
        let (begun, marked, answers) = tokio::join!(
            answered(client.batch_execute(BEGIN)),
            join_all(marks.into_iter().map(|ready| answered(client.execute(ready)))),
            join_all(statements.into_iter().map(|ready| answered(client.query(ready)))),
        );
        begun?;
        marked.into_iter().collect::<Result<Vec<_>, _>>()?;
        let answers = answers.into_iter().collect::<Result<_, _>>()?;
        Ok((transaction, answers))
    }

    /// Begins a durable transaction without a mark, for what may be repeated when its outcome is unknown.
    pub(super) async fn begin_durable_unmarked(&self) -> Result<Transaction<'_>, PostgresError> {
        self.begin_with(BEGIN, None).await
    }

    /// Begins a transaction for soft state: its commit may be lost in a crash of the server.
    pub(super) async fn begin_soft(&self) -> Result<Transaction<'_>, PostgresError> {
        self.begin_with(BEGIN_SOFT, None).await
    }

    /// Begins a transaction that only reads, in one snapshot.
    pub(super) async fn begin_read(&self) -> Result<Transaction<'_>, PostgresError> {
        self.begin_with(BEGIN_READ, None).await
    }

    async fn begin_with(
        &self,
        statements: &str,
        batch: Option<i64>,
    ) -> Result<Transaction<'_>, PostgresError> {
        let mut connection = self.connection().await?;
        connection.is_open = true;
        connection.take_warning();
        let transaction = Transaction { database: self, connection: Some(connection), batch };
        answered(transaction.client()?.batch_execute(statements)).await?;
        Ok(transaction)
    }

    /// Announces that the log has reached this end.
    pub(super) fn saw_end(&self, seq: Seq, chain: Chain) {
        self.end.send_if_modified(|end| {
            let is_newer = seq > end.seq;
            if is_newer {
                *end = NotedEnd { seq, chain: Some(chain) };
            }
            is_newer
        });
        self.saw(seq);
    }

    /// Returns whether a log that ends at `head`, and has these entries before that, has another entry than this
    /// process has seen under the same number.
    pub(super) fn contradicts(&self, head: &Head, entries: &[Entry]) -> bool {
        let NotedEnd { seq, chain } = *self.end.borrow();
        let there = if seq == head.seq {
            Some(head.chain)
        } else {
            entries.iter().find(|entry| entry.seq == seq).map(|entry| entry.chain)
        };
        chain.zip(there).is_some_and(|(seen, there)| seen != there)
    }

    /// Announces that the log has at least this number.
    pub(super) fn saw(&self, seq: Seq) {
        self.newest.send_if_modified(|newest| {
            let is_newer = seq > *newest;
            *newest = (*newest).max(seq);
            is_newer
        });
    }

    /// Determines whether a transaction was written, whose COMMIT wasn't answered.
    async fn resolve(&self, batch: i64, cause: &str) -> Result<(), StoreError> {
        let determined = timeout(RESOLVED_WITHIN, async {
            loop {
                match self.claim(batch).await {
                    Ok(was_free) => return was_free,
                    Err(_) => sleep(PAUSE).await,
                }
            }
        });
        match determined.await {
            Ok(false) => Ok(()),
            Ok(true) => Err(StoreError::Unavailable(cause.to_owned())),
            Err(_) => Err(StoreError::Unknown(cause.to_owned())),
        }
    }

    /// Claims a mark, and returns whether it was free: then the transaction isn't written, and never can be.
    async fn claim(&self, batch: i64) -> Result<bool, PostgresError> {
        let transaction = self.begin_with(BEGIN, None).await?;
        let rows = transaction.query(CLAIM_MARK, &[&self.writer.as_slice(), &batch]).await?;
        let claimed: bool = rows.first().ok_or(PostgresError::Value("no mark"))?.try_get(0)?;
        transaction.commit().await?;
        Ok(claimed)
    }
}

/// The statements of a transaction, as a connection prepares them.
fn sendable<'s>(statements: &'s [Statement<'s>]) -> impl Iterator<Item = (&'s str, Params<'s>)> {
    statements.iter().map(|(statement, params)| (*statement, params.as_slice()))
}

async fn once(pool: &Pool, statement: &str, params: Params<'_>) -> Result<Vec<Row>, PostgresError> {
    let mut connection = connect::take(pool).await?;
    // Until it has answered, it isn't used again.
    connection.is_open = true;
    let rows = timeout(READ_TIMEOUT, connection.run(statement, params)).await;
    connection.is_open = rows.is_err();
    Ok(rows.map_err(|_| StoreError::Unavailable("the server doesn't answer".into()))??)
}

/// Waits for an answer, with a limit of time: a server or a pooler that hangs must not hold a writer for ever.
async fn answered<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, PostgresError> {
    let answer = timeout(ANSWERED_WITHIN, answer).await;
    Ok(answer.map_err(|_| StoreError::Unavailable("the server doesn't answer".into()))??)
}

impl Transaction<'_> {
    fn client(&self) -> Result<&Pooled, PostgresError> {
        let ended = || StoreError::Unavailable("the transaction has ended".into());
        Ok(self.connection.as_ref().ok_or_else(ended)?)
    }

    /// Runs a statement, and returns the number of rows that it wrote.
    pub(super) async fn execute(&self, statement: &str, params: Params<'_>) -> Result<u64, PostgresError> {
        answered(self.client()?.write(statement, params)).await
    }

    /// Runs a statement that writes exactly one row. Otherwise its guard doesn't hold.
    pub(super) async fn write_one(&self, statement: &str, params: Params<'_>) -> Result<(), PostgresError> {
        if self.execute(statement, params).await? == 1 { Ok(()) } else { Err(PostgresError::Conflict) }
    }

    pub(super) async fn query(&self, statement: &str, params: Params<'_>) -> Result<Vec<Row>, PostgresError> {
        answered(self.client()?.run(statement, params)).await
    }

    /// Returns whether a statement finds a row.
    pub(super) async fn exists(&self, statement: &str, params: Params<'_>) -> Result<bool, PostgresError> {
        Ok(!self.query(statement, params).await?.is_empty())
    }

    /// Commits. Once this returns `Ok`, the transaction is durable; after [`StoreError::Unknown`], it may be.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.commit_after(&[]).await?)
    }

    /// Runs statements that have no guard, and commits. All is sent before the first is answered.
    pub(super) async fn commit_after(mut self, statements: &[Statement<'_>]) -> Result<(), PostgresError> {
        let client = self.client()?;
        let statements = answered(client.ready(sendable(statements))).await?;
        let sent = async {
            tokio::join!(
                join_all(statements.into_iter().map(|ready| answered(client.execute(ready)))),
                client.batch_execute("COMMIT"),
            )
        };
        let cause = match timeout(COMMIT_TIMEOUT, sent).await {
            Ok((written, committed)) => {
                // The server has refused a statement, so COMMIT has undone the transaction. A fatal error says nothing
                // of COMMIT: a pooler answers the first statement with it if it loses the server, which may have read all.
                for answer in written {
                    match answer {
                        Err(PostgresError::Postgres(error)) if is_refusal(&error) => {
                            return Err(error.into());
                        }
                        _ => {}
                    }
                }
                match committed {
                    Ok(()) if self.connection.as_ref().is_some_and(|one| one.take_warning()) => {
                        "the server has stopped to wait for its standby".to_owned()
                    }
                    Ok(()) => {
                        self.ended();
                        return Ok(());
                    }
                    Err(error) => message(&error),
                }
            }
            Err(_) => "the server didn't answer a commit".to_owned(),
        };
        let (database, batch) = (self.database, self.batch);
        // Its transaction may wait for the standby: it is closed, and never cancelled.
        drop(self);
        match batch {
            Some(batch) => Ok(Box::pin(database.resolve(batch, &cause)).await?),
            None => Err(StoreError::Unknown(cause).into()),
        }
    }

    /// Undoes the transaction, so that the connection can be used again.
    pub(super) async fn roll_back(mut self) {
        if let Ok(client) = self.client()
            && answered(client.batch_execute("ROLLBACK")).await.is_ok()
        {
            self.ended();
        }
    }

    /// Gives the connection back to the pool.
    fn ended(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.is_open = false;
        }
    }
}

impl Drop for Transaction<'_> {
    /// Closes the connection of a transaction that hasn't ended, and with it the transaction.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}
