//! Checks of the data directory and its files.

use std::time::Duration;

use super::{EngineKind, Facts, FileEntry, FileFacts, FileKind, Verdict, listed, span};

const MIB: u64 = 1024 * 1024;
/// Less than this doesn't last for a day.
const NO_SPACE: u64 = 100 * MIB;
const LITTLE_SPACE: u64 = 1024 * MIB;
/// Four times the size at which the log is moved into the database.
const LARGE_WAL: u64 = 256 * MIB;
const BACKUP_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);

/// The permissions that users who aren't meant have, with these bits for the group and for others.
fn open_to_others(facts: &FileFacts, mode: u32, bits: u32) -> bool {
    let group = if facts.group_access { 0 } else { bits << 3 };
    mode & (bits | group) != 0
}

/// The files of a kind that others may access, with their modes.
fn open_files(facts: &FileFacts, kind: FileKind, bits: u32) -> Vec<String> {
    let is_open = |file: &&FileEntry| file.kind == kind && open_to_others(facts, file.mode, bits);
    facts.files.iter().filter(is_open).map(|file| format!("{} (mode {:04o})", file.path, file.mode)).collect()
}

fn judge_mode(facts: &Facts, kind: FileKind, bits: u32, reason: &'static str, mode: &str) -> Option<Verdict> {
    let open = open_files(facts.files.as_ref()?, kind, bits);
    if open.is_empty() {
        return Some(Verdict::Fine);
    }
    let verb = if bits == 0o2 { "write" } else { "access" };
    Some(Verdict::problem(
        format!("other users may {verb} {}", listed(open.iter().map(String::as_str))),
        reason,
        format!(
            "chmod {mode} them; on a volume that a group must have access to, set storage.group_access = true"
        ),
    ))
}

pub(super) fn directory_mode(facts: &Facts) -> Option<Verdict> {
    let files = facts.files.as_ref()?;
    let FileFacts { directory, directory_mode, .. } = files;
    let finding = |verb: &str| {
        format!("other users may {verb} the data directory {directory} (mode {directory_mode:04o})")
    };
    let remedy = format!("chmod 700 {directory}");
    Some(if open_to_others(files, *directory_mode, 0o2) {
        Verdict::problem(
            finding("write to"),
            "they can replace the database and the master key; the server refuses to start",
            remedy,
        )
    } else if open_to_others(files, *directory_mode, 0o5) {
        Verdict::warning(
            finding("read"),
            "they see file names and sizes, and read any file that is open to them",
            remedy,
        )
    } else {
        Verdict::Fine
    })
}

pub(super) fn master_key_mode(facts: &Facts) -> Option<Verdict> {
    judge_mode(
        facts,
        FileKind::MasterKey,
        0o7,
        "the master key decrypts all signing keys: a user who has read it and the database can sign tokens of any user",
        "600",
    )
}

pub(super) fn data_mode(facts: &Facts) -> Option<Verdict> {
    const REASON: &str = "they hold addresses and password hashes of all users, and the ends of sessions";
    judge_mode(facts, FileKind::Data, 0o7, REASON, "600")
}

pub(super) fn socket_mode(facts: &Facts) -> Option<Verdict> {
    const REASON: &str =
        "a user who may open the control socket may run every command, such as a change of any password";
    judge_mode(facts, FileKind::Socket, 0o7, REASON, "600")
}

pub(super) fn settings_mode(facts: &Facts) -> Option<Verdict> {
    const REASON: &str = "they choose the settings of the next start, such as trusted keys of other issuers";
    judge_mode(facts, FileKind::Settings, 0o2, REASON, "go-w")
}

pub(super) fn owner(facts: &Facts) -> Option<Verdict> {
    let files = facts.files.as_ref()?;
    let others: Vec<_> =
        files.files.iter().filter(|file| file.has_other_owner).map(|file| &*file.path).collect();
    if others.is_empty() {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("{} belong to another user than {}", listed(others), files.directory),
        "the server, which runs as the owner of the directory, may be unable to read or replace them",
        "chown them to the owner of the directory",
    ))
}

