//! The way back from a backup, so that a crash at any moment leaves the old database or the new one, whole. The backup is
//! copied beside the database and made ready there; a rename decides; what is left to do after that is done by whoever
//! opens the database next.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use quash_core::model::{KeyRecord, Seq};
use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::{SqliteOptions, SqliteStore, lock, migrate, reader, rows, unusable};
use crate::OpenError;

/// What SQLite keeps beside a database.
const WAL: &str = "-wal";
const SHM: &str = "-shm";

/// Where the copy stands until it is ready.
const STAGED: &str = ".restoring";
/// Where it stands from the moment on that decides, followed by the label.
const DECIDED: &str = ".restored-";
/// Where the database from before is kept, followed by the label.
const ASIDE: &str = ".before-restore-";

/// What is known of a database whose place a backup shall take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// Where its log ends.
    pub end: Seq,
    /// Its signing keys, oldest first.
    pub keys: Vec<KeyRecord>,
}

/// A backup that was copied beside the database whose place it shall take. Nobody else can open that database as long as
/// this is kept. Dropping it leaves everything as it was.
#[derive(Debug)]
pub struct StagedRestore {
    database: PathBuf,
    staged: PathBuf,
    _lock: File,
}

impl StagedRestore {
    /// Copies a backup beside the database, which needn't be there, and checks that it is whole and one of quash.
    ///
    /// # Errors
    /// The database is in use, the backup can't be read, isn't one or is damaged, or a newer or another build wrote it.
    pub fn new(backup: &Path, database: &Path) -> Result<Self, OpenError> {
        let lock = lock::take(database)?;
        finish(database).map_err(|error| unusable(database, &error))?;
        let staged =
            Self { database: database.to_owned(), staged: lock::beside(database, STAGED), _lock: lock };
        staged.copy(backup).map_err(|error| unusable(backup, &error))?;
        staged.check(backup)?;
        Ok(staged)
    }

    /// Looks into the database whose place the copy shall take, and leaves it as it is; `None`: there is none. It may be of
    /// another version: what of it can be understood is.
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
        // What SQLite makes to read it isn't part of it. A WAL that was there is, with all that stands in it.
        let made = if had_wal { vec![] } else { vec![wal] };
        let tidied =
            made.iter().chain([&lock::beside(&self.database, SHM)]).try_for_each(|path| lock::remove(path));
        tidied.map_err(|error| unusable(&self.database, &error))?;
        read.map(Some)
    }

    /// Opens the copy, to make it ready. It must be closed before it is put in place.
    ///
    /// # Errors
    /// It can't be used.
    pub fn open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&self.staged, SqliteOptions::default())
    }

    /// Lets the copy take the database's place, and says where that is kept; `None`: there was none. The label, such as
    /// the time, becomes part of its name.
    ///
    /// # Errors
    /// It can't be written. The copy may have been put in place all the same.
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

    /// A copy of a database that was in use may come with a WAL, which belongs to it.
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
        // What is left is removed by whoever opens the database next.
        let _ = clear(&self.database);
    }
}

/// Finishes a restore that was decided, and removes what is left of one that wasn't. Whoever calls this holds the
/// database's lock.
pub(super) fn finish(database: &Path) -> io::Result<()> {
    clear(database)?;
    let Some((decided, label)) = decided(database)? else { return Ok(()) };
    let kept = lock::beside(database, &format!("{ASIDE}{label}"));
    // The WAL belongs to the old database. Beside the new one SQLite would take it for its own.
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
    let conn = super::open_beside(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // A damaged index would leave keys out. The rest of it needn't be whole.
    let sound: Result<String, _> =
        conn.query_row("PRAGMA integrity_check('signing_key')", [], |row| row.get(0));
    let sound = sound.map_err(|error| unusable(database, &error))?;
    if sound != "ok" {
        return Err(unusable(database, &format!("its keys are damaged: {sound}")));
    }
    let read = || Ok(Replaced { end: rows::head(&conn)?.seq, keys: reader::keys(&conn)? });
    read().map_err(|fault: Fault| unusable(database, &format!("{fault:?}")))
}

fn clear(database: &Path) -> io::Result<()> {
    let staged = lock::beside(database, STAGED);
    ["", WAL, SHM, "-journal", ".lock"]
        .iter()
        .try_for_each(|suffix| lock::remove(&lock::beside(&staged, suffix)))
}

/// A copy that shall take the database's place, and its label.
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

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut to = options.open(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}
