//! A database of its own for each test, on the server that `QUASH_TEST_POSTGRES` names: the URL of a
//! superuser on a maintenance database. Without it, tests that need it are skipped, and say so. The tests of
//! quash-server and of the binary use this file, too: `QUASH_TEST_STORE` chooses where they keep their data.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use quash_store::{PostgresOptions, PostgresStore, StatementNames};
use tokio_postgres::{Client, NoTls};

/// A database that is dropped at the end of the test. If the process ends before, a later test drops it.
pub(crate) struct TestDatabase {
    server: String,
    name: String,
    /// Holds a lock as long as this process uses the database.
    _admin: Client,
}

/// Where the tests keep their data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Postgres,
    /// PostgreSQL behind a pooler.
    Pgbouncer,
}

impl Kind {
    /// The kind that `QUASH_TEST_STORE` names, if it is set.
    #[expect(clippy::disallowed_methods, reason = "the store of a test is not a setting of quash")]
    pub(crate) fn chosen() -> Option<Self> {
        let name = std::env::var("QUASH_TEST_STORE").ok().filter(|name| !name.is_empty())?;
        Some(match name.as_str() {
            "memory" => Self::Memory,
            "sqlite" => Self::Sqlite,
            "postgres" => Self::Postgres,
            "pgbouncer" => Self::Pgbouncer,
            other => panic!("QUASH_TEST_STORE is memory, sqlite, postgres or pgbouncer, but not {other}"),
        })
    }

    pub(crate) fn is_postgres(self) -> bool {
        matches!(self, Self::Postgres | Self::Pgbouncer)
    }
}

/// The server's URL. Prints that the test is skipped if there is none.
#[expect(clippy::disallowed_methods, reason = "the database of a test is not a setting of quash")]
#[allow(clippy::print_stderr, clippy::allow_attributes, reason = "a skipped test says so")]
pub(crate) fn server() -> Option<String> {
    let url = std::env::var("QUASH_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        eprintln!("skipped: QUASH_TEST_POSTGRES names no PostgreSQL server");
    }
    url
}

/// The end of the name of a copy that a test makes of its database.
pub(crate) const COPY: &str = "_copy";

/// A new, migrated database. `None` if there is no server.
pub(crate) async fn database() -> Option<TestDatabase> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let server = server()?;
    let admin = connect(&server).await;
    let template = template(&server, &admin).await;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("quash_test_{}_{number}", std::process::id());
    drop_left_over(&admin).await;
    let created = async {
        admin.batch_execute(&format!("SELECT pg_advisory_lock(7123, hashtext('{name}'))")).await?;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await
    };
    created.await.expect("a database");
    Some(TestDatabase { server, name, _admin: admin })
}

/// Drops the databases of tests whose process has ended: nobody holds their lock.
async fn drop_left_over(admin: &Client) {
    let names = "SELECT datname FROM pg_database WHERE datname LIKE 'quash\\_test\\_%'";
    for row in admin.query(names, &[]).await.expect("a read") {
        let name: String = row.get(0);
        // A copy belongs to the process of its original.
        let original = name.strip_suffix(COPY).unwrap_or(&name);
        let lock = format!("SELECT pg_try_advisory_lock(7123, hashtext('{original}'))");
        if admin.query_one(&lock, &[]).await.expect("a read").get(0) {
            // Its last connection may be closing.
            let _ = admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            let unlock = format!("SELECT pg_advisory_unlock(7123, hashtext('{original}'))");
            admin.batch_execute(&unlock).await.expect("no lock");
        }
    }
}

/// The URL of a new, migrated database of the chosen kind, for a test that has no runtime. The database lives as
/// long as this process.
pub(crate) fn url_for_this_process(kind: Kind) -> String {
    let (made, url) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let database = database().await.expect("QUASH_TEST_POSTGRES, which QUASH_TEST_STORE needs");
            made.send(database.url_of(kind)).expect("the test waits");
            std::future::pending::<()>().await;
        });
    });
    url.recv().expect("a database")
}

