//! Moves data from the WAL into the database outside of requests: in a separate thread. Only when the WAL
//! would grow without bound does the writer do it itself.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::StoreError;
use crate::sqlite::fault::{SqliteError, StoreSignals};
use crate::sqlite::rows::ReadColumns;
use crate::sqlite::{rows, statements};

/// The number of WAL pages from which a checkpoint is due at once.
const DUE_PAGES: u64 = 4000;

/// The longest delay of any other checkpoint.
const DUE_AFTER: Duration = Duration::from_secs(1);

/// The size to which the WAL may grow, in bytes.
pub(in crate::sqlite) const FULL_BYTES: u32 = 64 * 1024 * 1024;

/// The number of WAL pages from which the writer pauses until the WAL can restart.
const FULL_PAGES: u64 = FULL_BYTES as u64 / 4096;

/// The additional WAL pages that are allowed after a reader has prevented a restart.
const GRACE_PAGES: u64 = 4096;

/// The time for which the writer waits for readers to finish.
const READERS_WAIT: Duration = Duration::from_millis(250);

/// The number of rows written between checks of the WAL's size.
const LOOK_EVERY: usize = 256;

/// The state that the writer and the checkpointer share.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct Checkpoints {
    request: Mutex<CheckpointRequest>,
    condvar: Condvar,
    /// Held during a checkpoint: SQLite rejects a second one instead of blocking it.
    running: Mutex<()>,
}

#[derive(Debug, Default)]
struct CheckpointRequest {
    written: bool,
    due: bool,
    closing: bool,
}

/// The writer's record of the WAL's growth.
#[derive(Debug)]
pub(in crate::sqlite) struct WalGrowth {
    checkpoints: Arc<Checkpoints>,
    rows_unlooked: usize,
    full_at: u64,
}

impl Checkpoints {
    /// Runs the checkpointer's thread until [`Checkpoints::close`].
    pub(in crate::sqlite) fn run(&self, conn: &Connection, signals: &StoreSignals) {
        while self.await_work() {
            if signals.unbroken().is_ok() {
                let _running = lock(&self.running);
                // After a failure the WAL keeps its content. A failed fsync has been recorded.
                let _ = wal(conn, statements::WAL_PASSIVE, signals);
            }
        }
    }

    /// Stops the checkpointer's thread.
    pub(in crate::sqlite) fn close(&self) {
        lock(&self.request).closing = true;
        self.condvar.notify_all();
    }

    pub(in crate::sqlite) fn growth(self: &Arc<Self>) -> WalGrowth {
        WalGrowth { checkpoints: Arc::clone(self), rows_unlooked: 0, full_at: FULL_PAGES }
    }

    /// Waits for a write, and then until a checkpoint is due. Returns `false` on shutdown.
    fn await_work(&self) -> bool {
        let request = lock(&self.request);
        let request = self
            .condvar
            .wait_while(request, |request| !request.written && !request.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut request, _) = self
            .condvar
            .wait_timeout_while(request, DUE_AFTER, |request| !request.due && !request.closing)
            .unwrap_or_else(PoisonError::into_inner);
        (request.written, request.due) = (false, false);
        !request.closing
    }

    fn ask(&self, due: bool) {
        let mut request = lock(&self.request);
        let rings = !request.written || (due && !request.due);
        request.written = true;
        request.due |= due;
        drop(request);
        if rings {
            self.condvar.notify_all();
        }
    }
}

impl WalGrowth {
    /// Records a transaction of about this many rows on `conn`.
    pub(in crate::sqlite) fn wrote(&mut self, rows: usize, conn: &Connection, signals: &StoreSignals) {
        self.rows_unlooked += rows;
        if self.rows_unlooked < LOOK_EVERY || signals.unbroken().is_err() {
            return self.checkpoints.ask(false);
        }
        self.rows_unlooked = 0;
        let pages = wal(conn, statements::WAL_STATUS, signals).map_or(0, |wal| wal.pages);
        self.checkpoints.ask(pages >= DUE_PAGES);
        if pages >= self.full_at {
            self.full_at = if self.restart_wal(conn, signals) { FULL_PAGES } else { pages + GRACE_PAGES };
        }
    }

    /// Moves the whole WAL into the database, so that the next transaction writes at its start. Returns
    /// `false` if a reader still needs it.
    fn restart_wal(&self, conn: &Connection, signals: &StoreSignals) -> bool {
        let _running = lock(&self.checkpoints.running);
        let patience = conn.busy_timeout(READERS_WAIT);
        let restarted = wal(conn, statements::WAL_RESTART, signals);
        patience.is_ok()
            && conn.busy_timeout(crate::sqlite::BUSY_TIMEOUT).is_ok()
            && restarted.is_ok_and(|wal| !wal.busy)
    }
}

/// Closes the last connection. SQLite then moves the whole WAL into the database and deletes it, except after
/// a failed fsync, when the files are best left unchanged.
pub(in crate::sqlite) fn close_last(conn: Connection, signals: &StoreSignals) {
    if signals.unbroken().is_err() {
        // If this fails, SQLite attempts a checkpoint, which can't lose acknowledged changes either.
        let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
    drop(conn);
}

/// The result of a checkpoint or a check of the WAL.
struct Wal {
    busy: bool,
    pages: u64,
}

fn wal(conn: &Connection, statement: &str, signals: &StoreSignals) -> Result<Wal, StoreError> {
    let found = rows::one(conn, statement, &[], |columns| {
        Ok(Wal { busy: columns.count()? != 0, pages: columns.count()? })
    });
    found
        .and_then(|found| found.ok_or(SqliteError::Value("no result of a WAL checkpoint")))
        .map_err(|fault| signals.to_store_error(fault))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
