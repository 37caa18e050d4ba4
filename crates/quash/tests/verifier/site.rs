//! A server, a proxy to it that injects faults, and a verifier in this process that follows it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quash_verify::{Verifier, VerifierState, WhenStale};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::presented::{PresentedSessions, TERM};
use super::proxy::{Proxy, ProxyFault};
use super::support::{Pair, Server, on, quash, rounds};
use super::wait::{until, uptime};

const PASSWORD: &str = "correct horse battery staple";
/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// The time in which a verifier must catch up after a fault.
const CAUGHT_UP: Duration = Duration::from_secs(1);
/// The factor for a busy machine; a soak has the machine for itself.
const BUSY: usize = 4;

/// A server, a verifier, and the proxy between them.
pub(crate) struct Site {
    dir: TempDir,
    server: Option<Server>,
    credential: String,
    pub(crate) proxy: Proxy,
    pub(crate) verifier: Verifier,
    pub(crate) presented: PresentedSessions,
}

impl Site {
    /// Starts a server and a verifier, and waits until the verifier is fresh.
    pub(crate) async fn open(seed: u64) -> Self {
        Self::open_with(quash(), seed).await
    }

    /// Like [`Site::open`], with a command that runs the server.
    pub(crate) async fn open_with(command: Command, seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (server, credential) = block_in_place(|| {
            let server = start(command, &dir.path().join("data"));
            server.add_account("dana", PASSWORD);
            let added = server.run(&["verifier", "add", "api"], "");
            assert_eq!(added.code(), 0, "{}", added.stderr);
            (server, added.stdout.trim().to_owned())
        });
        let proxy = Proxy::open(server.address, seed).await;
        let verifier = verifier(&proxy, &credential).await;
        let presented = PresentedSessions::to(&verifier);
        Self { dir, server: Some(server), credential, proxy, verifier, presented }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("a server runs")
    }

    /// Opens a session whose token is presented from now on.
    pub(crate) fn sign_in(&self) -> usize {
        self.presented.add(self.pair())
    }

    /// Opens a session that isn't presented.
    pub(crate) fn pair(&self) -> Pair {
        block_in_place(|| self.server().sign_in("dana", PASSWORD))
    }

    /// Ends a session at the server.
    pub(crate) fn end(&self, session: usize) -> Pair {
        let pair = self.presented.ending(session);
        let body = json!({ "refresh": pair.refresh });
        let ended = block_in_place(|| self.server().post_json("/api/token/blacklist/", &body, None));
        assert_eq!(ended.status, 200, "{}", ended.text);
        self.presented.ended(session);
        pair
    }

    /// Ends all sessions of the account, including this presented one.
    pub(crate) fn end_all_of_dana(&self, session: usize) -> Pair {
        let pair = self.presented.ending(session);
        self.run(&["revoke", "account", "dana"]);
        self.presented.ended(session);
        pair
    }

    /// Starts another verifier.
    pub(crate) async fn another_verifier(&self) -> Verifier {
        verifier(&self.proxy, &self.credential).await
    }

    /// Returns whether the server refuses each token that has ended.
    pub(crate) fn is_refused_at_the_server(&self) -> bool {
        let me = |token: String| block_in_place(|| self.server().get("/v1/me", Some(&token)).status);
        self.presented.tokens_of_ended().into_iter().all(|token| me(token) == 401)
    }

    /// Returns whether the server refuses each token that is about to be ended.
    pub(crate) fn server_has_ended_all(&self) -> bool {
        let me = |token: String| block_in_place(|| self.server().get("/v1/me", Some(&token)).status);
        self.presented.tokens_about_to_end().into_iter().all(|token| me(token) == 401)
    }

    /// Runs a command on the data directory, which must succeed.
    pub(crate) fn run(&self, args: &[&str]) {
        let finished = block_in_place(|| on(&self.data_dir(), args, ""));
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let server = self.server.take().expect("a server runs");
        let finished = block_in_place(|| server.kill());
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    }

    /// Stops the server in order, so that its database is one file.
    pub(crate) fn terminate(&mut self) {
        let server = self.server.take().expect("a server runs");
        let finished = block_in_place(|| server.terminate());
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }

    /// Starts a server on the data directory, and connects the verifier to it.
    pub(crate) fn start(&mut self) {
        self.start_with(quash());
    }

    /// Like [`Site::start`], with a command that runs the server.
    pub(crate) fn start_with(&mut self, command: Command) {
        let server = block_in_place(|| start(command, &self.data_dir()));
        self.proxy.set_issuer(server.address);
        self.server = Some(server);
    }

    /// Removes the fault. Waits until the verifier is fresh, refuses all ended sessions and accepts new ones,
    /// and returns the time that took.
    pub(crate) async fn remove_fault(&self) -> Duration {
        let new = self.pair();
        self.proxy.set_fault(ProxyFault::None);
        self.catch_up(&new).await
    }

    /// Waits until the verifier is fresh, refuses all ended sessions and accepts this one, and returns the
    /// time that took.
    pub(crate) async fn catch_up(&self, new: &Pair) -> Duration {
        let began = uptime();
        until("all ended sessions are refused", DEADLINE, || self.presented.knows_all()).await;
        self.is_fresh_for(new).await;
        let took = uptime().saturating_sub(began);
        assert_is_soon(took);
        took
    }

    /// Waits until the verifier is fresh and accepts this session.
    async fn is_fresh_for(&self, new: &Pair) {
        until("it is fresh", DEADLINE, || self.verifier.state() == VerifierState::Fresh).await;
        let mut checked = self.verifier.check(&new.access).await;
        while checked.is_err() {
            until("it is fresh again", DEADLINE, || self.verifier.state() == VerifierState::Fresh).await;
            checked = self.verifier.check(&new.access).await;
        }
    }

    /// Opens and ends sessions for this time, and returns their number.
    pub(crate) async fn use_for(&self, span: Duration) -> usize {
        let (began, mut ended) = (uptime(), 0);
        while uptime().saturating_sub(began) < span {
            let session = self.sign_in();
            self.end(session);
            ended += 1;
            super::wait::pass(TERM / 20).await;
        }
        ended
    }

    /// Stops the server, and fails the test if a token was accepted wrongly. Returns the latest acceptance of
    /// an ended token.
    pub(crate) async fn check(mut self) -> Duration {
        let finished = self.server.take().map(|server| block_in_place(|| server.kill()));
        let stderr = finished.map(|finished| finished.stderr).unwrap_or_default();
        assert!(!stderr.contains("panicked"), "{stderr}");
        self.presented.check().await
    }
}

/// Asserts that a verifier caught up in time.
pub(crate) fn assert_is_soon(took: Duration) {
    let times = u32::try_from(rounds(BUSY, 1)).expect("few");
    assert!(took < CAUGHT_UP * times, "it took {took:?}");
}

fn start(command: Command, data_dir: &Path) -> Server {
    Server::start_with(command, data_dir, &["--set", &format!("feed.term={}s", TERM.as_secs())])
}

async fn verifier(proxy: &Proxy, credential: &str) -> Verifier {
    let address = format!("http://{}", proxy.address);
    Verifier::builder(address)
        .credential(credential)
        .when_stale(WhenStale::Deny)
        .start()
        .await
        .expect("a verifier")
}

/// Prints a figure, visible with `--nocapture`.
#[expect(clippy::print_stdout, reason = "figures are for readers of the output")]
pub(crate) fn tell(figure: &str) {
    println!("{figure}");
}
