//! The data directory: its permissions, the master key, and the lock of the server that uses it.
//! `quash-store` handles the database in it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use quash_core::model::Entropy;
use quash_service::MasterKey;
use quash_store::{open_or_create, share_with_group};
use rustix::process::geteuid;
use zeroize::Zeroizing;

use crate::control::user_name;
use crate::error::{CommandError, Exit};

/// The directory with everything that an installation of quash must not lose.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    group: GroupAccess,
}

/// The access of the data directory's group, set by `storage.group_access`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum GroupAccess {
    /// Only the owner has access.
    #[default]
    Refused,
    /// The group may read and write the directory and the files in it.
    Allowed,
}

/// The lock that makes this process the only server of its data directory, until it is dropped.
#[derive(Debug)]
pub(crate) struct ServerLock {
    _file: File,
}

/// The action to take if the data directory is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IfMissing {
    /// Create it.
    Create,
    /// Fail with [`Exit::NotFound`].
    Refuse,
}

/// Longer than any master key file, white space included.
const MASTER_KEY_BYTES: u64 = 256;

impl DataDir {
    /// Opens the directory at `path`. The flag is `true` if it was created just now, with mode 0700.
    ///
    /// # Errors
    /// It is missing and `if_missing` is [`IfMissing::Refuse`], it can't be created, or users without permission may
    /// write into it.
    pub(crate) fn open(
        path: PathBuf,
        if_missing: IfMissing,
        group: GroupAccess,
    ) -> Result<(Self, bool), CommandError> {
        let shown = path.display().to_string();
        let cannot = |error: &io::Error| {
            CommandError::failure(format!("the data directory {shown} cannot be used: {error}"))
        };
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => {
                Err(CommandError::failure(format!("{shown} is not a directory")).hint("name another with --data-dir"))
            }
            Ok(metadata) if metadata.permissions().mode() & 0o002 != 0 => {
                let message = format!("the data directory {shown} is writable by other users");
                Err(CommandError::failure(message).hint(format!("chmod 700 {shown}, or use a directory of its own inside it")))
            }
            Ok(metadata) if metadata.permissions().mode() & group.forbidden(0o020) != 0 => {
                let message = format!("the data directory {shown} is writable by its group");
                Err(CommandError::failure(message).hint(format!(
                    "chmod 700 {shown}, or use a directory of its own inside it; on a volume that a group must have access to, \
                     such as one with fsGroup in Kubernetes, set storage.group_access = true"
                )))
            }
            Ok(_) => Ok((Self { path, group }, false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match if_missing {
                IfMissing::Refuse => Err(CommandError::new(Exit::NotFound, format!("there is no data directory at {shown}"))
                    .hint("name it with --data-dir or QUASH_DATA_DIR; `quash serve` and `quash account add` create a new one")),
                IfMissing::Create => {
                    DirBuilder::new().mode(0o700).recursive(true).create(&path).map_err(|error| cannot(&error))?;
                    Ok((Self { path, group }, true))
                }
            },
            Err(error) => Err(cannot(&error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("quash.db")
    }

    /// Refuses to work as root on files of another user: the server, which runs as that user, could not read
    /// the files that root makes or replaces. A root process that followed links in that user's directory
    /// would be unsafe, too.
    ///
    /// # Errors
    /// This process runs as root, and the database or, where there is none, the directory belongs to another
    /// user.
    pub(crate) fn check_owner(&self) -> Result<(), CommandError> {
        let owned = fs::metadata(self.database()).or_else(|_| fs::metadata(&self.path));
        // An error here is ignored: opening the files reports it again.
        let owner = owned.map_or(0, |metadata| metadata.uid());
        if !geteuid().is_root() || owner == 0 {
            return Ok(());
        }
        let user = user_name(owner).unwrap_or_else(|| format!("'#{owner}'"));
        let shown = self.path.display();
        let message = format!(
            "root must not work on the data directory {shown}: it belongs to {user}, who could not read new files of root"
        );
        Err(CommandError::failure(message)
            .hint(format!("run the command as that user: sudo -u {user} quash ...")))
    }

    /// Takes the lock that makes this process the only server of the directory.
    ///
    /// # Errors
    /// Another process holds the lock, or this process must not create files there.
    pub(crate) fn lock_for_server(&self) -> Result<ServerLock, CommandError> {
        self.check_owner()?;
        let path = self.path.join("control.lock");
        let unusable =
            |error: io::Error| CommandError::failure(format!("{} cannot be used: {error}", path.display()));
        let file = open_or_create(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(ServerLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(CommandError::new(
                Exit::InUse,
                format!("another quash serves the data directory {}", self.path.display()),
            )
            .hint("stop it first, or give this one a directory of its own with --data-dir")),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    pub(crate) fn master_key_path(&self) -> PathBuf {
        self.path.join("master.key")
    }

    /// Reads the master key; `None`: there is no such file.
    ///
    /// # Errors
    /// Other users may read the file, or it doesn't hold a master key.
    pub(crate) fn master_key(&self) -> Result<Option<MasterKey>, CommandError> {
        let path = self.master_key_path();
        let shown = path.display();
        let unreadable = |error: io::Error| {
            CommandError::failure(format!("the master key {shown} cannot be read: {error}"))
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & (0o007 | self.group.forbidden(0o070)) != 0 {
            let message =
                format!("the master key {shown} is readable by other users (mode {:04o})", mode & 0o7777);
            return Err(CommandError::failure(message).hint(format!(
                "chmod 600 {shown}; if another user may have read it, treat what it protects as disclosed; on a volume that a \
                     group must have access to, set storage.group_access = true"
            )));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MASTER_KEY_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        let fault = |fault| {
            CommandError::failure(format!("the master key {shown} {fault}"))
                .hint("restore the file that quash created")
        };
        MasterKey::parse(&text).map(Some).map_err(fault)
    }

    /// Reads the master key of data that exists. `hint` says which one to put there if it is missing.
    ///
    /// # Errors
    /// There is no such file, or as for [`DataDir::master_key`].
    pub(crate) fn existing_master_key(&self, hint: &str) -> Result<MasterKey, CommandError> {
        self.master_key()?.ok_or_else(|| {
            let shown = self.master_key_path();
            CommandError::failure(format!("the master key {} is missing", shown.display())).hint(hint)
        })
    }

    /// Creates a master key file. A file that another process created meanwhile is never overwritten, and a
    /// half-written file never becomes visible.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn make_master_key(&self, entropy: &dyn Entropy) -> Result<MasterKey, CommandError> {
        let key = MasterKey::new(entropy);
        let path = self.master_key_path();
        self.write_master_key(&key, &path).map(|()| key).map_err(|error| {
            CommandError::failure(format!("the master key {} cannot be written: {error}", path.display()))
        })
    }

    fn write_master_key(&self, key: &MasterKey, path: &Path) -> io::Result<()> {
        let new = self.path.join("master.key.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        share_with_group(&file, &self.path)?;
        file.write_all(key.to_text().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::hard_link(&new, path)?;
        fs::remove_file(&new)?;
        File::open(&self.path)?.sync_all()
    }
}

impl GroupAccess {
    /// Returns those of `bits` that the mode of a file or directory must not have.
    const fn forbidden(self, bits: u32) -> u32 {
        match self {
            Self::Refused => bits,
            Self::Allowed => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::Seeded;

    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (data_dir, made) = DataDir::open(dir.path().join("a/b"), IfMissing::Create, GroupAccess::Refused)
            .expect("a new directory");
        assert!(made);
        (dir, data_dir)
    }

    #[test]
    fn new_directories_are_private_and_missing_ones_refusable() {
        let (dir, data_dir) = fresh();
        assert_eq!(fs::metadata(data_dir.path()).expect("it is there").permissions().mode() & 0o7777, 0o700);
        let refused = DataDir::open(dir.path().join("c"), IfMissing::Refuse, GroupAccess::Refused)
            .expect_err("it isn't there");
        assert_eq!(refused.exit, Exit::NotFound);
        fs::set_permissions(data_dir.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        for group in [GroupAccess::Refused, GroupAccess::Allowed] {
            let refused = DataDir::open(data_dir.path().to_owned(), IfMissing::Create, group)
                .expect_err("others may write");
            assert!(refused.hint.is_some_and(|hint| hint.starts_with("chmod 700 ")));
        }
    }

    #[test]
    fn group_access_needs_its_setting() {
        let (_dir, data_dir) = fresh();
        data_dir.make_master_key(&Seeded::new(1)).expect("it can be written");
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours")
        };
        let open = |group| {
            DataDir::open(data_dir.path().to_owned(), IfMissing::Refuse, group).map(|(data_dir, _)| data_dir)
        };
        set(&data_dir.master_key_path(), 0o660);
        let refused = open(GroupAccess::Refused)
            .expect("only the key is open")
            .master_key()
            .expect_err("the group may read it");
        assert!(refused.hint.is_some_and(|hint| hint.contains("storage.group_access")));
        set(data_dir.path(), 0o2770);
        let refused = open(GroupAccess::Refused).expect_err("the group may write");
        assert!(refused.hint.is_some_and(|hint| hint.contains("storage.group_access")));
        let allowed = open(GroupAccess::Allowed).expect("as Kubernetes leaves it");
        assert!(allowed.master_key().expect("no fault").is_some());
        fs::remove_file(data_dir.master_key_path()).expect("it is ours");
        allowed.make_master_key(&Seeded::new(2)).expect("it can be written");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!(mode(&allowed.master_key_path()), 0o660, "another member of the group can read it");
        drop(allowed.lock_for_server().expect("no other process holds the lock"));
        assert_eq!(mode(&allowed.path().join("control.lock")), 0o660);
        set(&data_dir.master_key_path(), 0o664);
        assert!(allowed.master_key().is_err(), "other users never get access");
    }

    #[test]
    fn a_master_key_is_created_once_and_private() {
        let (_dir, data_dir) = fresh();
        assert!(data_dir.master_key().expect("no fault").is_none());
        let key = data_dir.make_master_key(&Seeded::new(1)).expect("it can be written");
        let path = data_dir.master_key_path();
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o600);
        let again = data_dir.master_key().expect("no fault").expect("it is there");
        assert_eq!(*again.to_text(), *key.to_text());
        assert!(data_dir.make_master_key(&Seeded::new(2)).is_err(), "never overwritten");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        let refused = data_dir.master_key().expect_err("others may read it");
        assert!(
            refused.message.contains("0640")
                && refused.hint.is_some_and(|hint| hint.starts_with("chmod 600 "))
        );
    }

    #[test]
    fn only_one_server_locks_a_directory() {
        let (_dir, data_dir) = fresh();
        let lock = data_dir.lock_for_server().expect("no other process holds the lock");
        assert_eq!(data_dir.lock_for_server().expect_err("taken").exit, Exit::InUse);
        drop(lock);
        assert!(data_dir.lock_for_server().is_ok());
    }
}
