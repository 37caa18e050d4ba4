//! Databases that a store refuses to open, with the cause and the remedy.

use std::time::Duration;

use quash_store::{OpenError, PostgresOptions, PostgresStore, Store};
use tokio::net::TcpListener;

use crate::support::postgres::{TestDatabase, database};
use crate::support::{account, add, commit, is_soak};

async fn refused(url: &str) -> String {
    match PostgresStore::open(PostgresOptions::new(url)).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn urls_are_refused_with_a_remedy() {
    for (url, told) in [
        ("mysql://db/quash", "doesn't begin with postgres://"),
        ("postgres://db.example.org", "names no database"),
        ("postgres://db.example.org/quash?sslmode=require", "use sslmode=verify-full"),
        ("postgres://db.example.org/quash?sslmode=prefer", "use sslmode=verify-full"),
        ("postgres://db.example.org/quash?sslmode=disable", "use sslmode=verify-full"),
        ("postgres://127.0.0.1/quash?sslmode=require", "use verify-full, or disable"),
        ("postgres://a,b/quash", "add target_session_attrs=read-write"),
        ("postgres://a,b/quash?target_session_attrs=any", "use read-write"),
        ("postgres://a/quash?target_session_attrs=standby", "use read-write"),
        ("postgres://a/quash?target_session_attrs=prefer-standby", "use read-write"),
        (
            "postgres://db.example.org/quash?sslrootcert=/nowhere/ca.pem",
            "sslrootcert=/nowhere/ca.pem, which can't be read",
        ),
        ("postgres://127.0.0.1:1/quash", "check that the server runs"),
        (
            "postgres://127.0.0.1:1,127.0.0.1:2/quash?target_session_attrs=read-write",
            "127.0.0.1:2: error connecting to server: Connection refused",
        ),
        (
            "postgres://127.0.0.1:1,127.0.0.1:2/quash?target_session_attrs=read-write",
            "start the primary or promote a standby",
        ),
    ] {
        let text = refused(url).await;
        assert!(text.contains(told), "{url}: {text}");
    }
}

#[tokio::test]
async fn servers_that_do_not_answer_are_named() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = silent.local_addr().expect("an address");
    let url = format!("postgres://{address}/quash?connect_timeout=1");
    let told = tokio::time::timeout(Duration::from_secs(30), refused(&url)).await.expect("an error");
    assert!(told.contains(&address.to_string()) && told.contains("didn't answer within 2 s"), "{told}");
    assert!(told.contains("check that the server runs"), "{told}");
}

#[tokio::test]
async fn errors_never_contain_the_password() {
    for url in [
        "postgres://dana:hunter2@127.0.0.1:1/quash",
        "postgres://dana:hunter2@127.0.0.1:1/quash?sslmode=require",
        "postgres://dana:hunter2@127.0.0.1:one/quash",
        "postgres://dana:hunter2@127.0.0.1/quash?unknown=hunter2",
    ] {
        let text = refused(url).await;
        assert!(!text.contains("hunter2"), "{text}");
    }
    let options = PostgresOptions::new("postgres://dana:hunter2@127.0.0.1/quash");
    assert!(!format!("{options:?}").contains("hunter2"));
}

#[tokio::test]
async fn missing_databases_are_named() {
    let Some(database) = database().await else { return };
    let text = refused(&database.url().replace(database.name(), "quash_nowhere")).await;
    assert!(text.contains("create the database"), "{text}");
}

#[tokio::test]
async fn databases_of_other_programs_are_left_alone() {
    let Some(database) = database().await else { return };
    let client = database.client().await;
    let emptied = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE account (id int)";
    client.batch_execute(emptied).await.expect("another program's tables");
    let text = refused(&database.url()).await;
    assert!(text.contains("tables of another program"), "{text}");
}

#[tokio::test]
async fn databases_of_newer_and_altered_programs_are_refused() {
    let Some(database) = database().await else { return };
    let client = database.client().await;
    let store = database.open().await;
    let newer = "INSERT INTO schema_migration VALUES (999, 'later', '')";
    client.batch_execute(newer).await.expect("a record");
    // A migration that only adds.
    drop(database.open().await);
    store.head().await.expect("it understands the database");
    let fenced = "UPDATE cluster SET schema_fence = 999";
    client.batch_execute(fenced).await.expect("a fence");
    let refused = store.head().await.expect_err("it doesn't").to_string();
    assert!(refused.contains("migration 999") && refused.contains("update this node"), "{refused}");
    let opened = PostgresStore::open(PostgresOptions::new(database.url())).await;
    assert!(matches!(opened, Err(OpenError::Newer { found: 999, .. })), "{opened:?}");
    let altered = "UPDATE cluster SET schema_fence = 0; DELETE FROM schema_migration WHERE number = 999; UPDATE schema_migration SET checksum = ''";
    client.batch_execute(altered).await.expect("a record");
    let opened = PostgresStore::open(PostgresOptions::new(database.url())).await;
    assert!(matches!(opened, Err(OpenError::Altered { number: 18, .. })), "{opened:?}");
}

/// Creates a user, with statements in which `{user}` is its name, and returns its URL. `None` if the tests'
/// user may not create others.
async fn as_user(database: &TestDatabase, user: &str, statements: &str) -> Option<String> {
    let client = database.client().await;
    let is_superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    if !client.query_one(is_superuser, &[]).await.expect("a role").get::<_, bool>(0) {
        return None;
    }
    let statements = statements.replace("{user}", user);
    let created = format!("DROP ROLE IF EXISTS {user}; CREATE ROLE {user} LOGIN; {statements}");
    client.batch_execute(&created).await.expect("a user");
    let url = database.url();
    let (_, host) = url.split_once('@').expect("a user in the URL");
    Some(format!("postgres://{user}@{host}"))
}

#[tokio::test]
async fn missing_rights_are_named() {
    let Some(database) = database().await else { return };
    let emptied = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO {user}";
    let user = format!("{}_user", database.name());
    let Some(url) = as_user(&database, &user, emptied).await else { return };
    let text = refused(&url).await;
    assert!(text.contains("may not create tables"), "{text}");
    let client = database.client().await;
    client.batch_execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await.expect("no user");
}

#[tokio::test]
async fn a_user_that_only_reads_is_refused() {
    let Some(database) = database().await else { return };
    let user = format!("{}_reader", database.name());
    let limited = "ALTER ROLE {user} SET default_transaction_read_only = on";
    let Some(url) = as_user(&database, &user, limited).await else { return };
    let text = refused(&url).await;
    assert!(text.contains("default_transaction_read_only = off"), "{text}");
    database.client().await.batch_execute(&format!("DROP ROLE {user}")).await.expect("no user");
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_two_first_starts_at_once_migrate_once() {
    let Some(database) = database().await else { return };
    for _ in 0..if is_soak() { 100 } else { 10 } {
        let client = database.client().await;
        client
            .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            .await
            .expect("an empty database");
        let (one, other) = tokio::join!(database.open(), database.open());
        commit(&one, add(account("dana"))).await;
        assert_eq!(other.accounts(None, 9).await.expect("accounts").len(), 1);
    }
}
