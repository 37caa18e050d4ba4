//! The database's files: their permissions, and the lock that excludes a second process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::OpenError;

/// The attempts to take the lock, with a pause between them: a one-shot command may hold it briefly.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Takes the database's lock file. The lock holds until the file is dropped, or the process ends in any way.
pub(super) fn take(path: &Path) -> Result<File, OpenError> {
    let beside = lock_path(path);
    let file = create_private(&beside).map_err(|error| super::unusable(&beside, &error))?;
    for tried in 0..=TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if tried < TRIES => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(super::unusable(&beside, &error)),
        }
    }
    Err(OpenError::InUse { store: path.display().to_string() })
}

/// Opens a file for writing. Only the owner may read a new file. SQLite gives its own files for the database
/// the same mode.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Returns `quash.db.lock` for `quash.db`.
fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// Returns the path with a suffix appended to its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file, if it exists.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs a file's directory, so that the file's creation, renaming or removal is durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}
