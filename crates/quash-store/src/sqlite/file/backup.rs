//! Takes backups: copies a consistent snapshot of a database in use. `restore.rs` restores them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use quash_core::model::Seq;
use rusqlite::{OpenFlags, named_params};

use super::lock;
use crate::BackupError;
use crate::sqlite::rows;

/// Copies the database at `database` to a new file at `to`, and returns the number up to which the copy
/// contains the log. The file at `to` stays empty until the complete copy is durable; the copy is built in a
/// second file in the same directory.
pub(in crate::sqlite) fn back_up(database: &Path, to: &Path) -> Result<Seq, BackupError> {
    let reserved = reserve(to)?;
    let copied = copy(database, to);
    drop(reserved);
    if copied.is_err() {
        // Only this backup has written to these files.
        let _ = fs::remove_file(partial(to));
        let _ = fs::remove_file(to);
    }
    copied
}

fn copy(database: &Path, to: &Path) -> Result<Seq, BackupError> {
    let unusable = |detail: &dyn std::fmt::Display| unusable(to, detail);
    let partial = partial(to);
    let io = |error: io::Error| unusable(&error);
    lock::remove(&partial).map_err(io)?;
    lock::create_private(&partial).map_err(io)?;
    // One statement sees one snapshot of the database. As a reader it doesn't block writes.
    let text = partial.to_str().ok_or_else(|| unusable(&"the path isn't UTF-8"))?;
    let conn = crate::sqlite::open_beside(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| unusable(&error))?;
    conn.execute("VACUUM INTO :path", named_params! { ":path": text }).map_err(|error| unusable(&error))?;
    drop(conn);
    let copied = crate::sqlite::open_beside(&partial, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| unusable(&error))?;
    let seq = rows::head(&copied).map_err(|fault| unusable(&format!("{fault:?}")))?.seq;
    drop(copied);
    // SQLite doesn't sync the copy to disk.
    File::open(&partial).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&partial, to).map_err(io)?;
    lock::sync_directory_of(to).map_err(io)?;
    Ok(seq)
}

/// Reserves the name, so that no existing file is overwritten.
fn reserve(to: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: to.display().to_string() },
        _ => unusable(to, &error),
    })
}

fn partial(to: &Path) -> PathBuf {
    lock::beside(to, ".partial")
}

fn unusable(path: &Path, detail: &dyn std::fmt::Display) -> BackupError {
    BackupError::Unusable { path: path.display().to_string(), detail: detail.to_string() }
}
