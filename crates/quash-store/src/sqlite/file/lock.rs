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
pub(in crate::sqlite) fn take(path: &Path) -> Result<File, OpenError> {
    let beside = lock_path(path);
    let file = open_or_create(&beside).map_err(|error| crate::sqlite::unusable(&beside, &error))?;
    for tried in 0..=TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if tried < TRIES => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(crate::sqlite::unusable(&beside, &error)),
        }
    }
    Err(OpenError::InUse { store: path.display().to_string() })
}

/// Opens a file of the database for writing. A new one is shared with the group of its directory. SQLite gives
/// its own files for the database the same mode.
///
/// # Errors
/// It can't be opened or created.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => share_with_group(&file, directory_of(path)).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => create_private(path),
        Err(error) => Err(error),
    }
}

/// Gives the group of a directory access to a new file in it, if that group may write to the directory. Its
/// members may replace the file anyway, and a process of another member must be able to use it. Without
/// permission to give the file to the group, the file stays private.
///
/// # Errors
/// The directory or the file can't be read, or the file's mode can't be changed.
#[cfg(unix)]
pub fn share_with_group(file: &File, directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let shared = fs::metadata(directory)?;
    if shared.mode() & 0o020 == 0 {
        return Ok(());
    }
    if file.metadata()?.gid() != shared.gid() && fchown(file, None, Some(shared.gid())).is_err() {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(0o660))
}

/// Does nothing on systems without groups.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn share_with_group(_file: &File, _directory: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file for writing. Only the owner may read a new file.
pub(in crate::sqlite) fn create_private(path: &Path) -> io::Result<File> {
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
pub(in crate::sqlite) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file, if it exists.
pub(in crate::sqlite) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(in crate::sqlite) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs a file's directory, so that the file's creation, renaming or removal is durable.
pub(in crate::sqlite) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn new_files_are_shared_in_group_directories_only() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours")
        };
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
        for (directory, expected) in [(0o700, 0o600), (0o750, 0o600), (0o2770, 0o660), (0o770, 0o660)] {
            set(dir.path(), directory);
            let path = dir.path().join(format!("{directory:o}"));
            open_or_create(&path).expect("it is ours");
            assert_eq!(mode(&path), expected, "in {directory:o}");
            set(&path, 0o640);
            open_or_create(&path).expect("it is ours");
            assert_eq!(mode(&path), 0o640, "an existing file keeps its mode");
        }
    }
}
