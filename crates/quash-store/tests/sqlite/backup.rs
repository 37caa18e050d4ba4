//! Backups and restores: the copied data, refusals, and the state after a crash.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use quash_core::model::{Change, KeyState, ScopeKind};
use quash_store::{
    BackupError, OpenError, Replaced, SqliteOptions, SqliteStore, StagedRestore, Store, StoreFile,
};
use rusqlite::Connection;

use crate::support::*;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).expect("a store")
}

async fn revoke(store: &dyn Store, n: u8) {
    commit(store, Change::Revoke { entry: entry(ScopeKind::Token, n) }).await;
}

/// A database with one entry that isn't in its backup.
async fn gone_on(room: &Path) {
    let store = open(&room.join("quash.db"));
    revoke(&store, 1).await;
    store.back_up(&room.join("backup")).await.expect("a backup");
    revoke(&store, 2).await;
}

fn names(room: &Path) -> Vec<String> {
    let entries = fs::read_dir(room).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn backups_are_complete_and_private() {
    let room = tempfile::tempdir().expect("a directory");
    let (database, backup) = (room.path().join("quash.db"), room.path().join("backup"));
    let store = open(&database);
    two_sessions(&store).await;
    revoke(&store, 1).await;
    assert_eq!(store.back_up(&backup).await, Ok(head(&store).await));
    let there = everything(&store).await;
    revoke(&store, 2).await;
    assert_eq!(fs::metadata(&backup).expect("it is there").permissions().mode() & 0o7777, 0o600);
    assert_eq!(names(room.path()).iter().filter(|name| name.starts_with("backup")).count(), 1);
    assert_eq!(everything(&open(&backup)).await, there);
}

#[tokio::test]
async fn backups_overwrite_nothing_and_clean_up() {
    let room = tempfile::tempdir().expect("a directory");
    let store = open(&room.path().join("quash.db"));
    let taken = room.path().join("taken");
    fs::write(&taken, "something else").expect("it is ours");
    assert!(matches!(store.back_up(&taken).await, Err(BackupError::Exists { .. })));
    assert_eq!(fs::read_to_string(&taken).expect("it is there"), "something else");
    assert!(matches!(
        store.back_up(&room.path().join("no/such/place")).await,
        Err(BackupError::Unusable { .. })
    ));
    // A directory in the copy's place can't be removed like a file.
    fs::create_dir(room.path().join("copy.partial")).expect("it is ours");
    assert!(matches!(store.back_up(&room.path().join("copy")).await, Err(BackupError::Unusable { .. })));
    assert!(!room.path().join("copy").exists());
}

#[tokio::test]
async fn restores_replace_and_keep_the_old_database() {
    let room = tempfile::tempdir().expect("a directory");
    gone_on(room.path()).await;
    let database = room.path().join("quash.db");
    let old = everything(&open(&database)).await;
    let staged = StagedRestore::new(&room.path().join("backup"), &database).expect("a backup");
    assert!(matches!(SqliteStore::open(&database, SqliteOptions::default()), Err(OpenError::InUse { .. })));
    revoke(&staged.open().expect("a store"), 3).await;
    let new = everything(&staged.open().expect("a store")).await;
    let kept = staged.put_in_place("then").expect("it is put in place").expect("there was one");
    assert_eq!(kept, room.path().join("quash.db.before-restore-then"));
    assert_eq!(names(room.path()), ["backup", "quash.db", "quash.db.before-restore-then", "quash.db.lock"]);
    assert_eq!(fs::metadata(&database).expect("it is there").permissions().mode() & 0o7777, 0o600);
    assert_eq!(everything(&open(&database)).await, new);
    assert_eq!(everything(&open(&kept)).await, old);
}

#[tokio::test]
async fn replaced_databases_report_keys_and_stay_unchanged() {
    let room = tempfile::tempdir().expect("a directory");
    gone_on(room.path()).await;
    let (database, wal) = (room.path().join("quash.db"), room.path().join("quash.db-wal"));
    let key = key("first", KeyState::Revoked { at: NOW }, at(1));
    let store = open(&database);
    commit(&store, Change::AddRevokedKey { key: key.clone(), entry: entry(ScopeKind::Key, 3) }).await;
    let end = head(&store).await;
    // As a kill leaves it: the last writes are in the WAL.
    let files = [&database, &wal].map(|file| fs::read(file).expect("it is there"));
    drop(store);
    let known = Some(Replaced { end, keys: vec![key] });
    let staged = || StagedRestore::new(&room.path().join("backup"), &database).expect("a backup");
    assert!(!wal.exists());
    let before = (names(room.path()), fs::read(&database).expect("it is there"));
    assert_eq!(staged().replaced().expect("it can be read"), known);
    assert_eq!((names(room.path()), fs::read(&database).expect("it is there")), before);
    for (file, bytes) in [&database, &wal].into_iter().zip(&files) {
        fs::write(file, bytes).expect("it is ours");
    }
    let before = names(room.path());
    assert_eq!(staged().replaced().expect("it can be read"), known);
    assert_eq!(names(room.path()), before);
    assert_eq!([&database, &wal].map(|file| fs::read(file).expect("it is there")), files);
}

#[tokio::test]
async fn replaced_databases_may_be_missing_or_broken() {
    let room = tempfile::tempdir().expect("a directory");
    gone_on(room.path()).await;
    let (database, backup) = (room.path().join("quash.db"), room.path().join("backup"));
    let whole = fs::read(&database).expect("it is there");
    let mut torn = whole.clone();
    torn.truncate(4096);
    let mut no_keys = whole;
    no_keys[4096..].fill(0xff);
    for bytes in [Vec::new(), b"no database".repeat(100), torn, no_keys] {
        fs::write(&database, &bytes).expect("it is ours");
        let staged = StagedRestore::new(&backup, &database).expect("a backup");
        assert!(matches!(staged.replaced(), Err(OpenError::Unusable { .. })));
        assert_eq!(fs::read(&database).expect("it is there"), bytes);
        staged.put_in_place(&bytes.len().to_string()).expect("it is put in place");
    }
    fs::remove_file(&database).expect("it is ours");
    for suffix in ["-wal", "-shm"] {
        assert!(!room.path().join(format!("quash.db{suffix}")).exists());
    }
    let staged = StagedRestore::new(&backup, &database).expect("a backup");
    assert_eq!(staged.replaced().expect("no fault"), None);
    assert_eq!(staged.put_in_place("then").expect("it is put in place"), None);
}

/// SQLite would read the keys ordered by age and find none.
#[tokio::test]
async fn damaged_indexes_hide_no_replaced_keys() {
    let room = tempfile::tempdir().expect("a directory");
    gone_on(room.path()).await;
    let (database, backup) = (room.path().join("quash.db"), room.path().join("backup"));
    let store = open(&database);
    let key = key("first", KeyState::Revoked { at: NOW }, at(1));
    commit(&store, Change::AddRevokedKey { key, entry: entry(ScopeKind::Key, 3) }).await;
    drop(store);
    let page: u32 = Connection::open(&database)
        .and_then(|conn| {
            conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'signing_key_age'", [], |row| {
                row.get(0)
            })
        })
        .expect("it is there");
    let mut bytes = fs::read(&database).expect("it is there");
    // An index leaf page without content.
    bytes[(page as usize - 1) * 4096..][..8].copy_from_slice(&[10, 0, 0, 0, 0, 0x10, 0, 0]);
    fs::write(&database, &bytes).expect("it is ours");
    let staged = StagedRestore::new(&backup, &database).expect("a backup");
    let refused = staged.replaced().expect_err("it is damaged");
    assert!(refused.to_string().contains("its keys are damaged"), "{refused}");
}

