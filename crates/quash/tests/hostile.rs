//! Hostile texts at the running binary: in the log, on the terminal, in limits of lists.

mod support;

use serde_json::{Value, json};
use support::{Server, request, run};

const PASSWORD: &str = "correct horse battery staple";

/// One event is one line, whatever a client calls itself, and nothing of it reaches the log.
#[test]
fn a87_what_a_client_sends_forges_no_line_of_the_log() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let settings = ["--set", "log.level=trace", "--set", "log.format=json"];
    let server = Server::start_in(&room.path().join("data"), &settings);
    server.add_account("dana", PASSWORD);
    let long = "x".repeat(8000);
    for text in ["a\r\n{\"level\":\"forged\"}", "\u{1b}[31mred\u{1b}[0m", "\u{202e}desrever", "\"},{\"forged\":\"", long.as_str()] {
        let body = json!({ "username": text, "password": text.chars().take(20).collect::<String>() }).to_string();
        // What may stand in a header is sent in one, too.
        let agent: String = text.chars().filter(|c| !c.is_control()).collect();
        let headers = [("Content-Type", "application/json"), ("User-Agent", agent.as_str())];
        let answer = request(server.address, "POST", "/api/token/", &headers, body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert!(!answer.text.contains("forged"), "{}", answer.text);
    }
    let agent = [("Content-Type", "application/json"), ("User-Agent", "\u{1b}[31mred")];
    let odd = request(server.address, "POST", "/api/token/", &agent, b"{}").expect("an answer");
    assert_eq!(odd.status, 400, "{}", odd.text);
    let ended = server.terminate();
    assert!(ended.stderr.lines().count() > 5, "{}", ended.stderr);
    for line in ended.stderr.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string() && line.len() < 4096, "{line}");
        assert!(!line.contains("forged") && !line.contains("desrever") && !line.contains("xxxx"), "{line}");
    }
}

/// What a client called itself is shown to an operator, and moves no cursor.
#[test]
fn a87_a_user_agent_is_harmless_on_a_terminal() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let body = json!({ "username": "dana", "password": PASSWORD }).to_string();
    let headers = [("Content-Type", "application/json"), ("User-Agent", "\u{9b}31mred \u{202e}desrever")];
    let answer = request(server.address, "POST", "/api/token/", &headers, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let listed = server.run(&["session", "list", "dana"], "");
    assert!(listed.stdout.contains("red"), "{}", listed.stdout);
    assert!(!listed.stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{:?}", listed.stdout);
}

#[test]
fn a85_a_page_has_a_size_that_makes_sense() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    for limit in ["0", "-1", "9223372036854775808", "1e9", "ten", ""] {
        let listed = run(server.command(&["account", "list", &format!("--limit={limit}")]), "");
        assert_eq!(listed.code(), 2, "--limit={limit}: {} {}", listed.stdout, listed.stderr);
        assert!(listed.stderr.contains("--limit"), "{}", listed.stderr);
    }
    for limit in ["1", "200"] {
        assert!(server.run(&["account", "list", "--limit", limit], "").status.success(), "{limit}");
    }
}
