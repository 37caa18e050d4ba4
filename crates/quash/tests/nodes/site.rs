//! A database of a test's own, and the nodes over it, each with its data directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio_postgres::error::SqlState;

use crate::support::postgres::{self, Kind};
use crate::support::wait::until;
use crate::support::{Server, on};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The rounds of one account: its user may cause 600 entries at once, at most three of them in each round.
const ROUNDS_OF_AN_ACCOUNT: usize = 150;

/// The account of a round. The first round of each adds it.
pub(crate) fn account_of(round: usize, node: &Server) -> String {
    let name = format!("dana{}", round / ROUNDS_OF_AN_ACCOUNT);
    if round.is_multiple_of(ROUNDS_OF_AN_ACCOUNT) {
        node.add_account(&name, PASSWORD);
    }
    name
}

pub(crate) struct Site {
    pub(crate) url: String,
    dir: TempDir,
}

impl Site {
    /// Creates a database. Without PostgreSQL, says that the test is skipped.
    pub(crate) fn new() -> Option<Self> {
        postgres::server()?;
        let url = postgres::url_for_this_process(Kind::chosen().unwrap_or(Kind::Postgres));
        Some(Self::over(url))
    }

    /// Nodes over a database that exists.
    pub(crate) fn over(url: String) -> Self {
        Self { url, dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Returns the row of numbers that a query selects.
    pub(crate) fn numbers(&self, query: &str) -> Vec<i64> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let client = postgres::connect(&self.url).await;
            // Without a name: behind pgbouncer, the next message may reach another session.
            let rows = client.query_typed(query, &[]).await.expect("rows");
            let row = rows.first().expect("a row");
            (0..row.len()).map(|column| row.get(column)).collect()
        })
    }

    /// Runs statements on the database.
    pub(crate) fn run(&self, statements: &str) {
        run_statement(&self.url, statements);
    }

    pub(crate) fn data_dir(&self, node: &str) -> PathBuf {
        self.dir.path().join(node)
    }

    /// Starts a node. All nodes after the first get its master key.
    pub(crate) fn start(&self, node: &str) -> Server {
        self.start_through(node, &self.url)
    }

    /// Starts a node with further arguments.
    pub(crate) fn start_with(&self, node: &str, args: &[&str]) -> Server {
        Server::start_in(&self.prepare_with_key(node, &self.url), args)
    }

    /// Starts a node with a command that runs the binary.
    pub(crate) fn start_by(&self, node: &str, command: Command) -> Server {
        Server::start_with(command, &self.prepare_with_key(node, &self.url), &[])
    }

    /// Starts a node that reaches the database by another URL.
    pub(crate) fn start_through(&self, node: &str, url: &str) -> Server {
        Server::start_in(&self.prepare_with_key(node, url), &[])
    }

    /// Starts a node without the master key, which must fail, and returns its message.
    pub(crate) fn refused_without_key(&self, node: &str) -> String {
        self.prepare(node, &self.url);
        self.refused(node)
    }

    /// Starts a node with the master key, which must fail, and returns its message.
    pub(crate) fn refused_with_key(&self, node: &str) -> String {
        self.prepare_with_key(node, &self.url);
        self.refused(node)
    }

    /// Starts a node that must refuse its database, and returns its message.
    pub(crate) fn refused(&self, node: &str) -> String {
        let refused = on(&self.data_dir(node), &["serve", "--listen", "127.0.0.1:0"], "");
        assert_eq!(refused.code(), 1, "{}", refused.stderr);
        refused.stderr
    }

    /// Copies the database while nobody uses it, and returns the URL of the copy.
    pub(crate) fn copy(&self) -> String {
        let config: tokio_postgres::Config = self.url.parse().expect("a URL");
        let name = config.get_dbname().expect("a database").to_owned();
        let copy = format!("{name}{}", postgres::COPY);
        let statement = format!("CREATE DATABASE {copy} TEMPLATE {name}");
        run_statement(&postgres::with_database(&self.url, "postgres"), &statement);
        postgres::with_database(&self.url, &copy)
    }

    /// Makes the data directory of a node, with its settings and without the master key.
    pub(crate) fn prepare(&self, node: &str, url: &str) -> PathBuf {
        use std::os::unix::fs::DirBuilderExt;
        let dir = self.data_dir(node);
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&dir).expect("it is ours");
        write(&dir.join("quash.toml"), &format!("[storage]\nurl = \"{url}\"\n"));
        dir
    }

    /// The same, and each node after the first gets the first one's master key.
    pub(crate) fn prepare_with_key(&self, node: &str, url: &str) -> PathBuf {
        let dir = self.prepare(node, url);
        if node != "a" {
            let first = self.data_dir("a").join("master.key");
            std::fs::copy(first, dir.join("master.key")).expect("the first node has one");
        }
        dir
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.expect("it is ours"), text.as_bytes()).expect("it is ours");
}

/// Runs a statement on a database. A server process that is ending may still use it.
fn run_statement(url: &str, statement: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let run = || {
        runtime.block_on(async {
            let client = postgres::connect(url).await;
            match client.batch_execute(statement).await {
                Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) => None,
                done => {
                    done.expect("the user may");
                    Some(())
                }
            }
        })
    };
    until(run).expect("the database is still in use");
}

/// The host of a URL that leads to the sockets in a directory.
pub(crate) fn host_of(sockets: &Path) -> String {
    sockets.to_str().expect("UTF-8").replace('/', "%2F")
}

/// The URL of the same database at another address.
pub(crate) fn at(url: &str, address: SocketAddr) -> String {
    let scheme = url.find("://").expect("a URL") + 3;
    let user = url[scheme..].find('@').map_or(scheme, |at| scheme + at + 1);
    let end = url[user..].find('/').map_or(url.len(), |at| user + at);
    let path = url[end..].split('?').next().unwrap_or_default();
    format!("{}{address}{path}", &url[..user])
}