pub(super) fn file_system(facts: &Facts) -> Option<Verdict> {
    let Some(kind) = &facts.files.as_ref()?.risky_file_system else { return Some(Verdict::Fine) };
    Some(Verdict::warning(
        format!("the data directory is on {kind}"),
        "locks and flushes of a network file system are not reliable enough for SQLite, and memory loses everything \
         when the machine restarts",
        "move the data directory to a local disk, or use PostgreSQL",
    ))
}

pub(super) fn disk_space(facts: &Facts) -> Option<Verdict> {
    let FileFacts { free_bytes, disk_bytes, directory, .. } = facts.files.as_ref()?;
    let finding = || {
        format!("{} MiB of {} MiB are free on the disk of {directory}", free_bytes / MIB, disk_bytes / MIB)
    };
    const REASON: &str = "on a full disk, all sign-ins, refreshes and log-outs are refused";
    const REMEDY: &str = "free space, or enlarge the disk";
    Some(if *free_bytes < NO_SPACE {
        Verdict::problem(finding(), REASON, REMEDY)
    } else if *free_bytes < LITTLE_SPACE {
        Verdict::warning(finding(), REASON, REMEDY)
    } else {
        Verdict::Fine
    })
}

pub(super) fn wal_size(facts: &Facts) -> Option<Verdict> {
    let bytes = facts.files.as_ref()?.wal_bytes.unwrap_or(0);
    if bytes <= LARGE_WAL {
        return Some(Verdict::Fine);
    }
    Some(Verdict::warning(
        format!("SQLite's write-ahead log has {} MiB", bytes / MIB),
        "the server moves it into the database at 64 MiB, unless another process reads the database all the time",
        "end other programs that have quash.db open, such as sqlite3, and copy it with `quash backup` alone",
    ))
}

pub(super) fn backup_age(facts: &Facts) -> Option<Verdict> {
    if facts.settings.as_ref()?.engine != EngineKind::Sqlite {
        return Some(Verdict::Fine);
    }
    const REASON: &str = "without a backup, a failed disk loses all accounts";
    const REMEDY: &str = "run `quash backup FILE` each day, and copy the file to another machine";
    Some(match &facts.stored()?.backup {
        None => Verdict::warning("no backup is recorded", REASON, REMEDY),
        Some(backup) if backup.age > BACKUP_EVERY => {
            Verdict::warning(format!("the last backup is {} old", span(backup.age)), REASON, REMEDY)
        }
        Some(_) => Verdict::Fine,
    })
}

pub(super) fn backup_place(facts: &Facts) -> Option<Verdict> {
    let Some(backup) = facts.files.as_ref()?.backup.as_ref().filter(|backup| backup.is_in_data_dir) else {
        return Some(Verdict::Fine);
    };
    Some(Verdict::warning(
        format!("the last backup, {}, is in the data directory", backup.path),
        "it is lost together with the database",
        "write backups to another disk or machine",
    ))
}

pub(super) fn backup_key(facts: &Facts) -> Option<Verdict> {
    let found = facts.files.as_ref()?.backup.as_ref();
    let Some(backup) = found.filter(|backup| backup.is_beside_key && !backup.is_in_data_dir) else {
        return Some(Verdict::Fine);
    };
    Some(Verdict::warning(
        format!("a master key is in the directory of the last backup, {}", backup.path),
        "a thief of that directory has everything: the master key decrypts the signing keys in the backup",
        "keep the copy of the master key in another place than backups",
    ))
}

pub(super) fn epoch(facts: &Facts) -> Option<Verdict> {
    let (noted, head) = (facts.files.as_ref()?.noted_seq, facts.stored()?.head);
    let Some(noted) = noted.filter(|noted| *noted > head) else { return Some(Verdict::Fine) };
    Some(Verdict::problem(
        format!("the log ends at {head}, and had reached {noted}"),
        "the database was replaced with an older copy: revocations are missing, and ended sessions may be live",
        "restart the server, which begins a new epoch and ends all sessions",
    ))
}
