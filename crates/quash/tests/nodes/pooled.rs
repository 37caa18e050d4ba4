//! Nodes behind a pgbouncer in transaction mode that is restarted, and told to connect anew, while they race.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::site::{PASSWORD, Site, host_of};
use super::{REFRESH, children};
use crate::support::wait::{pause, until};
use crate::support::{Answer, Server, postgres, rounds};

/// Where Debian installs it, and what `PATH` names.
const PROGRAMS: [&str; 2] = ["/usr/sbin/pgbouncer", "pgbouncer"];
/// It is disturbed a little later in each round.
const STEP: Duration = Duration::from_millis(3);
const STEPS: usize = 10;
/// The attempts of a refresh, one every tenth of a second: within the grace of 30 seconds.
const TRIES: usize = 250;
const AGAIN: Duration = Duration::from_millis(100);

/// A pgbouncer in front of the test's PostgreSQL, run by the same user.
struct Pooler {
    directory: TempDir,
    program: &'static str,
    owner: (u32, u32),
    role: String,
    child: Child,
}

impl Pooler {
    /// Starts it. `None` if there is no pgbouncer, or if PostgreSQL listens on no socket.
    fn start(url: &str) -> Option<Self> {
        let config: Config = url.parse().expect("a URL");
        let works = |name: &&str| {
            let mut version = Command::new(name);
            version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            version.status().is_ok_and(|status| status.success())
        };
        let (program, Host::Unix(sockets)) = (PROGRAMS.into_iter().find(works)?, &config.get_hosts()[0])
        else {
            return None;
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let role = config.get_user().expect("a user").to_owned();
        let metadata = std::fs::metadata(sockets).expect("the sockets' directory");
        let (directory, owner) =
            (tempfile::tempdir().expect("a directory"), (metadata.uid(), metadata.gid()));
        let own = directory.path().display();
        let settings = format!(
            "[databases]\n* = host='{}' port={port}\n[pgbouncer]\npool_mode = transaction\nlisten_addr =\n\
             unix_socket_dir = {own}\nlisten_port = 6432\nauth_type = trust\nauth_file = {own}/users.txt\n\
             admin_users = {role}\nmax_client_conn = 500\ndefault_pool_size = 20\n",
            sockets.display()
        );
        for (name, text) in [("pgbouncer.ini", settings), ("users.txt", format!("\"{role}\" \"\"\n"))] {
            write(&directory.path().join(name), &text);
        }
        std::os::unix::fs::chown(directory.path(), Some(owner.0), Some(owner.1)).expect("it is ours");
        let child = spawn(program, directory.path(), owner);
        let pooler = Self { directory, program, owner, role, child };
        pooler.wait();
        Some(pooler)
    }

    /// The URL of a database behind it.
    fn url(&self, database: &str) -> String {
        format!("postgres://{}@{}:6432/{database}", self.role, host_of(self.directory.path()))
    }

    fn wait(&self) {
        let socket: PathBuf = self.directory.path().join(".s.PGSQL.6432");
        until(|| std::os::unix::net::UnixStream::connect(&socket).ok()).expect("pgbouncer listens");
    }

    /// Kills it, and starts another one.
    fn restart(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        let socket = self.directory.path().join(".s.PGSQL.6432");
        let _ = std::fs::remove_file(socket);
        self.child = spawn(self.program, self.directory.path(), self.owner);
        self.wait();
    }

    /// Replaces its connections to PostgreSQL, each at the end of its transaction.
    fn reconnect(&self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let console = postgres::connect(&self.url("pgbouncer")).await;
            console.simple_query("RECONNECT").await.expect("an administrator may");
        });
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("it is ours");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
}

/// pgbouncer refuses to run as root.
fn spawn(program: &str, directory: &Path, (uid, gid): (u32, u32)) -> Child {
    let mut command = Command::new(program);
    command.arg("pgbouncer.ini").current_dir(directory).uid(uid).gid(gid);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pgbouncer starts")
}

/// Posts until it isn't refused for a while. The grace covers what was written without an answer.
fn patiently(node: &Server, path: &str, body: &Value) -> Answer {
    for _ in 0..TRIES {
        let answer = node.post_json(path, body, None);
        if answer.status != 503 {
            return answer;
        }
        pause(AGAIN);
    }
    node.post_json(path, body, None)
}

#[test]
fn soak_one_refresh_wins_while_the_pooler_restarts() {
    let Some(site) = Site::new() else { return };
    let Some(mut pooler) = Pooler::start(&site.url) else { return skipped() };
    let database = site.url.rsplit('/').next().expect("a database").to_owned();
    let url = pooler.url(&database);
    let nodes = [site.start_through("a", &url), site.start_through("b", &url)];
    nodes[0].add_account("dana", PASSWORD);
    for round in 0..rounds(10, 200) {
        let body = json!({ "username": "dana", "password": PASSWORD });
        let parent = patiently(&nodes[round % 2], "/api/token/", &body).pair();
        let children = thread::scope(|scope| {
            let pooler = &mut pooler;
            scope.spawn(move || {
                pause(STEP * u32::try_from(round % STEPS).expect("few"));
                if round % 2 == 0 { pooler.restart() } else { pooler.reconnect() }
            });
            children(&nodes, &parent, |node, body| patiently(node, REFRESH, body))
        });
        assert_eq!(children.len(), 1, "round {round}: within the grace, all get the same successor");
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn skipped() {
    println!("skipped: pgbouncer is missing, or PostgreSQL listens on no socket");
}