#[tokio::test]
async fn committed_restores_finish_on_the_next_open() {
    let room = tempfile::tempdir().expect("a directory");
    gone_on(room.path()).await;
    let database = room.path().join("quash.db");
    let (old, new) =
        (everything(&open(&database)).await, everything(&open(&room.path().join("backup"))).await);
    let decided = room.path().join("quash.db.restored-then");
    let kept = room.path().join("quash.db.before-restore-then");
    // The process ended right after the restore was committed, and once more after the old database was
    // moved.
    fs::copy(room.path().join("backup"), &decided).expect("it is ours");
    fs::write(room.path().join("quash.db-wal"), "of the old one").expect("it is ours");
    assert_eq!(everything(&open(&database)).await, new);
    assert_eq!(
        fs::read_to_string(room.path().join("quash.db.before-restore-then-wal")).expect("it is kept"),
        "of the old one"
    );
    fs::remove_file(room.path().join("quash.db.before-restore-then-wal")).expect("it is ours");
    assert_eq!(everything(&open(&kept)).await, old);
    fs::rename(&database, &decided).expect("it is ours");
    assert_eq!(everything(&open(&database)).await, new);
    assert_eq!(everything(&open(&kept)).await, old);
}

#[tokio::test]
async fn abandoned_restores_change_nothing() {
    let room = tempfile::tempdir().expect("a directory");
    gone_on(room.path()).await;
    let database = room.path().join("quash.db");
    let old = everything(&open(&database)).await;
    let before = names(room.path());
    let staged = StagedRestore::new(&room.path().join("backup"), &database).expect("a backup");
    revoke(&staged.open().expect("a store"), 3).await;
    drop(staged);
    assert_eq!(names(room.path()), before);
    assert_eq!(everything(&open(&database)).await, old);
    // The leftovers of a killed restore are no obstacle, and the next process removes them.
    let leave_half_of_it = || {
        for suffix in ["", "-wal", "-shm", ".lock"] {
            fs::write(room.path().join(format!("quash.db.restoring{suffix}")), "half of it")
                .expect("it is ours");
        }
    };
    leave_half_of_it();
    assert_eq!(everything(&open(&database)).await, old);
    assert_eq!(names(room.path()), before);
    leave_half_of_it();
    let staged = StagedRestore::new(&room.path().join("backup"), &database).expect("a backup");
    staged.put_in_place("then").expect("it is put in place");
}

