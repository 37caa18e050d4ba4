//! Moving the data from SQLite to PostgreSQL and back: nothing is lost or changed, and what was interrupted
//! can be repeated.

use std::path::Path;

use quash_core::model::{
    Actor, Change, CustomClaims, Epoch, KeyState, OldSessions, ScopeKind, Sealed, Session,
};
use quash_store::{
    MoveError, MoveSource, MoveStage, OpenError, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore,
    StagedRestore, Store, check_log, copy_to_postgres,
};

use crate::support::postgres::database;
use crate::support::{
    NOW, account, add, add_client, adopt, adopting, client, commit, end, ends, entry, everything, flow, head,
    key, mail, open, read, registration, session, sqlite, start, with_email,
};

/// A store with rows in all tables, and with texts that need escapes.
async fn filled(directory: &Path) -> SqliteStore {
    let store = sqlite(directory);
    for new in [account("dana"), with_email("kim", "kim@example.org"), account("lee"), account("max")] {
        commit(&store, add(new)).await;
    }
    for n in [1, 2, 3] {
        let odd = Session {
            device: Some(format!("a\tb\\c\nd\re\u{8}\u{b}\u{c}é\\N {n}")),
            claims: CustomClaims::parse(r#"{"a":"b\\nc"}"#).expect("claims"),
            ..session(n, "dana", head(&store).await)
        };
        commit(&store, open(odd, read(&store, "dana").await.version)).await;
    }
    let version = read(&store, "kim").await.version;
    commit(&store, adopt(adopting(4, "kim", head(&store).await), version, 0)).await;
    let secret = key("one", KeyState::Current, NOW);
    commit(&store, Change::AddKey { key: secret, replaces: None, actor: Actor::Rule }).await;
    commit(&store, Change::AddSecret { name: "first", secret: Sealed(vec![0, 9, 10, 13, 92, 255]) }).await;
    commit(&store, Change::Remember { name: "second", value: "\\.".into() }).await;
    commit(&store, add_client(client("shop", 3), 1)).await;
    commit(&store, start(flow(5, 5, Some("dana"), 0), None)).await;
    commit(&store, start(registration(6, "new", "new@example.org", 0), None)).await;
    for n in [7, 8] {
        commit(&store, Change::AddMail(Box::new(mail(n, n, 0)))).await;
    }
    commit(&store, ends(vec![end(1)])).await;
    commit(&store, Change::RaiseLongestLifetime(86_400_000)).await;
    let epoch = |number| Epoch::new(number).expect("an epoch");
    let begun = Change::BeginEpoch {
        from: epoch(1),
        to: epoch(3),
        entry: entry(ScopeKind::Everything, 9),
        sessions: OldSessions::Keep,
    };
    commit(&store, begun).await;
    commit(&store, ends(vec![end(2)])).await;
    store
}

fn quietly(_: MoveStage) {}

#[tokio::test]
async fn a_move_and_the_way_back_lose_nothing() {
    let Some(database) = database().await else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = filled(dir.path()).await;
    let before = everything(&store).await;
    let (at_head, entries) = check_log(&store).await.expect("a whole log");
    let options = PostgresOptions::new(database.url());
    copy_to_postgres(&store, &options, &quietly).await.expect("a copy");
    // An interrupted move is finished.
    let seen = std::sync::Mutex::new(false);
    let watch = |stage| *seen.lock().expect("no panic") |= stage == MoveStage::Present;
    copy_to_postgres(&store, &options, &watch).await.expect("the same copy");
    assert!(seen.into_inner().expect("no panic"));
    store.mark_moved("a database").expect("it is written");
    drop(store);
    let path = dir.path().join("quash.db");
    let moved = SqliteStore::open(&path, SqliteOptions::default());
    assert!(matches!(moved, Err(OpenError::Moved { ref to, .. }) if to == "a database"), "{moved:?}");

    let there = database.open().await;
    assert_eq!(everything(&there).await, before);
    assert_eq!(check_log(&there).await.expect("a whole log"), (at_head, entries));
    // It goes on: numbers continue in the log and in the audit.
    commit(&there, ends(vec![end(3)])).await;
    commit(&there, add(account("new"))).await;
    let after = everything(&there).await;
    drop(there);

    let source = MoveSource::begin(&options).await.expect("no node");
    let staged = StagedRestore::empty(&path).expect("the directory is ours");
    let back = staged.open().expect("a new store");
    source.copy_to(&back, &quietly).await.expect("a copy");
    assert_eq!(everything(&back).await, after);
    drop(back);
    source.mark_moved("a file").await.expect("it is written");
    let moved = PostgresStore::open(options.clone()).await;
    assert!(matches!(moved, Err(OpenError::Moved { ref to, .. }) if to == "a file"), "{moved:?}");
    // The file isn't in place yet: the way back is repeated from a marked database.
    drop(staged);
    let source = MoveSource::begin(&options).await.expect("the way back is repeated");
    let staged = StagedRestore::empty(&path).expect("the directory is ours");
    let back = staged.open().expect("a new store");
    source.copy_to(&back, &quietly).await.expect("a copy");
    drop(back);
    source.mark_moved("a file").await.expect("it is written");
    let kept = staged.put_in_place("label").expect("it is in place");
    assert!(kept.is_some_and(|kept| kept.exists()));
    let back = SqliteStore::open(&path, SqliteOptions::default()).expect("a store");
    let settings = |text: &str| text.replace("settings: 1,", "settings: 0,");
    assert_eq!(settings(&everything(&back).await), settings(&after));
    commit(&back, open(session(9, "dana", head(&back).await), read(&back, "dana").await.version)).await;
}

#[tokio::test]
async fn a_database_with_other_data_is_refused() {
    let Some(database) = database().await else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = filled(dir.path()).await;
    let options = PostgresOptions::new(database.url());
    let there = database.open().await;
    commit(&there, add(account("somebody"))).await;
    let refused = copy_to_postgres(&store, &options, &quietly).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty { table: "account", .. })), "{refused:?}");
    assert_eq!(there.accounts(None, 10).await.expect("accounts").len(), 1, "nothing was written");
    let nothing = MoveSource::begin(&options).await;
    assert!(nothing.is_err_and(|error| error.to_string().contains("no server was ever started on it")));
}

#[tokio::test]
async fn a_copy_that_was_used_meanwhile_is_refused() {
    let Some(database) = database().await else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = filled(dir.path()).await;
    let options = PostgresOptions::new(database.url());
    copy_to_postgres(&store, &options, &quietly).await.expect("a copy");
    commit(&store, add(account("late"))).await;
    let refused = copy_to_postgres(&store, &options, &quietly).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_log_that_another_program_has_changed_is_refused() {
    for change in [
        "UPDATE revocation_log SET at = at + 1 WHERE seq = (SELECT min(seq) FROM revocation_log)",
        "DELETE FROM revocation_log WHERE seq = (SELECT min(seq) FROM revocation_log)",
        "DELETE FROM revocation_log WHERE seq = (SELECT max(seq) FROM revocation_log)",
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = filled(dir.path()).await;
        check_log(&store).await.expect("a whole log");
        let other = rusqlite::Connection::open(dir.path().join("quash.db")).expect("the file");
        other.execute_batch(change).expect("a forged log");
        let refused = check_log(&store).await;
        assert!(matches!(refused, Err(MoveError::Log(_))), "{change}: {refused:?}");
    }
}
