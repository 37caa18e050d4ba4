//! Runs an example in its own process, beside a server on a socket of this process.
#![allow(dead_code, clippy::allow_attributes, reason = "each example uses a different part of it")]

pub(crate) mod wait;

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http::header::{AUTHORIZATION, HOST};
use hyper_util::rt::TokioIo;
use quash_core::model::{Clock, Rights};
use quash_server::Listener;
use quash_verify::SystemClock;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Answer, Plan, World};

/// The time after its answer by which a revocation is effective everywhere.
pub(crate) const TERM: Duration = Duration::from_secs(10);

/// A running example. Dropping it kills the process and closes the server's socket.
pub(crate) struct Example {
    pub(crate) address: SocketAddr,
    child: Child,
    _server: JoinSet<io::Result<()>>,
    _credential: TempDir,
}

/// Starts the world's clock at the current time, because the example reads the machine's clock.
pub(crate) fn now(plan: Plan) -> Plan {
    Plan { now: SystemClock.now(), ..plan }
}

impl Example {
    /// Serves a world on a socket, and starts a program that follows it and listens on a free port.
    pub(crate) async fn beside(world: &World, program: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let mut server = JoinSet::new();
        server.spawn(quash_server::serve(Listener::tcp(listener), world.router(), std::future::pending()));
        let (_, secret) =
            world.service.add_client("example", Rights::VERIFIER, None).await.expect("a verifier");
        let credential = tempfile::tempdir().expect("a temporary directory");
        let file = credential.path().join("credential");
        std::fs::write(&file, format!("{}\n", *secret.into_text())).expect("a file");
        let mut command = Command::new(program);
        command.arg(issuer).arg(file).arg("127.0.0.1:0");
        // This thread runs the server, so it must not block on the example's output.
        let (child, address) = tokio::task::spawn_blocking(|| start(command)).await.expect("it starts");
        Self { address, child, _server: server, _credential: credential }
    }

    /// Requests a path with a token.
    pub(crate) async fn ask(&self, path: &str, token: &str) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        let request =
            Request::get(path).header(HOST, "example").header(AUTHORIZATION, format!("Bearer {token}"));
        let answer =
            sender.send_request(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        Answer::read(answer.map(Body::new)).await
    }
}

/// Starts an example and reads the address that it listens on. It prints that once it is fresh.
fn start(mut command: Command) -> (Child, SocketAddr) {
    let mut child =
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it can be run");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("text");
    match line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok()) {
        Some(address) => (child, address),
        None => {
            let _ = child.kill();
            panic!("{command:?} said {line:?}, and ended with {:?}", child.wait());
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that a verifier refuses a token with the same status, code and texts as the server.
pub(crate) fn assert_same_refusal(verifier: &Answer, server: &Answer) {
    let words = |answer: &Answer| {
        let body = answer.json();
        (
            answer.status,
            body["code"].clone(),
            body["detail"].clone(),
            answer.header("www-authenticate").map(str::to_owned),
        )
    };
    assert_eq!((words(verifier), verifier.status), (words(server), 401), "{verifier}");
}