/// The name of a migrated database, which is made once for each state of the migrations.
async fn template(server: &str, admin: &Client) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../quash-store/migrations/postgres");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).expect("migrations").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let texts: Vec<_> = files.iter().flat_map(|file| std::fs::read(file).expect("a migration")).collect();
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    let name = format!("quash_template_{:016x}", hasher.finish());
    // Tests run at once in several processes.
    admin.batch_execute("SELECT pg_advisory_lock(7122)").await.expect("a lock");
    let exists = admin.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await;
    if exists.expect("a read").is_none() {
        let made = format!("{name}_new");
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {made}")).await.expect("no database");
        admin
            .batch_execute(&format!("CREATE DATABASE {made} TEMPLATE template0 ENCODING 'UTF8'"))
            .await
            .expect("a database");
        drop(
            PostgresStore::open(PostgresOptions::new(with_database(server, &made)))
                .await
                .expect("a migrated database"),
        );
        // Otherwise a copy of it would be refused.
        let blank = "UPDATE cluster SET system_identifier = NULL, timeline = NULL, database_oid = NULL, log_oid = NULL";
        let url = with_database(server, &made);
        connect(&url).await.batch_execute(blank).await.expect("a template");
        let end =
            format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{made}'");
        admin.batch_execute(&end).await.expect("no connections");
        admin.batch_execute(&format!("ALTER DATABASE {made} RENAME TO {name}")).await.expect("a template");
    }
    admin.batch_execute("SELECT pg_advisory_unlock(7122)").await.expect("no lock");
    name
}

/// A client of a database.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// The URL with another database.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let (server, _) = base.rsplit_once('/').expect("a database in the URL");
    match query {
        Some(query) => format!("{server}/{name}?{query}"),
        None => format!("{server}/{name}"),
    }
}

impl TestDatabase {
    pub(crate) fn url(&self) -> String {
        with_database(&self.server, &self.name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Opens the store as one process. It prepares statements; that behind the pooler doesn't.
    pub(crate) async fn open(&self) -> PostgresStore {
        let options = PostgresOptions { names: StatementNames::Prepared, ..PostgresOptions::new(self.url()) };
        PostgresStore::open(options).await.expect("a store")
    }

    /// Opens the store behind a pooler that gives each transaction another connection, which
    /// `QUASH_TEST_PGBOUNCER` names. `None` if there is none.
    pub(crate) async fn open_pooled(&self) -> Option<PostgresStore> {
        let options = PostgresOptions::new(self.pooled_url()?);
        Some(PostgresStore::open(options).await.expect("a store"))
    }

    /// The URL through the pooler. `None`, after saying that the test is skipped, if there is none.
    #[expect(clippy::disallowed_methods, reason = "the database of a test is not a setting of quash")]
    #[allow(clippy::print_stderr, clippy::allow_attributes, reason = "a skipped test says so")]
    pub(crate) fn pooled_url(&self) -> Option<String> {
        let Some(pooler) = std::env::var("QUASH_TEST_PGBOUNCER").ok().filter(|url| !url.is_empty()) else {
            eprintln!("skipped: QUASH_TEST_PGBOUNCER names no pooler");
            return None;
        };
        Some(with_database(&pooler, &self.name))
    }

    /// The URL, directly or through the pooler.
    pub(crate) fn url_of(&self, kind: Kind) -> String {
        match kind {
            Kind::Pgbouncer => self.pooled_url().expect("QUASH_TEST_PGBOUNCER, which QUASH_TEST_STORE needs"),
            Kind::Memory | Kind::Sqlite | Kind::Postgres => self.url(),
        }
    }

    /// The deadlocks that the server has found in this database. Called once all stores are closed: a connection
    /// reports what it has counted when it ends.
    pub(crate) async fn deadlocks(&self) -> i64 {
        let client = self.client().await;
        let others = "SELECT count(*) FROM pg_sleep(0.01), pg_stat_activity WHERE datname = current_database() \
            AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        let mut looks = 0;
        while client.query_one(others, &[]).await.expect("statistics").get::<_, i64>(0) > 0 {
            looks += 1;
            assert!(looks < 1000, "the test still has a connection");
        }
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        client.query_one(deadlocks, &[]).await.expect("statistics").get(0)
    }

    /// A client that isn't quash.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url()).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let admin = connect(&server).await;
                admin
                    .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                    .await
                    .expect("no database");
            });
        });
        let _ = dropped.join();
    }
}
