//! PostgreSQL's part in moving a store. Both directions work in one transaction, in which nobody else can
//! open the database, write to it, or become a node.

mod from;
mod into;

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::fault::message;
use super::migrate;
use super::server::connect::{Connection, Target};
use crate::moving::{Lines, MoveError, RunningNode, TABLES, Table};
use crate::sqlite::Heads;

pub use self::from::MoveSource;
pub use self::into::copy_to_postgres;

/// Nothing of it is limited in time but the wait for locks: a table may be large.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '15s'; \
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '10min'; \
    SET LOCAL extra_float_digits = 0; SET LOCAL bytea_output = 'hex'; \
    SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
    WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)";

/// The tables that aren't copied row by row.
const OTHERS: &str = "cluster, log_lock, audit_number, lease, wanted, mark, node, schema_migration";

const HEADS: &str = "SELECT CASE WHEN l.seq > g.base_seq THEN l.seq ELSE g.base_seq END, \
    CASE WHEN l.seq > g.base_seq THEN l.chain ELSE g.base_chain END, g.base_seq, g.sessions_before, g.foreign_after, \
    g.forgotten_at, g.forgotten_until, g.ring, g.settings, g.longest_lifetime_ms, a.last \
    FROM cluster g JOIN audit_number a ON a.id = g.id \
    LEFT JOIN LATERAL (SELECT seq, chain FROM revocation_log ORDER BY seq DESC LIMIT 1) l ON true WHERE g.id = 1";

const NODES: &str = "SELECT instance, renewal, term_ms, host, pid FROM lease \
    WHERE kind = 'node' AND NOT has_left ORDER BY instance";

/// The pause between two reads of the leases of nodes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Added to the term of a lease, for clocks that differ in speed.
const MARGIN: Duration = Duration::from_millis(500);

/// The bytes of lines that are written at once.
const CHUNK: usize = 64 * 1024;

/// A connection with a transaction in which only this process uses the database.
struct Exclusive {
    connection: Connection,
    store: String,
}

/// The row of a node's lease.
struct NodeRow {
    instance: Vec<u8>,
    renewal: i64,
    term_ms: i64,
    node: RunningNode,
}

impl Exclusive {
    /// Waits until the leases of all nodes have expired, and begins the transaction. The tables exist.
    async fn begin(connection: Connection, target: &Target) -> Result<Self, MoveError> {
        let ended = ended_nodes(&connection, target.shown()).await?;
        let exclusive = Self { connection, store: target.shown().to_owned() };
        let tables: Vec<&str> = TABLES.iter().map(|table| table.server).collect();
        let lock = format!("LOCK TABLE {OTHERS}, {} IN EXCLUSIVE MODE", tables.join(", "));
        // In this order: a process that opens the database waits for the first, and then for nothing else.
        exclusive.run(&format!("{BEGIN}; {}; {lock}", migrate::KEEP_OUT)).await?;
        // A node that was killed has left its row, which is among `ended`.
        let rows = node_rows(&exclusive.connection).await.map_err(|error| exclusive.failed(&error))?;
        let nodes = changed(&ended, rows);
        if nodes.is_empty() { Ok(exclusive) } else { Err(MoveError::InUse { store: exclusive.store, nodes }) }
    }

    async fn run(&self, statements: &str) -> Result<(), MoveError> {
        self.connection.batch_execute(statements).await.map_err(|error| self.failed(&error))
    }

    async fn number(&self, statement: &str) -> Result<i64, MoveError> {
        let rows = self.connection.query_typed(statement, &[]).await.map_err(|error| self.failed(&error))?;
        let first =
            rows.first().map(|row| row.try_get(0)).transpose().map_err(|error| self.failed(&error))?;
        Ok(first.unwrap_or_default())
    }

