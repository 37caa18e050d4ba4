//! PostgreSQL servers of a test's own: a primary and a standby. The programs are those of the server that
//! `cargo xtask services` has started, and run as its user.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::site::{Site, host_of};
use crate::support::wait::until;

/// A directory with servers, which end with it.
pub(crate) struct Cluster {
    bin: PathBuf,
    user: (u32, u32),
    pub(crate) primary: Instance,
    // Removed last.
    dir: TempDir,
}

/// A running server. It is ended when this is dropped.
pub(crate) struct Instance {
    directory: PathBuf,
    child: Option<Child>,
}

/// Whether commits of the primary wait for its standby.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replication {
    Asynchronous,
    Synchronous,
}

impl Cluster {
    /// Starts a primary. Without PostgreSQL, says that the test is skipped.
    #[expect(clippy::disallowed_methods, reason = "the address of a test's server is no setting of quash")]
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    pub(crate) fn start() -> Option<Self> {
        let variables = (std::env::var("QUASH_TEST_POSTGRES"), std::env::var("QUASH_TEST_POSTGRES_BIN"));
        let (Ok(url), Ok(bin)) = variables else {
            println!("skipped: QUASH_TEST_POSTGRES_BIN names no programs; `cargo xtask services` does");
            return None;
        };
        let config: Config = url.parse().expect("a URL");
        let Host::Unix(sockets) = &config.get_hosts()[0] else { panic!("the private server has a socket") };
        let owner = fs::metadata(sockets).expect("it is there");
        let dir = tempfile::Builder::new().prefix("qpg").tempdir_in("/tmp").expect("a temporary directory");
        let cluster = Self {
            bin: bin.into(),
            user: (owner.uid(), owner.gid()),
            primary: Instance { directory: dir.path().join("a"), child: None },
            dir,
        };
        cluster.own(cluster.dir.path());
        cluster.make(&cluster.primary.directory);
        let data = cluster.primary.directory.join("data");
        let mut initdb = cluster.program("initdb");
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username=quash"]);
        finish(initdb.arg("--pgdata").arg(&data));
        Some(Self { primary: cluster.run("a"), ..cluster })
    }

    /// Starts the primary after a crash.
    pub(crate) fn start_again(&mut self) {
        self.primary = self.run("a");
    }

    /// Starts a standby of the primary, from a base backup of it.
    pub(crate) fn standby(&self, replication: Replication) -> Instance {
        let directory = self.dir.path().join("b");
        self.make(&directory);
        let mut copy = self.program("pg_basebackup");
        copy.args(["--checkpoint=fast", "--no-sync", "--wal-method=stream", "--write-recovery-conf"]);
        copy.arg("--dbname").arg(self.primary.settings("postgres") + " application_name=standby");
        finish(copy.arg("--pgdata").arg(directory.join("data")));
        let standby = self.run("b");
        if replication == Replication::Synchronous {
            self.primary.run("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
            self.primary.run("SELECT pg_reload_conf()");
        }
        let expected = if replication == Replication::Synchronous { "sync" } else { "async" };
        let state = format!(
            "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '{expected}'"
        );
        self.primary.wait_for(&state);
        standby
    }

    /// The URL of a database for nodes: of both servers, in any order.
    pub(crate) fn url(&self, database: &str) -> String {
        let host = |name: &str| host_of(&self.dir.path().join(name));
        format!("postgres://quash@{},{}/{database}?target_session_attrs=read-write", host("a"), host("b"))
    }

    /// A site whose nodes use both servers.
    pub(crate) fn site(&self) -> Site {
        self.primary.run("CREATE DATABASE quash");
        Site::over(self.url("quash"))
    }

    fn run(&self, name: &str) -> Instance {
        let directory = self.dir.path().join(name);
        let log = File::create(directory.join("log")).expect("it is ours");
        let mut server = self.program("postgres");
        server.arg("-D").arg(directory.join("data")).args(["-c", "listen_addresses="]);
        server.args(["-c", "max_connections=100"]);
        server.arg("-c").arg(format!("unix_socket_directories={}", directory.display()));
        server.stdout(log.try_clone().expect("a descriptor")).stderr(log);
        let child = server.spawn().expect("PostgreSQL starts");
        let instance = Instance { directory, child: Some(child) };
        instance.wait_for("SELECT 1");
        instance
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).current_dir(self.dir.path());
        if fs::metadata("/proc/self").expect("this process").uid() == 0 {
            command.uid(self.user.0).gid(self.user.1);
        }
        command
    }

    fn make(&self, directory: &Path) {
        fs::create_dir(directory).expect("it is ours");
        self.own(directory);
    }

    fn own(&self, directory: &Path) {
        fs::set_permissions(directory, Permissions::from_mode(0o700)).expect("it is ours");
        chown(directory, Some(self.user.0), Some(self.user.1)).expect("it is ours");
    }
}

impl Instance {
    /// libpq's connection string.
    fn settings(&self, database: &str) -> String {
        format!("host={} user=quash dbname={database}", self.directory.display())
    }

    /// The URL of a database on this server alone.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://quash@{}/{database}", host_of(&self.directory))
    }

    /// Waits until the standby has applied all that this server has written.
    pub(crate) fn replicates(&self) {
        let end = self.value("SELECT pg_current_wal_flush_lsn()").expect("it runs").expect("a position");
        self.wait_for(&format!("SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= '{end}'"));
    }

    /// Runs a statement.
    pub(crate) fn run(&self, statement: &str) {
        self.value(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Runs a statement, and returns the first value of its result.
    fn value(&self, statement: &str) -> Result<Option<String>, tokio_postgres::Error> {
        let config: Config = self.settings("postgres").parse().expect("settings");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            let answer = client.simple_query(statement).await?;
            Ok(answer.iter().find_map(|part| match part {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            }))
        })
    }

    /// Waits until a query returns a row.
    pub(crate) fn wait_for(&self, query: &str) {
        let found = until(|| self.value(query).ok().flatten()).is_some();
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        assert!(found, "{query}: {log}");
    }

    /// Cuts a standby off from its primary: it is behind from the next commit on.
    pub(crate) fn fall_behind(&self) {
        self.run("ALTER SYSTEM SET primary_conninfo = ''");
        self.run("SELECT pg_reload_conf()");
        self.wait_for("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_wal_receiver)");
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        self.run("SELECT pg_promote(true, 30)");
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
            // SIGQUIT: all its processes end without a checkpoint. After SIGKILL, they would live on for a while.
            let _ = kill_process(id, Signal::QUIT);
            let _ = child.wait();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.crash();
    }
}

fn finish(command: &mut Command) {
    let done = command.output().expect("it starts");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
