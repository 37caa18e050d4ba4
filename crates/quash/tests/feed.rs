//! The feed and the barrier of a running server: commands that wait, and streams that end with the server.

use crate::support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use support::Server;
use support::feed::{cursor, lease_of};

const PASSWORD: &str = "a password of dana's";

fn start() -> (Server, String) {
    let server = Server::start(&["--set", "feed.term=1s"]);
    server.add_account("dana", PASSWORD);
    let added = server.run(&["verifier", "add", "api"], "");
    assert_eq!(added.code(), 0, "{}", added.stderr);
    let secret = added.stdout.trim().to_owned();
    (server, secret)
}

/// Fetches a snapshot, and requests a lease at its end.
fn lease(server: &Server, secret: &str, instance: &str) {
    labelled_lease(server, secret, instance, "");
}

/// The same, with further parameters.
fn labelled_lease(server: &Server, secret: &str, instance: &str, label: &str) {
    let cursor = cursor(server, secret);
    assert_eq!(lease_of(server, secret, &cursor, instance, label), 200);
}

fn revoke(server: &Server) -> (i32, Value) {
    let revoked = server.run(&["revoke", "account", "dana", "--wait", "--json"], "");
    assert!(!revoked.stderr.contains("failed to start the log"), "{}", revoked.stderr);
    (revoked.code(), serde_json::from_str(&revoked.stdout).expect("JSON"))
}

#[test]
fn revoke_wait_prints_the_state_of_each_verifier() {
    let (server, secret) = start();
    let (code, effective) = revoke(&server);
    assert_eq!((code, effective["verifiers"].as_array().map(Vec::len)), (0, Some(0)), "no verifier follows");
    lease(&server, &secret, "01");
    let (code, effective) = revoke(&server);
    assert_eq!(
        (code, effective["verifiers"][0]["state"].as_str()),
        (7, Some("stale")),
        "it was cut off, and its lease has run out"
    );
    // A verifier that keeps renewing confirms revocations.
    let done = AtomicBool::new(false);
    let (code, effective) = std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                lease(&server, &secret, "02");
            }
        });
        lease(&server, &secret, "02");
        let revoked = revoke(&server);
        done.store(true, Ordering::SeqCst);
        follower.join().expect("it follows");
        revoked
    });
    let states: Vec<_> = effective["verifiers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|seen| (&seen["instance"], &seen["state"]))
        .collect();
    let (old, new) = (Value::from("01".repeat(16)), Value::from("02".repeat(16)));
    let listed = server.run(&["verifier", "list", "--json"], "").json();
    assert_eq!(listed["clients"][0]["instances"].as_array().map(Vec::len), Some(2), "{listed}");
    assert!(
        server.run(&["verifier", "list"], "").stdout.contains("1 stale"),
        "the one whose lease has run out"
    );
    assert_eq!(states, [(&old, &Value::from("stale")), (&new, &Value::from("confirmed"))]);
    assert_eq!(code, 7);
}

#[test]
fn verifiers_are_listed_by_credential_and_host() {
    let (server, secret) = start();
    let chat = server.run(&["verifier", "add", "chat"], "").stdout.trim().to_owned();
    labelled_lease(&server, &secret, "01", "&host=web-1&pid=4711");
    labelled_lease(&server, &secret, "02", "&host=web-1&pid=4712");
    labelled_lease(&server, &secret, "03", "&host=web-2&pid=4711");
    labelled_lease(&server, &chat, "04", "");
    server.run(&["verifier", "add", "idle"], "");
    let listed = server.run(&["verifier", "list"], "").stdout;
    let rows: Vec<Vec<_>> = listed
        .lines()
        .skip(1)
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .map(|cells: Vec<_>| [0, 2, 3].map(|column| cells[column].to_owned()).to_vec())
        .collect();
    assert_eq!(
        rows,
        [
            ["api", "web-1", "2 with a lease"],
            ["api", "web-2", "1 with a lease"],
            ["chat", "-", "1 with a lease"],
            ["idle", "-", "none"]
        ],
        "{listed}"
    );
    let json = server.run(&["verifier", "list", "--json"], "").json();
    let first = &json["clients"][0]["instances"][0];
    assert_eq!((&first["host"], &first["pid"]), (&Value::from("web-1"), &Value::from(4711)), "{json}");
    assert_eq!(json["clients"][1]["instances"][0].get("host"), None, "{json}");
}

#[test]
fn streams_send_revocations_and_end_with_the_server() {
    let (server, secret) = start();
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let path = format!("/v1/feed?v=2&after={}", cursor(&server, &secret));
    write!(stream, "GET {path} HTTP/1.1\r\nHost: quash\r\nAuthorization: Bearer {secret}\r\n\r\n")
        .expect("a request");
    let mut lines =
        BufReader::new(stream).lines().map_while(Result::ok).filter(|line| line.starts_with("event: "));
    assert_eq!(lines.next().as_deref(), Some("event: policy"));
    server.run(&["revoke", "account", "dana"], "");
    assert_eq!(lines.next().as_deref(), Some("event: entries"));
    server.ask_to_end();
    assert_eq!(lines.next(), None);
    assert!(server.ended().status.success());
}

#[test]
fn removed_credentials_end_their_streams() {
    let (server, secret) = start();
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let path = format!("/v1/feed?v=2&after={}", cursor(&server, &secret));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: quash\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
    )
    .expect("a request");
    let mut lines =
        BufReader::new(stream).lines().map_while(Result::ok).filter(|line| line.starts_with("event: "));
    assert_eq!(lines.next().as_deref(), Some("event: policy"));
    assert_eq!(server.run(&["verifier", "remove", "api"], "").code(), 0);
    assert_eq!(lines.next(), None, "without waiting for an entry");
}
