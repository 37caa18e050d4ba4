//! Backups: a copy of a database as it was at one moment, taken while it is used. The way back is in `restore.rs`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use quash_core::model::Seq;
use rusqlite::OpenFlags;

use super::{lock, rows};
use crate::BackupError;

/// Copies the database at `database` to a new file at `to`, and says up to which number the copy knows the log. What
/// stands at `to` is whole and on the disk once this returns; until then it is empty, and the copy grows beside it.
pub(super) fn back_up(database: &Path, to: &Path) -> Result<Seq, BackupError> {
    let reserved = reserve(to)?;
    let copied = copy(database, to);
    drop(reserved);
    if copied.is_err() {
        // Nobody but this has written there.
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
    // One statement is one look at the database. It is a reader: it keeps nobody from writing.
    let text = partial.to_str().ok_or_else(|| unusable(&"the path isn't UTF-8"))?;
    let conn =
        super::open_beside(database, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| unusable(&error))?;
    conn.execute("VACUUM INTO ?1", [text]).map_err(|error| unusable(&error))?;
    drop(conn);
    let copied =
        super::open_beside(&partial, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| unusable(&error))?;
    let seq = rows::head(&copied).map_err(|fault| unusable(&format!("{fault:?}")))?.seq;
    drop(copied);
    // SQLite leaves the copy to the operating system.
    File::open(&partial).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&partial, to).map_err(io)?;
    lock::sync_directory_of(to).map_err(io)?;
    Ok(seq)
}

/// Takes the name, so that nothing that stands there is overwritten.
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
