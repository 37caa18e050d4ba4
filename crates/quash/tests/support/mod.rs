//! A real server for tests: the built binary, with its own data directory and a free port. Without sleeps:
//! waits for the line that says that the server is ready, and for processes to end. `store.rs` chooses the database.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::allow_attributes,
    reason = "each test program uses a part of it"
)]

pub(crate) mod faketime;
pub(crate) mod feed;
pub(crate) mod http;
pub(crate) mod journal;
#[path = "../../../quash-store/tests/support/postgres.rs"]
pub(crate) mod postgres;
pub(crate) mod smtp;
pub(crate) mod store;
pub(crate) mod wait;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use http::{Answer, request};
pub(crate) use store::{memory_too, sqlite_only};

/// A server stops within ten seconds; the rest is a margin for a busy machine.
const DRAINED: Duration = Duration::from_secs(15);
/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    /// Such as `http://127.0.0.1:40001`.
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) data_dir: PathBuf,
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    _dir: Option<TempDir>,
}

/// The result of a finished process.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The tokens of a sign-in.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// The attempts of a sign-in while the password queue is full.
const TRIES: usize = 100;

impl Answer {
    /// Returns the tokens of a sign-in; any other answer fails the test.
    #[track_caller]
    pub(crate) fn pair(&self) -> Pair {
        assert_eq!(self.status, 200, "{}", self.text);
        let token = |member: &str| self.body[member].as_str().expect("a token").to_owned();
        Pair { access: token("access"), refresh: token("refresh") }
    }

    /// Returns whether the password queue was full: hashing has the lowest priority, so other processes on a
    /// busy machine can delay it.
    pub(crate) fn is_busy(&self) -> bool {
        self.status == 503 && self.text.contains("Too many sign-ins are waiting.")
    }
}

/// Returns a command for the binary under test, without settings from the environment.
pub(crate) fn quash() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quash"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Returns a command on a data directory, with the store of the tests.
pub(crate) fn quash_on(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = quash();
    command.args(args).arg("--data-dir").arg(data_dir);
    store::choose(&mut command, data_dir, args);
    command
}

/// Runs a command on a data directory to its end.
pub(crate) fn on(data_dir: &Path, args: &[&str], stdin: &str) -> Finished {
    run(quash_on(data_dir, args), stdin)
}

/// Runs a command to its end; `stdin` is what it reads.
pub(crate) fn run(mut command: Command, stdin: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let mut input = child.stdin.take().expect("it is piped");
    // A command that doesn't read its input may have ended already.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let status = wait(&mut child, DEADLINE);
    Finished {
        status,
        stdout: stdout.join().expect("it is read"),
        stderr: stderr.join().expect("it is read"),
    }
}

