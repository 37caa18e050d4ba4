//! Gathers the facts of the data directory and its files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use quash_service::doctor::{BackupFile, FileEntry, FileFacts, FileKind};
use rustix::fs::statvfs;

use crate::data_dir::GroupAccess;
use crate::epoch_file::EpochFile;
use crate::settings::Loaded;

/// The names of the files in a data directory that concern users of this machine.
const NAMES: [(&str, FileKind); 7] = [
    ("master.key", FileKind::MasterKey),
    ("quash.db", FileKind::Data),
    ("quash.db-wal", FileKind::Data),
    ("quash.db-shm", FileKind::Data),
    ("epoch", FileKind::Data),
    ("audit.seal", FileKind::Data),
    ("control.sock", FileKind::Socket),
];

/// Gathers the facts; `None`: the data directory can't be read. The file `epoch` is read here, so that the store,
/// which is read later, can't be behind it.
pub(super) fn gather(directory: &Path, loaded: &Loaded) -> Option<FileFacts> {
    let (metadata, disk) = (fs::metadata(directory).ok()?, statvfs(directory).ok()?);
    let named = NAMES.iter().map(|(name, kind)| (directory.join(name), *kind));
    let files = named.chain(loaded.file.clone().map(|file| (file, FileKind::Settings)));
    Some(FileFacts {
        directory: directory.display().to_string(),
        directory_mode: metadata.permissions().mode() & 0o7777,
        group_access: loaded.settings.group_access == GroupAccess::Allowed,
        files: files.filter_map(|(path, kind)| entry(&path, kind, metadata.uid())).collect(),
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        disk_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        wal_bytes: fs::metadata(directory.join("quash.db-wal")).ok().map(|wal| wal.len()),
        risky_file_system: file_system(directory),
        noted_seq: EpochFile::in_directory(directory).read().ok().flatten().map(|end| end.seq.as_u64()),
        backup: None,
    })
}

fn entry(path: &Path, kind: FileKind, owner: u32) -> Option<FileEntry> {
    let metadata = fs::metadata(path).ok()?;
    Some(FileEntry {
        path: path.display().to_string(),
        kind,
        mode: metadata.permissions().mode() & 0o7777,
        // The settings may belong to root, so that the server can't change them.
        has_other_owner: kind != FileKind::Settings && metadata.uid() != owner,
    })
}

/// Finds a backup; `None`: it isn't at its path any more.
pub(super) fn backup(path: &str, data_dir: &Path) -> Option<BackupFile> {
    let place: PathBuf = fs::canonicalize(path).ok()?.parent()?.to_owned();
    let data_dir = fs::canonicalize(data_dir).ok()?;
    Some(BackupFile {
        path: path.to_owned(),
        is_in_data_dir: place.starts_with(data_dir),
        is_beside_key: place.join("master.key").exists(),
    })
}

/// Names the file system if a database can't rely on it.
#[cfg(target_os = "linux")]
fn file_system(directory: &Path) -> Option<String> {
    use rustix::fs::FsWord;
    // The numbers of statfs(2).
    const RISKY: [(u32, &str); 7] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xfe53_4d42, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0x0102_1997, "9P"),
        (0x0102_1994, "tmpfs, in memory"),
        (0x8584_58f6, "ramfs, in memory"),
    ];
    let found = rustix::fs::statfs(directory).ok()?.f_type;
    let name = RISKY.iter().find(|(number, _)| *number as FsWord == found);
    name.map(|(_, name)| (*name).to_owned())
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<String> {
    None
}
