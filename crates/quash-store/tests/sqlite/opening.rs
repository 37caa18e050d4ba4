//! Opening a database: the data that is kept, and the refusals.

use std::fs;
use std::path::Path;

use quash_core::model::{AccountBy, AccountFields, Change, Email, Ends, KeySource, KeyState, Seq, Timestamp};
use quash_store::{OpenError, SqliteOptions, SqliteStore, Store, StoreFile};
use rusqlite::Connection;

use crate::support::*;

/// Writes something of every kind.
async fn fill(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, rotate(1, 0)).await;
    commit(store, ends(vec![end(2)])).await;
    commit(store, end_account("dana", 1, Some(survivor(1, 1)))).await;
    commit(store, Change::RaiseLongestLifetime(1000)).await;
}

fn refusal(path: &Path) -> OpenError {
    SqliteStore::open(path, SqliteOptions::default()).expect_err("a refusal")
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = sqlite(directory.path());
    fill(&store).await;
    let before = everything(&store).await;
    let newest = *store.newest().borrow();
    drop(store);
    let names: Vec<_> = fs::read_dir(directory.path())
        .expect("files")
        .map(|file| file.expect("a file").file_name())
        .collect();
    assert_eq!(names.len(), 2, "the database and its lock: {names:?}");
    let store = sqlite(directory.path());
    assert_eq!(everything(&store).await, before);
    assert_eq!(*store.newest().borrow(), newest);
}

#[tokio::test]
async fn acknowledged_changes_are_in_the_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = sqlite(directory.path());
    fill(&store).await;
    // As a process that is killed now leaves them.
    let left = tempfile::tempdir().expect("a directory");
    for name in ["quash.db", "quash.db-wal"] {
        fs::copy(directory.path().join(name), left.path().join(name)).expect("a copy");
    }
    assert_eq!(everything(&sqlite(left.path())).await, everything(&store).await);
}

#[tokio::test]
async fn closing_completes_submitted_changes() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = sqlite(directory.path());
    for name in ["dana", "kim", "lee"] {
        let mut handed_in = store.commit(add(account(name)));
        // Polled once and dropped.
        std::future::poll_fn(|context| {
            let _ = handed_in.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    drop(store);
    assert_eq!(sqlite(directory.path()).accounts(None, 10).await.expect("accounts").len(), 3);
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    let store = sqlite(directory.path());
    assert!(matches!(refusal(&path), OpenError::InUse { .. }));
    // Opening waits for a process that is about to end.
    let waiting = std::thread::spawn(move || SqliteStore::open(&path, SqliteOptions::default()).map(drop));
    drop(store);
    waiting.join().expect("a thread").expect("a store");
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(sqlite(directory.path()));
    let path = directory.path().join("quash.db");
    change(&path, "INSERT INTO schema_migration VALUES (1000, 'later', x'00')");
    let before = fs::read(&path).expect("a file");
    assert!(matches!(refusal(&path), OpenError::Newer { found: 1000, .. }));
    assert_eq!(fs::read(&path).expect("a file"), before);
}

#[tokio::test]
async fn an_altered_database_is_refused() {
    for alteration in [
        "UPDATE schema_migration SET checksum = x'00'",
        "UPDATE schema_migration SET number = 0 WHERE number = 1",
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        drop(sqlite(directory.path()));
        let path = directory.path().join("quash.db");
        change(&path, alteration);
        assert!(matches!(refusal(&path), OpenError::Altered { number: 1, .. }), "{alteration}");
    }
}

#[tokio::test]
async fn databases_from_before_foreign_tokens_are_migrated() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    migrate(&path, &[("sessions", include_str!("../../migrations/sqlite/0001_sessions.sql"))]);
    change(
        &path,
        "INSERT INTO account VALUES ('dana', 'dana', 'dana', NULL, NULL, NULL, 'hash of dana', 'active', NULL, 0, 1, 1800000000000)",
    );
    change(
        &path,
        "INSERT INTO session VALUES (zeroblob(16), 'dana', 3, 1, zeroblob(16), 17179869184, 1, 1900000000000, NULL, 'browser', NULL, NULL, NULL, NULL)",
    );
    change(
        &path,
        "INSERT INTO signing_key VALUES ('first', 'EdDSA', 'current', NULL, x'00', 6), ('old', 'EdDSA', 'retiring', 7, x'01', 5)",
    );
    let store = sqlite(directory.path());
    assert_eq!(read(&store, "dana").await, account("dana"));
    let (session, _) = store.session(sid(0)).await.expect("a read").found.expect("the session");
    assert_eq!((session.generation.0, session.claims.to_json(), session.adopted), (3, None, None));
    let keys = store.keys().await.expect("keys");
    let (made, retiring) = (KeySource::Made, KeyState::Retiring { until: Timestamp::from_millis(7) });
    let keys: Vec<_> =
        keys.iter().map(|key| (key.kid.as_str(), key.state, key.source, key.secret.0.as_slice())).collect();
    assert_eq!(keys, [("old", retiring, made, &[1][..]), ("first", KeyState::Current, made, &[0])]);
}

#[tokio::test]
async fn audits_from_before_endings_give_reasons() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    migrate(
        &path,
        &[
            ("sessions", include_str!("../../migrations/sqlite/0001_sessions.sql")),
            ("foreign_tokens", include_str!("../../migrations/sqlite/0002_foreign_tokens.sql")),
            ("accounts", include_str!("../../migrations/sqlite/0003_accounts.sql")),
            ("audit", include_str!("../../migrations/sqlite/0004_audit.sql")),
        ],
    );
    for (id, event, reason, subject, seq) in [
        (1, "session_ended", "'log_out'", "'dana'", 11),
        (2, "claims_changed", "'claims_changed'", "'dana'", 12),
        (3, "signed_in", "NULL", "'dana'", 12),
        (4, "sessions_ended", "'log_out_everywhere'", "'dana'", 13),
        (5, "everything_ended", "'revoked'", "NULL", 14),
    ] {
        let row = format!("{id}, {id}000, '{event}', 'operator', {reason}, {subject}, NULL, NULL, {seq}");
        change(
            &path,
            &format!(
                "INSERT INTO audit (id, at, event, actor, reason, subject, sid, kid, seq) VALUES ({row})"
            ),
        );
    }
    let store = sqlite(directory.path());
    let after = [10, 13, 14].map(Seq::from_u64);
    let endings = store.endings(&subject("dana"), &after).await.expect("a read");
    let reasons: Vec<_> =
        endings.into_iter().map(|ending| ending.map(|ending| ending.reason.as_str())).collect();
    assert_eq!(reasons, [Some("log_out_everywhere"), Some("revoked"), None]);
}

