//! Copies an SQLite store to an empty PostgreSQL database.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::sync::mpsc;
use tokio_postgres::CopyInSink;

use super::super::fault::message;
use super::super::server::connect::Target;
use super::super::server::requirements;
use super::super::{PostgresOptions, migrate};
use super::Exclusive;
use crate::OpenError;
use crate::moving::{Lines, MoveError, MoveProgress, MoveStage, TABLES, Table};
use crate::sqlite::{Heads, Snapshot, SqliteStore};

/// The chunks of lines that wait for PostgreSQL.
const WAITING: usize = 16;

/// Copies all data of a store to an empty database, in one transaction, compares the copy with the source,
/// and returns the database's name for operators. A database that has the same data already is left as it is.
/// The caller then marks the source as moved.
///
/// # Errors
/// The database can't be used, isn't empty, or is in use; or the copy fails. After [`MoveError::Unknown`],
/// the copy may be there; otherwise it isn't.
pub async fn copy_to_postgres(
    source: &SqliteStore,
    options: &PostgresOptions,
    progress: MoveProgress<'_>,
) -> Result<String, MoveError> {
    let target = Target::parse(&options.url).map_err(OpenError::from)?;
    let connection = requirements::connect(&target).await?;
    migrate::run(&connection, target.shown()).await.map_err(|error| match error {
        // It still has the data that was moved from it.
        OpenError::Moved { store, .. } => MoveError::NotEmpty { store, table: "schema_migration" },
        error => error.into(),
    })?;
    let into = Exclusive::begin(connection, &target).await?;
    let snapshot = Arc::new(std::sync::Mutex::new(source.snapshot()?));
    let (heads, of) = {
        let snapshot = locked(&snapshot);
        (snapshot.heads()?, snapshot.count()?)
    };
    let used = into.used().await?;
    if used.is_none() {
        let mut rows = 0;
        // The id of the store, and with it the cursors of verifiers, are those of the source.
        into.run("DELETE FROM setting").await?;
        for table in TABLES {
            into.fill(table, &snapshot, |more| {
                rows += more;
                progress(MoveStage::Copying { table: table.server, rows, of });
            })
            .await?;
        }
        into.set(&heads).await?;
    }
    match (into.compare(&snapshot, &heads, of, progress).await, used) {
        (Ok(()), None) => {}
        (Ok(()), Some(_)) => progress(MoveStage::Present),
        (Err(MoveError::Differs { .. }), Some(table)) => {
            return Err(MoveError::NotEmpty { store: into.store, table });
        }
        (Err(error), _) => return Err(error),
    }
    into.connection
        .batch_execute("COMMIT")
        .await
        .map_err(|error| MoveError::Unknown { detail: message(&error) })?;
    if into.connection.take_warning() {
        return Err(MoveError::Unknown { detail: "the server has stopped to wait for its standby".into() });
    }
    Ok(target.shown().to_owned())
}

