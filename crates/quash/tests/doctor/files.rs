//! Files, their permissions, and backups.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::{back_up, doctor, found, installed, these};
use crate::support::{Server, sqlite_only};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn files_that_are_open_to_others_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    back_up(&data_dir, dir.path());
    fs::write(data_dir.join("quash.toml"), "").expect("it is ours");
    for (name, mode, check, level) in [
        ("master.key", 0o640, "master_key_mode", "problem"),
        ("quash.db", 0o644, "data_mode", "problem"),
        ("quash.db-wal", 0o604, "data_mode", "problem"),
        ("epoch", 0o644, "data_mode", "problem"),
        ("control.sock", 0o666, "socket_mode", "problem"),
        ("quash.toml", 0o646, "settings_mode", "problem"),
        (".", 0o755, "directory_mode", "warning"),
        (".", 0o777, "directory_mode", "problem"),
    ] {
        let path = data_dir.join(name);
        let before = fs::metadata(&path).expect("it is there").permissions();
        set_mode(&path, mode);
        assert_eq!(found(&doctor(&data_dir, &[])), these(&[(check, level)]), "{name} {mode:o}");
        fs::set_permissions(&path, before).expect("it is ours");
    }
    assert_eq!(found(&doctor(&data_dir, &[])), these(&[]));
    drop(server);
}

#[test]
fn missing_master_keys_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    fs::remove_file(data_dir.join("master.key")).expect("it is ours");
    let finished = doctor(&data_dir, &[]);
    assert_eq!((found(&finished), finished.code()), (these(&[("database", "problem")]), 9));
    assert!(finished.stdout.contains("only it decrypts the secrets"), "{}", finished.stdout);
    assert!(!data_dir.join("master.key").exists(), "none is made");
}

#[test]
fn large_logs_of_sqlite_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    // Zeros aren't a log, so SQLite ignores the content.
    let wal = File::create(data_dir.join("quash.db-wal")).expect("it is ours");
    wal.set_len(257 << 20).expect("a sparse file");
    set_mode(&data_dir.join("quash.db-wal"), 0o600);
    let expected = these(&[("wal_size", "warning"), ("server", "note")]);
    assert_eq!(found(&doctor(&data_dir, &[])), expected);
}

#[test]
fn backups_beside_the_key_and_old_ones_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    let expect = |check: &str| {
        assert_eq!(found(&doctor(&data_dir, &[])), these(&[(check, "warning"), ("server", "note")]));
    };
    fs::copy(data_dir.join("master.key"), dir.path().join("master.key")).expect("it is ours");
    expect("backup_key");
    back_up(&data_dir, &data_dir);
    expect("backup_place");
    // The record of a backup that was moved to another machine remains.
    fs::remove_file(data_dir.join("1.db")).expect("it is ours");
    assert_eq!(found(&doctor(&data_dir, &[])), these(&[("server", "note")]));
    let conn = Connection::open(data_dir.join("quash.db")).expect("a database");
    let old = "UPDATE remembered SET value = json_set(value, '$.at', value ->> 'at' - 8 * 86400000) \
        WHERE name = 'last_backup'";
    assert_eq!(conn.execute(old, []), Ok(1));
    drop(conn);
    expect("backup_age");
}
