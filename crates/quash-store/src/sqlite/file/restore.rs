//! Restores a backup. A crash at any moment leaves either the old database or the new one, complete. The
//! backup is copied to the database's directory and prepared there; a rename commits the restore; the next
//! process that opens the database finishes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use quash_core::model::{KeyRecord, Seq};
use rusqlite::{Connection, OpenFlags};

use super::lock;
use crate::OpenError;
use crate::sqlite::fault::SqliteError;
use crate::sqlite::{SqliteOptions, SqliteStore, migrate, reader, rows, unusable};

/// Suffixes of SQLite's additional files.
const WAL: &str = "-wal";
const SHM: &str = "-shm";

/// The suffix of the copy until it is ready.
const STAGED: &str = ".restoring";
/// The suffix of the copy once the restore is committed, followed by the label.
const DECIDED: &str = ".restored-";
/// The suffix of the previous database, followed by the label.
const ASIDE: &str = ".before-restore-";

/// Information about the database that a restore replaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// The end of its log.
    pub end: Seq,
    /// Its signing keys, oldest first.
    pub keys: Vec<KeyRecord>,
}

/// A copy of a backup, ready to replace the database. No other process can open the database while this
/// exists. Dropping it changes nothing.
#[derive(Debug)]
pub struct StagedRestore {
    database: PathBuf,
    staged: PathBuf,
    _lock: File,
}

impl StagedRestore {
    /// Copies a backup to the directory of the database, which may not exist yet, and checks that it is
    /// complete and one of quash.
    ///
    /// # Errors
    /// The database is in use; the backup is unreadable, damaged or not a backup of quash; or a newer or
    /// another build wrote it.
    pub fn new(backup: &Path, database: &Path) -> Result<Self, OpenError> {
        let staged = Self::empty(database)?;
        staged.copy(backup).map_err(|error| unusable(backup, &error))?;
        staged.check(backup)?;
        Ok(staged)
    }

    /// Prepares a new, empty database in place of a backup.
    ///
    /// # Errors
    /// The database is in use, or the directory can't be written.
    pub fn empty(database: &Path) -> Result<Self, OpenError> {
        let lock = lock::take(database)?;
        finish(database).map_err(|error| unusable(database, &error))?;
        Ok(Self { database: database.to_owned(), staged: lock::beside(database, STAGED), _lock: lock })
    }

    /// Reads the database that the copy would replace, without changing it. `None` if there is none. Reads as
    /// much as possible from another version's database.
    ///
    /// # Errors
    /// It can't be read, or its keys are damaged.
    pub fn replaced(&self) -> Result<Option<Replaced>, OpenError> {
        if !self.database.exists() {
            return Ok(None);
        }
        let wal = lock::beside(&self.database, WAL);
        let had_wal = wal.exists();
        let read = read_replaced(&self.database);
        // Files that SQLite creates for reading don't belong to the database. A WAL that existed before does,
        // with its content.
        let made = if had_wal { vec![] } else { vec![wal] };
        let tidied =
            made.iter().chain([&lock::beside(&self.database, SHM)]).try_for_each(|path| lock::remove(path));
        tidied.map_err(|error| unusable(&self.database, &error))?;
        read.map(Some)
    }

