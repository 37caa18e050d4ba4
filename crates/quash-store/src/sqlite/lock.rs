//! The files of a database: who may read them, and the lock that keeps a second process out. What is in them is
//! SQLite's business.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::OpenError;

/// A one-shot command may hold the lock for a moment: so often is it tried, with so much time between.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Takes the lock beside the database. It holds until the file is dropped, or the process ends in whatever way.
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
    Err(OpenError::InUse { path: path.display().to_string() })
}

/// Opens a file for writing; one that is made now can be read by its owner only. SQLite gives the same mode to the
/// files that it makes beside it.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// `quash.db.lock` beside `quash.db`.
fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// The file beside another whose name goes on with this.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The directory that a file is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes what has become of a file's name durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}