    async fn heads(&self) -> Result<Heads, MoveError> {
        let failed = |error: tokio_postgres::Error| self.failed(&error);
        let rows = self.connection.query_typed(HEADS, &[]).await.map_err(failed)?;
        let row = rows.first().ok_or_else(|| self.refused("it has no head"))?;
        let read = || -> Result<Heads, tokio_postgres::Error> {
            Ok(Heads {
                seq: row.try_get(0)?,
                chain: row.try_get(1)?,
                forgotten: row.try_get(2)?,
                sessions_before: row.try_get(3)?,
                foreign_after: row.try_get(4)?,
                forgotten_at: row.try_get(5)?,
                forgotten_until: row.try_get(6)?,
                ring: row.try_get(7)?,
                settings: row.try_get(8)?,
                longest_lifetime_ms: row.try_get(9)?,
                audit: row.try_get(10)?,
            })
        };
        read().map_err(failed)
    }

    /// Reads the rows of a table, in the order of their keys. `each` gets lines, which may be cut anywhere.
    async fn lines(
        &self,
        table: &'static Table,
        each: &mut (dyn FnMut(&[u8]) -> Result<(), MoveError> + Send),
    ) -> Result<Lines, MoveError> {
        let failed = |error: tokio_postgres::Error| self.failed(&error);
        let mut all = Lines::new();
        // Closed before the transaction ends: behind a pooler, another server may follow.
        let statement = self.connection.prepare(&table.read_from_server()).await.map_err(failed)?;
        let mut sent = pin!(self.connection.copy_out(&statement).await.map_err(failed)?);
        while let Some(bytes) = sent.next().await {
            let bytes = bytes.map_err(failed)?;
            all.add(&bytes, count(&bytes));
            each(&bytes)?;
        }
        Ok(all)
    }

    fn failed(&self, error: &tokio_postgres::Error) -> MoveError {
        self.refused(message(error))
    }

    fn refused(&self, detail: impl Into<String>) -> MoveError {
        MoveError::Failed { store: self.store.clone(), detail: detail.into() }
    }
}

/// The number of lines. A line has no line end but its own.
fn count(lines: &[u8]) -> u64 {
    u64::try_from(lines.iter().filter(|byte| **byte == b'\n').count()).unwrap_or_default()
}

/// The rows of nodes that haven't given their leases back.
async fn node_rows(client: &Client) -> Result<Vec<NodeRow>, tokio_postgres::Error> {
    let rows = client.query_typed(NODES, &[]).await?;
    rows.iter()
        .map(|row| {
            let (host, pid): (Option<String>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
            let node = RunningNode {
                host: host.unwrap_or_else(|| "an unknown host".into()),
                pid: pid.and_then(|pid| u32::try_from(pid).ok()),
            };
            Ok(NodeRow {
                instance: row.try_get(0)?,
                renewal: row.try_get(1)?,
                term_ms: row.try_get(2)?,
                node,
            })
        })
        .collect()
}

/// Waits until the leases of all nodes have expired.
///
/// # Errors
/// A node runs, or the leases can't be read.
pub(in crate::postgres) async fn wait_for_nodes(client: &Client, store: &str) -> Result<(), MoveError> {
    ended_nodes(client, store).await.map(drop)
}

/// Waits until the leases of all nodes have expired, and returns their rows.
async fn ended_nodes(client: &Client, store: &str) -> Result<Vec<NodeRow>, MoveError> {
    let failed =
        |error: tokio_postgres::Error| MoveError::Failed { store: store.to_owned(), detail: message(&error) };
    let first = node_rows(client).await.map_err(failed)?;
    let longest = first.iter().map(|row| u64::try_from(row.term_ms).unwrap_or_default()).max();
    let Some(longest) = longest else { return Ok(first) };
    let renewed = async {
        loop {
            sleep(LOOK_EVERY).await;
            let running = changed(&first, node_rows(client).await.map_err(failed)?);
            if !running.is_empty() {
                return Err::<(), _>(MoveError::InUse { store: store.to_owned(), nodes: running });
            }
        }
    };
    match timeout(Duration::from_millis(longest) + MARGIN, renewed).await {
        Ok(running) => running.map(|()| first),
        Err(_) => Ok(first),
    }
}

/// The nodes that were renewed, or have come, since `first` was read.
fn changed(first: &[NodeRow], now: Vec<NodeRow>) -> Vec<RunningNode> {
    let is_known = |row: &NodeRow| {
        first.iter().any(|known| known.instance == row.instance && known.renewal == row.renewal)
    };
    now.into_iter().filter(|row| !is_known(row)).map(|row| row.node).collect()
}