#[tokio::test]
async fn addresses_of_two_accounts_are_kept_and_found_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("quash.db");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("migrations").map(|file| file.expect("a migration").path()).collect();
    files.sort();
    let older: Vec<(String, String)> = files[..15]
        .iter()
        .map(|file| (file.display().to_string(), fs::read_to_string(file).expect("a migration")))
        .collect();
    migrate(&path, &older.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).collect::<Vec<_>>());
    for (subject, email, verified, since) in [
        ("early", "both@example.org", "NULL", 1),
        ("late", "BOTH@example.org", "NULL", 2),
        ("unconfirmed", "one@example.org", "NULL", 1),
        ("confirmed", "One@example.org", "5", 2),
        ("without", "", "NULL", 1),
        ("too", "", "NULL", 1),
    ] {
        let folded = email.to_lowercase();
        change(
            &path,
            &format!(
                "INSERT INTO account (subject, username, username_folded, email, email_folded, email_verified_at, state, \
                 sessions_before, version, created_at) \
                 VALUES ('{subject}', '{subject}', '{subject}', nullif('{email}', ''), nullif('{folded}', ''), {verified}, 'active', 0, 1, {since})"
            ),
        );
        change(
            &path,
            &format!(
                "INSERT INTO session (sid, subject, generation, rotated_at, seed, opened_seq, opened_at, idle_until) \
                 VALUES (randomblob(16), '{subject}', 0, 1, zeroblob(16), 17179869184, 1, 1900000000000)"
            ),
        );
    }
    let store = sqlite(directory.path());
    let found = async |address: &str| {
        let found = store.account(&AccountBy::Email(address.into()), NOW).await.expect("a read").account;
        found.map(|account| account.subject.to_string())
    };
    assert_eq!(found("both@example.org").await.as_deref(), Some("early"));
    assert_eq!(found("one@example.org").await.as_deref(), Some("confirmed"), "although it is younger");
    let late = read(&store, "late").await;
    assert_eq!(late.email.map(|email| email.shown).as_deref(), Some("BOTH@example.org"), "it is kept");
    let sessions = store.sessions_of(&subject("late"), None, 9).await.expect("sessions");
    assert_eq!(sessions.len(), 1);
    // It can't be confirmed as long as another account has it, and may be given up.
    let email = |email: Option<&str>| AccountFields {
        email: Some(email.and_then(|email| Email::parse(email).ok())),
        ..AccountFields::default()
    };
    conflict(&store, edit("late", 1, email(Some("both@example.org")), Ends::Nothing)).await;
    commit(&store, edit("early", 1, email(None), Ends::Nothing)).await;
    commit(&store, edit("late", 1, email(Some("both@example.org")), Ends::Nothing)).await;
    assert_eq!(found("both@example.org").await.as_deref(), Some("late"));
    // Sessions refer to the new table.
    drop(store);
    let conn = Connection::open(&path).expect("a database");
    let broken: u32 = conn
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(broken, 0);
}

