//! Mails without an SMTP server: written to standard error, or queued.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::json;

use super::{NEW_PASSWORD, SOON, add_dana, ask, readiness, reset};
use crate::support::{Server, quash_on};

#[test]
fn development_mails_go_to_stderr_outside_the_log() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let added = super::on(
        &data_dir,
        &["account", "add", "dana", "--email", "dana@example.org", "--verified", "--password-stdin"],
        super::PASSWORD,
    );
    assert!(added.status.success(), "{}", added.stderr);
    let mut command = quash_on(&data_dir, &["serve", "--listen", "127.0.0.1:0", "--set", "log.format=json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut first).expect("a line");
    let url = first.trim().strip_prefix("quash is listening on ").expect("an address").to_owned();
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let (send, lines) = channel();
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let address = url.strip_prefix("http://").expect("http").parse().expect("an address");
    let post = |path: &str, body: serde_json::Value| {
        let headers = [("Content-Type", "application/json")];
        super::request(address, "POST", path, &headers, body.to_string().as_bytes()).expect("an answer")
    };
    assert_eq!(post("/v1/password-reset", json!({ "username": "dana" })).status, 202);
    let mut seen = Vec::new();
    let line = loop {
        let line = lines.recv_timeout(SOON).unwrap_or_else(|_| panic!("no mail among {seen:#?}"));
        if line.starts_with("[development mail] ") {
            break line;
        }
        seen.push(line);
    };
    assert!(seen.iter().all(|line| line.starts_with('{') && !line.contains("token=")), "{seen:#?}");
    let expected = format!(
        "[development mail] to dana@example.org: Reset your password ({}): {url}/reset?token=",
        address
    );
    assert!(line.starts_with(&expected), "{line}");
    let token = line.split_once("?token=").expect("a token").1.split(' ').next().expect("a token");
    let confirmed =
        post("/v1/password-reset/confirm", json!({ "token": token, "new_password": NEW_PASSWORD }));
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn mails_behind_a_proxy_wait_with_one_warning() {
    let server =
        Server::start(&["--set", "http.behind_proxy=true", "--set", "http.trusted_proxies=10.0.0.5"]);
    add_dana(&server);
    let known = ask(&server);
    assert_eq!(known.body["flow"].as_str().map(str::len), Some(32));
    assert_eq!(readiness(&server), "waiting: mail.host is not set");
    assert_eq!(server.get("/readyz", None).status, 200);
    assert_eq!(reset(&server, "none"), 400);
    let finished = server.terminate();
    assert_eq!(finished.stderr.matches("mail.host is not set").count(), 1, "{}", finished.stderr);
    assert!(
        !finished.stderr.contains("[development mail]") && !finished.stderr.contains("token="),
        "{}",
        finished.stderr
    );
}

#[test]
fn queued_mails_are_sent_after_configuration() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(
        &data_dir,
        &["--set", "http.behind_proxy=true", "--set", "http.trusted_proxies=10.0.0.5"],
    );
    add_dana(&server);
    ask(&server);
    assert!(server.terminate().status.success());
    let smtp = super::Smtp::start(super::Behaviour::Kind);
    let flags = super::flags(smtp.address);
    let server = Server::start_in(&data_dir, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(readiness(&server), "ok");
    assert_eq!(reset(&server, &smtp.next().token()), 200);
}
