//! Moving what was written from the WAL into the database, off the way of requests: a thread of its own, and the
//! writer itself only where the WAL would grow without end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::fault::{Fault, Signals};
use super::{rows, statements};
use crate::StoreError;

/// From this many pages in the WAL on, a checkpoint is due at once.
const DUE_PAGES: u64 = 4000;

/// How long what was written waits for its checkpoint otherwise.
const DUE_AFTER: Duration = Duration::from_secs(1);

/// How large the WAL may stay.
pub(super) const FULL_BYTES: u32 = 64 * 1024 * 1024;

/// From this many pages in the WAL on, the writer stops until the WAL can begin anew.
const FULL_PAGES: u64 = FULL_BYTES as u64 / 4096;

/// How many more pages the WAL gets where a reader kept it from beginning anew.
const GRACE_PAGES: u64 = 4096;

/// How long the writer then waits for readers to finish.
const READERS_WAIT: Duration = Duration::from_millis(250);

/// How many rows are written from one look at the size of the WAL to the next.
const LOOK_EVERY: usize = 256;

/// What the writer and the checkpointer tell each other.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    asked: Mutex<Asked>,
    bell: Condvar,
    /// Held during a checkpoint: SQLite refuses a second one instead of letting it wait.
    running: Mutex<()>,
}

#[derive(Debug, Default)]
struct Asked {
    written: bool,
    due: bool,
    closing: bool,
}

/// The writer's view on how the WAL grows.
#[derive(Debug)]
pub(super) struct Growth {
    checkpoints: Arc<Checkpoints>,
    rows_unlooked: usize,
    full_at: u64,
}

impl Checkpoints {
    /// The checkpointer's thread. It ends with [`Checkpoints::close`].
    pub(super) fn run(&self, conn: &Connection, signals: &Signals) {
        while self.await_work() {
            if signals.unbroken().is_ok() {
                let _running = lock(&self.running);
                // If it fails, the WAL keeps what it has; a failed fsync has been noted.
                let _ = wal(conn, statements::WAL_PASSIVE, signals);
            }
        }
    }

    /// Ends the checkpointer's thread.
    pub(super) fn close(&self) {
        lock(&self.asked).closing = true;
        self.bell.notify_all();
    }

    /// The writer's view on how the WAL grows.
    pub(super) fn growth(self: &Arc<Self>) -> Growth {
        Growth { checkpoints: Arc::clone(self), rows_unlooked: 0, full_at: FULL_PAGES }
    }

    /// Waits until something was written, and then until a checkpoint is due; `false` at the end.
    fn await_work(&self) -> bool {
        let asked = lock(&self.asked);
        let asked = self
            .bell
            .wait_while(asked, |asked| !asked.written && !asked.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut asked, _) = self
            .bell
            .wait_timeout_while(asked, DUE_AFTER, |asked| !asked.due && !asked.closing)
            .unwrap_or_else(PoisonError::into_inner);
        (asked.written, asked.due) = (false, false);
        !asked.closing
    }

    fn ask(&self, due: bool) {
        let mut asked = lock(&self.asked);
        let rings = !asked.written || (due && !asked.due);
        asked.written = true;
        asked.due |= due;
        drop(asked);
        if rings {
            self.bell.notify_all();
        }
    }
}

impl Growth {
    /// Notes that a transaction of about so many rows has been written, by `conn`.
    pub(super) fn wrote(&mut self, rows: usize, conn: &Connection, signals: &Signals) {
        self.rows_unlooked += rows;
        if self.rows_unlooked < LOOK_EVERY || signals.unbroken().is_err() {
            return self.checkpoints.ask(false);
        }
        self.rows_unlooked = 0;
        let pages = wal(conn, statements::WAL_LOOK, signals).map_or(0, |wal| wal.pages);
        self.checkpoints.ask(pages >= DUE_PAGES);
        if pages >= self.full_at {
            self.full_at = if self.begin_anew(conn, signals) { FULL_PAGES } else { pages + GRACE_PAGES };
        }
    }

    /// Brings all of the WAL into the database and lets the next transaction write from its beginning. `false` if a
    /// reader still needs it.
    fn begin_anew(&self, conn: &Connection, signals: &Signals) -> bool {
        let _running = lock(&self.checkpoints.running);
        let patience = conn.busy_timeout(READERS_WAIT);
        let restarted = wal(conn, statements::WAL_RESTART, signals);
        patience.is_ok()
            && conn.busy_timeout(super::BUSY_TIMEOUT).is_ok()
            && restarted.is_ok_and(|wal| !wal.busy)
    }
}

/// Closes the last connection. SQLite then brings all of the WAL into the database and removes it; not so after a
/// failed fsync, when the files are better left as they are.
pub(super) fn close_last(conn: Connection, signals: &Signals) {
    if signals.unbroken().is_err() {
        // If it fails, a checkpoint is tried that can't lose what was acknowledged either.
        let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
    drop(conn);
}

/// What a look at the WAL or a checkpoint found.
struct Wal {
    busy: bool,
    pages: u64,
}

fn wal(conn: &Connection, statement: &str, signals: &Signals) -> Result<Wal, StoreError> {
    let found = rows::one(conn, statement, [], |columns| {
        Ok(Wal { busy: columns.count()? != 0, pages: columns.count()? })
    });
    found
        .and_then(|found| found.ok_or(Fault::Value("no answer about the WAL")))
        .map_err(|fault| signals.told(fault))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
