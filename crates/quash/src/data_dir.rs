//! The data directory: who may read it, the master key, and which server it belongs to. What is in the database is
//! the store's business.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use quash_core::model::Entropy;
use quash_service::MasterKey;
use zeroize::Zeroizing;

use crate::error::{CommandError, Exit};

/// A directory that holds everything a quash must not lose.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Shows that this process is the one server of its data directory, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct ServerLock {
    _file: File,
}

/// What to do where there is no data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Absent {
    /// Make it.
    Make,
    /// There is nothing to look at.
    Refuse,
}

/// Longer than any master key file, white space included.
const MASTER_KEY_BYTES: u64 = 256;

impl DataDir {
    /// The directory at `path`; `true` beside it where it was made just now, with mode 0700.
    ///
    /// # Errors
    /// It isn't there and shouldn't be made, can't be made, or others may write into it.
    pub(crate) fn open(path: PathBuf, absent: Absent) -> Result<(Self, bool), CommandError> {
        let shown = path.display().to_string();
        let cannot = |error: &io::Error| CommandError::failure(format!("the data directory {shown} cannot be used: {error}"));
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => {
                Err(CommandError::failure(format!("{shown} is not a directory")).hint("name another with --data-dir"))
            }
            Ok(metadata) if metadata.permissions().mode() & 0o022 != 0 => {
                let message = format!("the data directory {shown} can be written by other users");
                Err(CommandError::failure(message).hint(format!("chmod 700 {shown}, or name a directory of its own inside it")))
            }
            Ok(_) => Ok((Self { path }, false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match absent {
                Absent::Refuse => Err(CommandError::new(Exit::NotFound, format!("there is no data directory at {shown}"))
                    .hint("name it with --data-dir or QUASH_DATA_DIR; `quash serve` and `quash account add` make a new one")),
                Absent::Make => {
                    DirBuilder::new().mode(0o700).recursive(true).create(&path).map_err(|error| cannot(&error))?;
                    Ok((Self { path }, true))
                }
            },
            Err(error) => Err(cannot(&error)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("quash.db")
    }

    /// Makes this process the one server of the directory.
    ///
    /// # Errors
    /// Another one is.
    pub(crate) fn lock_for_server(&self) -> Result<ServerLock, CommandError> {
        let path = self.path.join("control.lock");
        let unusable = |error: io::Error| CommandError::failure(format!("{} cannot be used: {error}", path.display()));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(ServerLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(CommandError::new(Exit::InUse, format!("another quash serves the data directory {}", self.path.display()))
                    .hint("stop it first, or give this one a directory of its own with --data-dir"))
            }
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Where the master key is.
    pub(crate) fn master_key_path(&self) -> PathBuf {
        self.path.join("master.key")
    }

    /// The master key, if its file is there.
    ///
    /// # Errors
    /// Others may read the file, or it isn't a master key.
    pub(crate) fn master_key(&self) -> Result<Option<MasterKey>, CommandError> {
        let path = self.master_key_path();
        let shown = path.display();
        let unreadable = |error: io::Error| CommandError::failure(format!("the master key {shown} cannot be read: {error}"));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            let message = format!("the master key {shown} can be read by other users (mode {:04o})", mode & 0o7777);
            return Err(CommandError::failure(message)
                .hint(format!("chmod 600 {shown}; and if others may have read it, what it protects is no secret any more")));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MASTER_KEY_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        let fault = |fault| CommandError::failure(format!("the master key {shown} {fault}")).hint("put back the file that quash made");
        MasterKey::parse(&text).map(Some).map_err(fault)
    }

    /// Makes a master key. A file that stands there meanwhile is never overwritten, and a half-written one is never
    /// seen.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn make_master_key(&self, entropy: &dyn Entropy) -> Result<MasterKey, CommandError> {
        let key = MasterKey::new(entropy);
        let path = self.master_key_path();
        self.write_master_key(&key, &path)
            .map(|()| key)
            .map_err(|error| CommandError::failure(format!("the master key {} cannot be written: {error}", path.display())))
    }

    fn write_master_key(&self, key: &MasterKey, path: &Path) -> io::Result<()> {
        let new = self.path.join("master.key.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(key.to_text().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::hard_link(&new, path)?;
        fs::remove_file(&new)?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::Seeded;

    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let room = tempfile::tempdir().expect("a temporary directory");
        let (data_dir, made) = DataDir::open(room.path().join("a/b"), Absent::Make).expect("a new directory");
        assert!(made);
        (room, data_dir)
    }

    #[test]
    fn a_new_directory_is_private_and_a_missing_one_can_be_refused() {
        let (room, data_dir) = fresh();
        assert_eq!(fs::metadata(data_dir.path()).expect("it is there").permissions().mode() & 0o7777, 0o700);
        let refused = DataDir::open(room.path().join("c"), Absent::Refuse).expect_err("it isn't there");
        assert_eq!(refused.exit, Exit::NotFound);
        fs::set_permissions(data_dir.path(), fs::Permissions::from_mode(0o770)).expect("it is ours");
        let refused = DataDir::open(data_dir.path().to_owned(), Absent::Make).expect_err("others may write");
        assert!(refused.hint.is_some_and(|hint| hint.starts_with("chmod 700 ")));
    }

    #[test]
    fn a_master_key_is_made_once_and_kept_private() {
        let (_room, data_dir) = fresh();
        assert!(data_dir.master_key().expect("no fault").is_none());
        let key = data_dir.make_master_key(&Seeded::new(1)).expect("it can be written");
        let path = data_dir.master_key_path();
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        let again = data_dir.master_key().expect("no fault").expect("it is there");
        assert_eq!(*again.to_text(), *key.to_text());
        assert!(data_dir.make_master_key(&Seeded::new(2)).is_err(), "never overwritten");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        let refused = data_dir.master_key().expect_err("others may read it");
        assert!(refused.message.contains("0640") && refused.hint.is_some_and(|hint| hint.starts_with("chmod 600 ")));
    }

    #[test]
    fn one_server_at_a_time() {
        let (_room, data_dir) = fresh();
        let lock = data_dir.lock_for_server().expect("nobody has it");
        assert_eq!(data_dir.lock_for_server().expect_err("taken").exit, Exit::InUse);
        drop(lock);
        assert!(data_dir.lock_for_server().is_ok());
    }
}