#[test]
fn other_databases_are_refused_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = directory.path().join("other.db");
    change(&other, "CREATE TABLE theirs (a)");
    let text = directory.path().join("text.db");
    fs::write(&text, "This is no database at all, but it is long enough to be taken for one. ".repeat(100))
        .expect("a file");
    for path in [&other, &text] {
        let before = fs::read(path).expect("a file");
        assert!(
            matches!(refusal(path), OpenError::Unusable { .. } | OpenError::Damaged { .. }),
            "{}",
            path.display()
        );
        assert_eq!(fs::read(path).expect("a file"), before);
    }
    assert!(matches!(refusal(directory.path()), OpenError::Unusable { .. }));
    assert!(matches!(refusal(&directory.path().join("missing/quash.db")), OpenError::Unusable { .. }));
}

#[tokio::test]
async fn unreadable_rows_cause_no_panic() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = sqlite(directory.path());
    fill(&store).await;
    drop(store);
    let path = directory.path().join("quash.db");
    change(
        &path,
        "UPDATE revocation_log SET kind = 99; UPDATE account SET username = ''; UPDATE feed_head SET chain = zeroblob(32)",
    );
    let store = sqlite(directory.path());
    assert!(store.entries_after(Seq::ZERO, 10).await.is_err());
    assert!(store.account(&by_name("dana"), NOW).await.is_err());
    assert!(store.session(sid(1)).await.is_err());
    assert!(!*store.broken().borrow());
    commit(&store, add(account("kim"))).await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let store = sqlite(directory.path());
    fill(&store).await;
    let files: Vec<_> =
        fs::read_dir(directory.path()).expect("files").map(|file| file.expect("a file")).collect();
    assert_eq!(files.len(), 4);
    for file in files {
        assert_eq!(
            file.metadata().expect("a file").permissions().mode() & 0o777,
            0o600,
            "{:?}",
            file.file_name()
        );
    }
}

fn change(path: &Path, sql: &str) {
    Connection::open(path).expect("a database").execute_batch(sql).expect("a change");
}

/// A database after only the first migrations.
fn migrate(path: &Path, migrations: &[(&str, &str)]) {
    change(
        path,
        "CREATE TABLE schema_migration (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT",
    );
    for ((name, sql), number) in migrations.iter().zip(1..) {
        change(path, sql);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sql.as_bytes());
        let checksum = quash_core::hex::encode(digest.as_ref());
        change(path, &format!("INSERT INTO schema_migration VALUES ({number}, '{name}', x'{checksum}')"));
    }
}

/// A modification of a file.
type Damage = fn(&mut Vec<u8>);

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let damages: [(&str, Damage); 3] = [
        ("the header", |file| file[..16].fill(0)),
        ("the end", |file| file.truncate(file.len() / 2)),
        ("a page", |file| {
            // The first page after the schema's that contains cells.
            let page =
                (1..file.len() / 4096).find(|page| [10, 13].contains(&file[page * 4096])).expect("a page");
            file[page * 4096..][..64].fill(0xff);
        }),
    ];
    for (what, damage) in damages {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("quash.db");
        let store = sqlite(directory.path());
        fill(&store).await;
        drop(store);
        let mut file = fs::read(&path).expect("a file");
        damage(&mut file);
        fs::write(&path, file).expect("a file");
        let refused = refusal(&path);
        assert!(matches!(&refused, OpenError::Damaged { .. }), "{what}: {refused}");
        assert!(refused.to_string().contains("is damaged: "), "{what}: {refused}");
    }
}