impl Server {
    /// Starts a server on a free port, with a fresh data directory.
    pub(crate) fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut server = Self::start_in(&dir.path().join("data"), args);
        server._dir = Some(dir);
        server
    }

    /// Starts a server on a data directory that may have been used before; on a free port unless `args` set
    /// one.
    pub(crate) fn start_in(data_dir: &Path, args: &[&str]) -> Self {
        Self::start_with(quash(), data_dir, args)
    }

    /// Lets the settings of later commands be those of the data. With SQLite, a command applies its own; nodes that share
    /// a database leave that to a server that is told to.
    pub(crate) fn apply_settings(data_dir: &Path, settings: &[&str]) {
        if store::is_postgres() {
            let server = Self::start_in(data_dir, &[&["--apply-settings"], settings].concat());
            assert_eq!(server.terminate().code(), 0);
        }
    }

    /// Starts a server with a command that runs the binary with the arguments added to it.
    pub(crate) fn start_with(command: Command, data_dir: &Path, args: &[&str]) -> Self {
        Self::start_with_stderr(command, data_dir, args, Stdio::piped())
    }

    /// Like [`Server::start_with`], with another standard error.
    pub(crate) fn start_with_stderr(
        mut command: Command,
        data_dir: &Path,
        args: &[&str],
        stderr: Stdio,
    ) -> Self {
        command.arg("serve").arg("--data-dir").arg(data_dir).args(args);
        store::choose(&mut command, data_dir, args);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the binary starts");
        let stderr = child.stderr.take().map(|stream| collect(Some(stream)));
        let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
        let (send, ready) = mpsc::channel();
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = reader.read_line(&mut text);
            let _ = send.send(text.clone());
            let _ = reader.read_to_string(&mut text);
            text
        });
        let line = ready.recv_timeout(DEADLINE).unwrap_or_default();
        let url = line.trim().strip_prefix("quash is listening on ").unwrap_or_default().to_owned();
        if url.is_empty() {
            let _ = child.kill();
            panic!(
                "the server said {line:?}, and on stderr: {}",
                stderr.and_then(|stderr| stderr.join().ok()).unwrap_or_default()
            );
        }
        let place = url.trim_start_matches("http://").trim_start_matches("https://");
        // A unix socket has no address.
        let address = if url.starts_with("unix:") {
            ([0, 0, 0, 0], 0).into()
        } else {
            place.parse().expect("an address")
        };
        Self { url, address, data_dir: data_dir.to_owned(), child, stdout: Some(stdout), stderr, _dir: None }
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns a command on this server's data directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        quash_on(&self.data_dir, args)
    }

    /// Runs a command on this server's data directory to its end.
    pub(crate) fn run(&self, args: &[&str], stdin: &str) -> Finished {
        on(&self.data_dir, args, stdin)
    }

    /// Adds an account that can sign in.
    pub(crate) fn add_account(&self, name: &str, password: &str) {
        let added = self.run(&["account", "add", name, "--password-stdin"], password);
        assert!(added.status.success(), "{}", added.stderr);
    }

    /// Signs in; anything but success fails the test.
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Pair {
        let body = json!({ "username": name, "password": password });
        let mut answers = (0..TRIES).map(|_| self.post_json("/api/token/", &body, None));
        answers.find(|answer| !answer.is_busy()).expect("a place in the password queue").pair()
    }

    /// Posts JSON; `bearer` is an access token.
    pub(crate) fn post_json(&self, path: &str, body: &Value, bearer: Option<&str>) -> Answer {
        let authorization = bearer.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        request(self.address, "POST", path, &headers, body.to_string().as_bytes()).expect("an answer")
    }

    /// Gets; `bearer` is an access token.
    pub(crate) fn get(&self, path: &str, bearer: Option<&str>) -> Answer {
        let authorization = bearer.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> =
            authorization.as_deref().map(|value| ("Authorization", value)).into_iter().collect();
        request(self.address, "GET", path, &headers, b"").expect("an answer")
    }

    /// Sends SIGTERM, and waits for the end, which must come soon.
    pub(crate) fn terminate(mut self) -> Finished {
        self.ask_to_end();
        self.finish(DRAINED)
    }

    /// Sends SIGTERM.
    pub(crate) fn ask_to_end(&self) {
        rustix::process::kill_process(pid(&self.child), rustix::process::Signal::TERM).expect("it runs");
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        rustix::process::kill_process(pid(&self.child), rustix::process::Signal::HUP).expect("it runs");
    }

    /// Stops the process (SIGSTOP) until it is continued.
    pub(crate) fn freeze(&self) {
        rustix::process::kill_process(pid(&self.child), rustix::process::Signal::STOP).expect("it runs");
    }

    /// Continues a stopped process.
    pub(crate) fn thaw(&self) {
        rustix::process::kill_process(pid(&self.child), rustix::process::Signal::CONT).expect("it runs");
    }

    /// Waits for the end, which must come soon.
    pub(crate) fn ended(mut self) -> Finished {
        self.finish(DRAINED)
    }

    /// Waits for the process to end without a signal.
    pub(crate) fn wait(mut self) -> Finished {
        self.finish(DEADLINE)
    }

    /// Sends SIGKILL and waits for the end. The data directory stays, if the test made it.
    pub(crate) fn kill(mut self) -> Finished {
        self.child.kill().expect("it runs");
        self.finish(DEADLINE)
    }

    fn finish(&mut self, within: Duration) -> Finished {
        let status = wait(&mut self.child, within);
        let text = |reader: Option<JoinHandle<String>>| {
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        Finished { status, stdout: text(self.stdout.take()), stderr: text(self.stderr.take()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Returns the exit code; an end by a signal fails the test.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by signal {:?}: {}", self.status.signal(), self.stderr))
    }

    /// Returns the `--json` output; a failed command fails the test.
    pub(crate) fn json(&self) -> Value {
        assert!(self.status.success(), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

fn pid(child: &Child) -> rustix::process::Pid {
    i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id")
}

fn collect(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let mut stream = stream.expect("it is piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for the end of a process; a process that doesn't end in time is killed, and fails the test.
fn wait(child: &mut Child, within: Duration) -> ExitStatus {
    let id = pid(child);
    let (ended, watch) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let too_long = watch.recv_timeout(within) == Err(mpsc::RecvTimeoutError::Timeout);
        if too_long {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
        too_long
    });
    let status = child.wait().expect("it can be waited for");
    drop(ended);
    assert!(!watchdog.join().expect("it doesn't panic"), "the process did not end within {within:?}");
    status
}

/// Raises this process's limit on open files as far as possible.
pub(crate) fn raise_limit_of_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Returns the unverified claims of a token.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// Returns the unverified header of a token.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, place: usize) -> Value {
    let part = token.split('.').nth(place).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

/// Returns the number of rounds: a few, or all with `QUASH_SOAK=1`.
#[expect(clippy::disallowed_methods, reason = "a soak run is asked for by the environment")]
pub(crate) fn rounds(few: usize, all: usize) -> usize {
    if std::env::var_os("QUASH_SOAK").is_some() { all } else { few }
}