    /// Opens the copy for preparation. Close it before [`StagedRestore::put_in_place`].
    ///
    /// # Errors
    /// It can't be used.
    pub fn open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&self.staged, SqliteOptions::default())
    }

    /// Replaces the database with the copy, and returns the path of the previous one, or `None` if there was
    /// none. The label, such as the time, becomes part of that path.
    ///
    /// # Errors
    /// A file can't be written. The copy may be in place nevertheless.
    pub fn put_in_place(self, label: &str) -> Result<Option<PathBuf>, OpenError> {
        let kept = lock::beside(&self.database, &format!("{ASIDE}{label}"));
        let put = || -> io::Result<bool> {
            if kept.exists() || lock::beside(&self.staged, WAL).exists() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let had_one = self.database.exists();
            File::open(&self.staged)?.sync_all()?;
            fs::rename(&self.staged, lock::beside(&self.database, &format!("{DECIDED}{label}")))?;
            lock::sync_directory_of(&self.database)?;
            finish(&self.database)?;
            Ok(had_one)
        };
        match put() {
            Ok(had_one) => Ok(had_one.then_some(kept)),
            Err(error) => Err(unusable(&self.database, &error)),
        }
    }

    /// Copies the backup. A copy of a database in use may include a WAL, which belongs to it.
    fn copy(&self, backup: &Path) -> io::Result<()> {
        copy(backup, &self.staged)?;
        match copy(&lock::beside(backup, WAL), &lock::beside(&self.staged, WAL)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn check(&self, backup: &Path) -> Result<(), OpenError> {
        let sqlite = |error: rusqlite::Error| unusable(backup, &error);
        let conn = Connection::open_with_flags(
            &self.staged,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        );
        let conn = conn.map_err(sqlite)?;
        let found: String =
            conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
        if found != "ok" {
            return Err(unusable(backup, &format!("it is damaged: {found}")));
        }
        match migrate::applied(&conn, backup)? {
            0 => Err(unusable(backup, &"it is not a backup of quash")),
            _ => Ok(()),
        }
    }
}

impl Drop for StagedRestore {
    fn drop(&mut self) {
        // The next process that opens the database removes what is left.
        let _ = clear(&self.database);
    }
}

/// Finishes a committed restore, and removes the files of one that wasn't committed. The caller holds the
/// database's lock.
pub(in crate::sqlite) fn finish(database: &Path) -> io::Result<()> {
    clear(database)?;
    let Some((decided, label)) = decided(database)? else { return Ok(()) };
    let kept = lock::beside(database, &format!("{ASIDE}{label}"));
    // The WAL belongs to the old database. SQLite would apply it to the new one.
    for suffix in ["", WAL] {
        match fs::rename(lock::beside(database, suffix), lock::beside(&kept, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    lock::remove(&lock::beside(database, SHM))?;
    lock::sync_directory_of(database)?;
    fs::rename(decided, database)?;
    lock::sync_directory_of(database)
}

fn read_replaced(database: &Path) -> Result<Replaced, OpenError> {
    let conn = crate::sqlite::open_beside(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // A damaged index would hide keys. The rest of the database needn't be intact.
    let sound: Result<String, _> =
        conn.query_row("PRAGMA integrity_check('signing_key')", [], |row| row.get(0));
    let sound = sound.map_err(|error| unusable(database, &error))?;
    if sound != "ok" {
        return Err(unusable(database, &format!("its keys are damaged: {sound}")));
    }
    // Not the head: a database of an earlier version lacks some of its columns.
    let read = || Ok(Replaced { end: rows::log_end(&conn)?.seq, keys: reader::keys(&conn)? });
    read().map_err(|fault: SqliteError| unusable(database, &format!("{fault:?}")))
}

fn clear(database: &Path) -> io::Result<()> {
    let staged = lock::beside(database, STAGED);
    ["", WAL, SHM, "-journal", ".lock"]
        .iter()
        .try_for_each(|suffix| lock::remove(&lock::beside(&staged, suffix)))
}

/// Returns the copy of a committed restore, and its label.
fn decided(database: &Path) -> io::Result<Option<(PathBuf, String)>> {
    let Some(name) = database.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
    let prefix = format!("{name}{DECIDED}");
    for entry in fs::read_dir(lock::directory_of(database))? {
        let entry = entry?;
        if let Some(label) = entry.file_name().to_str().and_then(|name| name.strip_prefix(&prefix)) {
            return Ok(Some((entry.path(), label.to_owned())));
        }
    }
    Ok(None)
}

fn copy(from: &Path, to_path: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options.open(to_path)?;
    lock::share_with_group(&to, lock::directory_of(to_path))?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}
