//! Copies a PostgreSQL database that no node uses to a new SQLite store.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tokio_postgres::types::{ToSql, Type};

use super::super::fault::message;
use super::super::server::connect::Target;
use super::super::server::requirements;
use super::super::{IfAnother, PostgresOptions, history, migrate, statements};
use super::{CHUNK, Exclusive, MARGIN, count};
use crate::OpenError;
use crate::moving::{MOVED, MOVED_NAME, MoveError, MoveProgress, MoveStage, TABLES};
use crate::sqlite::SqliteStore;

const MARK: &str = "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3) \
    ON CONFLICT (number) DO UPDATE SET checksum = excluded.checksum";

/// The longest term of a verifier's lease.
const VERIFIERS: &str =
    "SELECT coalesce(max(term_ms), 0) FROM lease WHERE kind = 'verifier' AND NOT has_left";

/// A node that was opened before, and has no lease yet, sees other settings than its own, and stops to
/// answer.
const FENCE: &str =
    "UPDATE cluster SET settings = settings + 1, schema_fence = 2147483647; DELETE FROM lease";

/// A PostgreSQL database that nobody else uses until this is dropped.
pub struct MoveSource {
    exclusive: Exclusive,
    /// Where an earlier move has begun to move the data.
    earlier: Option<String>,
    /// Ends when the leases of verifiers have expired: a server on the new store doesn't know of them.
    expired: Pin<Box<Sleep>>,
}

impl MoveSource {
    /// Connects to a database, and makes sure that no node uses it. A node that was killed holds its lease
    /// for some seconds, for which this waits. A database from which an earlier move was interrupted is a
    /// source again.
    ///
    /// # Errors
    /// The database can't be used, nodes use it, or no server was ever started on it.
    pub async fn begin(options: &PostgresOptions) -> Result<Self, MoveError> {
        let target = Target::parse(&options.url).map_err(OpenError::from)?;
        let connection = requirements::connect(&target).await?;
        let earlier = match migrate::run(&connection, target.shown()).await {
            Ok(()) => None,
            // An earlier move has marked it, and perhaps was interrupted.
            Err(OpenError::Moved { to, .. }) => Some(to),
            Err(error) => return Err(error.into()),
        };
        // A refusal has left its transaction open, with the lock that the move takes.
        drop(connection);
        let connection = requirements::connect(&target).await?;
        // A restored or copied database, or a promoted server, may lack revocations, and the SQLite file
        // doesn't say where it comes from.
        let (judged, _) = history(&connection, target.shown(), IfAnother::Refuse).await?;
        if judged.found().is_some() {
            let detail = "its server was promoted, and no node has compared its log yet: \
                start a node once, and stop it";
            return Err(MoveError::Failed { store: target.shown().to_owned(), detail: detail.into() });
        }
        let exclusive = Exclusive::begin(connection, &target).await?;
        if exclusive.number("SELECT count(*) FROM signing_key").await? == 0 {
            return Err(exclusive.refused("no server was ever started on it"));
        }
        let newer = format!(
            "SELECT count(*) FROM schema_migration WHERE number > {} AND number <> {MOVED}",
            migrate::NEWEST
        );
        if exclusive.number(&newer).await? > 0 {
            return Err(
                exclusive.refused("a newer version of quash has migrated it: move it with that version")
            );
        }
        let term = u64::try_from(exclusive.number(VERIFIERS).await?).unwrap_or_default();
        let expired = Box::pin(sleep(Duration::from_millis(term) + MARGIN));
        Ok(Self { exclusive, earlier, expired })
    }

    /// The database's name for operators.
    pub fn name(&self) -> &str {
        &self.exclusive.store
    }

    /// Where an earlier move has begun to move the data, as it was named for operators.
    pub fn earlier(&self) -> Option<&str> {
        self.earlier.as_deref()
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
            let mut write = |lines: &[u8]| -> Result<(), MoveError> {
                filling.add(table, lines)?;
                rows += count(lines);
                progress(MoveStage::Copying { table: table.server, rows, of });
                Ok(())
            };
            let mut rest = Vec::new();
            let mut each = |bytes: &[u8]| {
                rest.extend_from_slice(bytes);
                let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                if whole < CHUNK {
                    return Ok(());
                }
                let lines: Vec<u8> = rest.drain(..whole).collect();
                write(&lines)
            };
            sources.push(from.lines(table, &mut each).await?);
            write(&rest)?;
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

    /// Records that the data was moved to `to`, a store as it is named for operators, once the leases of
    /// verifiers have expired. From then on, no node opens the database.
    ///
    /// # Errors
    /// It can't be written; after [`MoveError::Unknown`], it may be written.
    pub async fn mark_moved(self, to: &str) -> Result<(), MoveError> {
        let Self { exclusive: from, expired, .. } = self;
        expired.await;
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