#[tokio::test]
async fn copies_with_a_wal_are_restored() {
    let room = tempfile::tempdir().expect("a directory");
    let copy = room.path().join("copy");
    let store = open(&room.path().join("quash.db"));
    revoke(&store, 1).await;
    for suffix in ["", "-wal"] {
        fs::copy(room.path().join(format!("quash.db{suffix}")), room.path().join(format!("copy{suffix}")))
            .expect("it is ours");
    }
    let there = everything(&store).await;
    drop(store);
    let staged = StagedRestore::new(&copy, &room.path().join("other.db")).expect("a backup");
    assert_eq!(staged.put_in_place("then").expect("it is put in place"), None);
    assert_eq!(everything(&open(&room.path().join("other.db"))).await, there);
}

#[tokio::test]
async fn incomplete_backups_are_refused() {
    let room = tempfile::tempdir().expect("a directory");
    let database = room.path().join("quash.db");
    gone_on(room.path()).await;
    let old = everything(&open(&database)).await;
    let whole = fs::read(room.path().join("backup")).expect("it is there");
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2);
    let mut flipped = whole;
    // A whole page: SQLite has no checksums for contents of a page.
    flipped[8 * 4096..9 * 4096].fill(0xff);
    for bytes in [Vec::new(), b"no database".repeat(100), torn, flipped] {
        let bad = room.path().join("bad");
        fs::write(&bad, &bytes).expect("it is ours");
        let refused = StagedRestore::new(&bad, &database).expect_err("it is no backup");
        assert!(matches!(&refused, OpenError::Unusable { store, .. } if store.ends_with("bad")), "{refused}");
    }
    assert!(matches!(
        StagedRestore::new(&room.path().join("missing"), &database),
        Err(OpenError::Unusable { .. })
    ));
    assert!(matches!(StagedRestore::new(room.path(), &database), Err(OpenError::Unusable { .. })));
    assert_eq!(everything(&open(&database)).await, old);
}