impl Exclusive {
    /// A table that isn't as the migrations leave it.
    async fn used(&self) -> Result<Option<&'static str>, MoveError> {
        for table in TABLES {
            let rows =
                if table.server == "setting" { "setting WHERE name <> 'store_id'" } else { table.server };
            if self.number(&format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT 1) s")).await? > 0 {
                return Ok(Some(table.server));
            }
        }
        let changed = "SELECT count(*) FROM cluster WHERE ring > 0 OR settings > 0 OR longest_lifetime_ms > 0 \
            OR sessions_before > 0 OR base_seq > 17179869184";
        Ok((self.number(changed).await? > 0).then_some("cluster"))
    }

    async fn fill(
        &self,
        table: &'static Table,
        snapshot: &Arc<std::sync::Mutex<Snapshot>>,
        mut written: impl FnMut(u64),
    ) -> Result<(), MoveError> {
        let failed = |error: tokio_postgres::Error| self.failed(&error);
        let statement = self.connection.prepare(&table.write_to_server()).await.map_err(failed)?;
        let sink: CopyInSink<Bytes> = self.connection.copy_in(&statement).await.map_err(failed)?;
        let mut sink = std::pin::pin!(sink);
        let (send, mut chunks) = mpsc::channel(WAITING);
        let is_written_twice = table.written_key.len() > 1;
        let reading = reading(snapshot, table, move |lines, rows| {
            let lines = if is_written_twice { with_key_twice(&lines) } else { lines };
            send.blocking_send((Bytes::from(lines), rows)).is_ok()
        });
        while let Some((lines, rows)) = chunks.recv().await {
            // The cause isn't told here, but in the server's log.
            let refused = |_| {
                self.refused(format!("the server refused rows of the table {}: see its log", table.server))
            };
            sink.send(lines).await.map_err(refused)?;
            written(rows);
        }
        // A read that failed has sent a part.
        reading.await?;
        sink.as_mut().finish().await.map_err(failed)?;
        Ok(())
    }

    /// Writes what isn't a row.
    async fn set(&self, heads: &Heads) -> Result<(), MoveError> {
        let Heads { seq, chain, forgotten, audit, .. } = heads;
        // The hash is read only while the deleted entry is the newest.
        let chain = if seq == forgotten { quash_core::hex::encode(chain) } else { "00".repeat(32) };
        // Not settled: verifiers may have leases from a server on the source, which have no rows here.
        let statements = format!(
            "UPDATE cluster SET settled = false, base_seq = {forgotten}, \
             base_chain = decode('{chain}', 'hex'), sessions_before = {}, \
             foreign_after = {}, forgotten_at = {}, forgotten_until = {}, ring = {}, settings = {}, \
             longest_lifetime_ms = {}; UPDATE audit_number SET last = {audit}; \
             SELECT setval(pg_get_serial_sequence('audit', 'row'), {})",
            heads.sessions_before,
            heads.foreign_after,
            heads.forgotten_at,
            heads.forgotten_until,
            heads.ring,
            heads.settings,
            heads.longest_lifetime_ms,
            (*audit).max(1),
        );
        self.run(&statements).await
    }

    async fn compare(
        &self,
        snapshot: &Arc<std::sync::Mutex<Snapshot>>,
        heads: &Heads,
        of: u64,
        progress: MoveProgress<'_>,
    ) -> Result<(), MoveError> {
        let mut rows = 0;
        for table in TABLES {
            let source = reading(snapshot, table, |_, _| true);
            let mut unused = |_: &[u8]| Ok(());
            let copy = self.lines(table, &mut unused);
            let (source, copy) = tokio::join!(source, copy);
            let (source, copy) = (source?, copy?);
            rows += source.rows;
            progress(MoveStage::Comparing { table: table.server, rows, of });
            if !source.has_the_lines_of(copy) {
                return Err(MoveError::Differs { table: table.server });
            }
        }
        if self.heads().await? == *heads { Ok(()) } else { Err(MoveError::Differs { table: "cluster" }) }
    }
}

/// Reads the lines of a table of SQLite in a thread, which begins at once.
fn reading(
    snapshot: &Arc<std::sync::Mutex<Snapshot>>,
    table: &'static Table,
    each: impl FnMut(Vec<u8>, u64) -> bool + Send + 'static,
) -> impl Future<Output = Result<Lines, MoveError>> {
    let snapshot = Arc::clone(snapshot);
    let read = tokio::task::spawn_blocking(move || locked(&snapshot).lines(table, each));
    async {
        read.await.unwrap_or_else(|error| {
            Err(MoveError::Failed { store: "the SQLite file".into(), detail: error.to_string() })
        })
    }
}

fn locked(snapshot: &std::sync::Mutex<Snapshot>) -> std::sync::MutexGuard<'_, Snapshot> {
    snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Repeats the first value of each line.
fn with_key_twice(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 8);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let key = line.split(|byte| *byte == b'\t').next().unwrap_or_default();
        out.extend_from_slice(key);
        out.push(b'\t');
        out.extend_from_slice(line);
    }
    out
}
