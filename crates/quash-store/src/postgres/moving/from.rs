//! Copies a PostgreSQL database that no node uses to a new SQLite store.

use std::fmt;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::super::connect::Target;
use super::super::fault::message;
use super::super::{PostgresOptions, migrate, server, statements};
use super::{Exclusive, NodeRow, node_rows};
use crate::moving::{MOVED, MOVED_NAME, MoveError, MoveProgress, MoveStage, TABLES};
use crate::sqlite::SqliteStore;
use crate::{OpenError, RunningNode};

/// The pause between two looks at the leases of nodes.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Added to the term of a lease, for clocks that differ in speed.
const MARGIN: Duration = Duration::from_millis(500);

const MARK: &str = "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3) \
    ON CONFLICT (number) DO UPDATE SET checksum = excluded.checksum";

/// A node that was opened before, and has no lease yet, sees other settings than its own, and stops to
/// answer.
const FENCE: &str =
    "UPDATE cluster SET settings = settings + 1, schema_fence = 2147483647; DELETE FROM lease";

/// A PostgreSQL database that nobody else uses until this is dropped.
pub struct MoveSource {
    exclusive: Exclusive,
}

impl MoveSource {
    /// Connects to a database, and makes sure that no node uses it. A node that was killed holds its lease
    /// for some seconds, for which this waits. A database from which an earlier move was interrupted is a
    /// source again.
    ///
    /// # Errors
    /// The database can't be used, nodes use it, or no server was ever started on it.
    pub async fn begin(options: &PostgresOptions) -> Result<Self, MoveError> {
        let target = Target::parse(&options.url)?;
        let connection = server::connect(&target).await?;
        match migrate::run(&connection, target.shown()).await {
            // An earlier move has marked it, and then was interrupted.
            Ok(()) | Err(OpenError::Moved { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // A refusal has left its transaction open, with the lock that the move takes.
        drop(connection);
        let connection = server::connect(&target).await?;
        let ended = ended_nodes(&connection, target.shown()).await?;
        let exclusive = Exclusive::begin(connection, &target).await?;
        let found = node_rows(&exclusive.connection).await.map_err(|error| exclusive.failed(&error))?;
        let running = changed(&ended, found);
        if !running.is_empty() {
            return Err(MoveError::InUse { store: exclusive.store, nodes: running });
        }
        if exclusive.number("SELECT count(*) FROM signing_key").await? == 0 {
            return Err(exclusive.refused("no server was ever started on it"));
        }
        Ok(Self { exclusive })
    }

    /// The database's name for operators.
    pub fn name(&self) -> &str {
        &self.exclusive.store
    }

    /// Copies all data to a new store, and compares the copy with the source.
    ///
    /// # Errors
    /// The copy fails.
    pub async fn copy_to(&self, to: &SqliteStore, progress: MoveProgress<'_>) -> Result<(), MoveError> {
        let from = &self.exclusive;
        from.number_audit().await?;
        let mut of = 0;
        for table in TABLES {
            let count = from.number(&format!("SELECT count(*) FROM {}", table.server)).await?;
            of += u64::try_from(count).unwrap_or_default();
        }
        let mut filling = to.filling()?;
        let (mut rows, mut sources) = (0, Vec::new());
        for table in TABLES {
            let mut rest = Vec::new();
            let mut write = |bytes: &[u8]| {
                rest.extend_from_slice(bytes);
                let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                if whole < super::CHUNK {
                    return Ok(());
                }
                let lines: Vec<u8> = rest.drain(..whole).collect();
                filling.add(table, &lines)?;
                rows += super::count(&lines);
                progress(MoveStage::Copying { table: table.server, rows, of });
                Ok(())
            };
            sources.push(from.lines(table, &mut write).await?);
            filling.add(table, &rest)?;
            rows += super::count(&rest);
            progress(MoveStage::Copying { table: table.server, rows, of });
        }
        let heads = from.heads().await?;
        let copy = filling.finish(&heads)?;
        let mut rows = 0;
        for (table, source) in TABLES.iter().zip(sources) {
            let copied = copy.lines(table, |_, _| true)?;
            rows += copied.rows;
            progress(MoveStage::Comparing { table: table.server, rows, of });
            if !copied.has_the_lines_of(source) {
                return Err(MoveError::Differs { table: table.file });
            }
        }
        if copy.heads()? == heads { Ok(()) } else { Err(MoveError::Differs { table: "feed_head" }) }
    }

    /// Records that the data was moved to `to`, a store as it is named for operators. From then on, no node
    /// opens the database.
    ///
    /// # Errors
    /// It can't be written; after [`MoveError::Unknown`], it may be written.
    pub async fn mark_moved(self, to: &str) -> Result<(), MoveError> {
        let from = self.exclusive;
        let number = i32::try_from(MOVED).unwrap_or(i32::MAX);
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&number, Type::INT4), (&MOVED_NAME, Type::TEXT), (&to.as_bytes(), Type::BYTEA)];
        from.connection.execute_typed(MARK, &values).await.map_err(|error| from.failed(&error))?;
        from.run(FENCE).await?;
        let committed = from.connection.batch_execute("COMMIT").await;
        committed.map_err(|error| MoveError::Unknown { detail: message(&error) })
    }
}

impl fmt::Debug for MoveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MoveSource").field("store", &self.exclusive.store).finish_non_exhaustive()
    }
}

impl Exclusive {
    /// Gives numbers to the entries of the audit that have none.
    async fn number_audit(&self) -> Result<(), MoveError> {
        let at_once = i64::try_from(statements::NUMBERED_AT_ONCE).unwrap_or(i64::MAX);
        while self.number(statements::NUMBER_AUDIT).await? >= at_once {}
        Ok(())
    }
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
