//! The errors inside the SQLite store, and the conversion to [`StoreError`]. `apply.rs` raises conflicts
//! deliberately.

use std::sync::OnceLock;

use quash_core::model::Seq;
use rusqlite::ErrorCode;
use rusqlite::ffi;
use tokio::sync::watch;

use super::file::check;
use crate::StoreError;
use crate::columns::BadValue;

/// The reason why an operation in a transaction failed.
#[derive(Debug)]
pub(super) enum SqliteError {
    /// The guard of a change doesn't hold.
    Conflict,
    /// A row can't be decoded, or a value can't be encoded.
    Value(&'static str),
    Sqlite(rusqlite::Error),
    /// An error, and where it occurred.
    InRow {
        table: String,
        /// The key of the row, if it is known.
        key: Option<String>,
        error: Box<Self>,
    },
}

/// The signals from a store's threads to its callers.
#[derive(Debug)]
pub(super) struct StoreSignals {
    /// The newest durable number.
    pub(super) newest: watch::Sender<Seq>,
    /// Set once the disk has failed to persist a write.
    pub(super) broken: watch::Sender<bool>,
    /// The first damage that SQLite has found in the file.
    pub(super) damage: OnceLock<String>,
}

impl SqliteError {
    /// Adds the table and the row's key, unless the error has them already. A conflict has no row.
    pub(super) fn in_row(self, table: &str, key: Option<String>) -> Self {
        match self {
            Self::Conflict | Self::InRow { .. } => self,
            Self::Value(_) | Self::Sqlite(_) => {
                Self::InRow { table: table.to_owned(), key, error: Box::new(self) }
            }
        }
    }
}

impl From<BadValue> for SqliteError {
    fn from(BadValue(what): BadValue) -> Self {
        Self::Value(what)
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl StoreSignals {
    pub(super) fn new(newest: Seq) -> Self {
        Self {
            newest: watch::Sender::new(newest),
            broken: watch::Sender::new(false),
            damage: OnceLock::new(),
        }
    }

    /// Fails once the store is broken: after a failed fsync the content of the disk is unknown.
    pub(super) fn unbroken(&self) -> Result<(), StoreError> {
        if *self.broken.borrow() { Err(unavailable("the disk failed to persist a write")) } else { Ok(()) }
    }

    /// Converts a fault to the caller's error. A failed fsync breaks the store permanently.
    pub(super) fn to_store_error(&self, fault: SqliteError) -> StoreError {
        match fault {
            SqliteError::Conflict => StoreError::Conflict,
            SqliteError::Value(what) => {
                StoreError::Unavailable(format!("the database contains unreadable data: {what}"))
            }
            SqliteError::Sqlite(error) => {
                if check::is_damage(&error) {
                    let _ = self.damage.set(error.to_string());
                }
                if is_failed_fsync(&error) {
                    self.broken.send_replace(true);
                }
                if is_full(&error) { StoreError::Full } else { StoreError::Unavailable(error.to_string()) }
            }
            SqliteError::InRow { table, key, error } => match self.to_store_error(*error) {
                StoreError::Unavailable(detail) => StoreError::Unavailable(match key {
                    Some(key) => format!("table {table}, row {key}: {detail}"),
                    None => format!("table {table}: {detail}"),
                }),
                other @ (StoreError::Conflict | StoreError::Full | StoreError::Unknown(_)) => other,
            },
        }
    }

    /// Converts a fault of COMMIT. After an I/O error, the write-ahead log on disk may contain the transaction.
    pub(super) fn to_commit_error(&self, fault: SqliteError) -> StoreError {
        let is_in_doubt = matches!(&fault, SqliteError::Sqlite(error) if is_io(error));
        match self.to_store_error(fault) {
            StoreError::Unavailable(detail) if is_in_doubt => StoreError::Unknown(detail),
            other => other,
        }
    }
}

/// The error for a missing resource.
pub(super) fn unavailable(detail: &str) -> StoreError {
    StoreError::Unavailable(detail.to_owned())
}

fn is_failed_fsync(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    matches!(extended, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
}

fn is_io(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.code == ErrorCode::SystemIoFailure)
}

/// Returns whether the disk is full: `SQLITE_FULL`, or `SQLITE_IOERR_SHMSIZE` if the WAL's index can't grow.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(extended_code: i32) -> SqliteError {
        SqliteError::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None))
    }

    #[test]
    fn failed_fsyncs_break_the_store_permanently() {
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC] {
            let signals = StoreSignals::new(Seq::ZERO);
            assert!(matches!(signals.to_store_error(failure(code)), StoreError::Unavailable(_)));
            assert!(signals.unbroken().is_err() && *signals.broken.borrow());
        }
    }

    #[test]
    fn only_io_errors_leave_a_commit_in_doubt() {
        let signals = StoreSignals::new(Seq::ZERO);
        let outcome = |code| signals.to_commit_error(failure(code));
        for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC] {
            assert!(matches!(outcome(code), StoreError::Unknown(_)), "{code}");
        }
        assert!(signals.unbroken().is_err(), "after the failed fsync");
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert_eq!(outcome(code), StoreError::Full, "{code}");
        }
        assert!(matches!(outcome(ffi::SQLITE_BUSY), StoreError::Unavailable(_)));
        assert!(matches!(
            signals.to_store_error(failure(ffi::SQLITE_IOERR_WRITE)),
            StoreError::Unavailable(_)
        ));
    }

    #[test]
    fn the_first_damage_is_remembered() {
        let signals = StoreSignals::new(Seq::ZERO);
        signals.to_store_error(failure(ffi::SQLITE_IOERR_READ));
        assert_eq!(signals.damage.get(), None);
        signals.to_store_error(failure(ffi::SQLITE_CORRUPT_INDEX));
        let first = signals.damage.get().cloned().expect("damage");
        signals.to_store_error(failure(ffi::SQLITE_NOTADB));
        assert_eq!(signals.damage.get(), Some(&first));
    }

    #[test]
    fn full_disks_do_not_break_the_store() {
        let signals = StoreSignals::new(Seq::ZERO);
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert_eq!(signals.to_store_error(failure(code)), StoreError::Full);
        }
        assert!(matches!(
            signals.to_store_error(failure(ffi::SQLITE_IOERR_WRITE)),
            StoreError::Unavailable(_)
        ));
        assert_eq!(signals.to_store_error(SqliteError::Conflict), StoreError::Conflict);
        assert_eq!(signals.unbroken(), Ok(()));
    }
}
