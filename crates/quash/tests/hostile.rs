//! Hostile texts at the running binary: in tokens, in the log, on the terminal, in limits of lists.

use crate::support;

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde_json::{Value, json};
use support::{Server, request, run};

const PASSWORD: &str = "correct horse battery staple";

/// A client's name never reaches the log, and each event stays one line.
#[test]
fn a87_clients_cannot_forge_log_lines() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let settings = ["--set", "log.level=trace", "--set", "log.format=json"];
    let server = Server::start_in(&dir.path().join("data"), &settings);
    server.add_account("dana", PASSWORD);
    let long = "x".repeat(8000);
    for text in [
        "a\r\n{\"level\":\"forged\"}",
        "\u{1b}[31mred\u{1b}[0m",
        "\u{202e}desrever",
        "\"},{\"forged\":\"",
        long.as_str(),
    ] {
        let body =
            json!({ "username": text, "password": text.chars().take(20).collect::<String>() }).to_string();
        // The characters that are allowed in a header are sent in one, too.
        let agent: String = text.chars().filter(|c| !c.is_control()).collect();
        let headers = [("Content-Type", "application/json"), ("User-Agent", agent.as_str())];
        let answer =
            request(server.address, "POST", "/api/token/", &headers, body.as_bytes()).expect("an answer");
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

/// A client's name is shown to an operator without control characters.
#[test]
fn a87_a_user_agent_is_harmless_on_a_terminal() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let body = json!({ "username": "dana", "password": PASSWORD }).to_string();
    let headers = [("Content-Type", "application/json"), ("User-Agent", "\u{9b}31mred \u{202e}desrever")];
    let answer =
        request(server.address, "POST", "/api/token/", &headers, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let listed = server.run(&["session", "list", "dana"], "");
    assert!(listed.stdout.contains("red"), "{}", listed.stdout);
    assert!(!listed.stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{:?}", listed.stdout);
}

#[test]
fn a85_page_sizes_are_bounded() {
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

/// Starts a server that accepts the tokens of the list's two profiles, with the account that they name.
fn taking_all(dir: &Path, corpus: &Value) -> Server {
    let mut settings = String::from("[tokens]\nforeign_tokens = \"accept\"\n");
    let a_century = "max_lifetime = \"36525d\"";
    for key in corpus["profiles"]["A"]["keys"].as_array().expect("keys") {
        let (kid, algorithm) = (key["kid"].as_str().expect("a kid"), &key["alg"]);
        let named = format!("algorithm = {algorithm}\npublic_key = '{key}'\nkid = \"{kid}\"");
        settings += &format!(
            "[foreign.{kid}]\n{named}\nissuer = \"https://auth.example\"\naudience = \"api\"\n{a_century}\n"
        );
    }
    let secret = json!({ "kty": "oct", "k": corpus["profiles"]["B"]["hs256_secret_base64url"] });
    settings += &format!(
        "[foreign.b]\nalgorithm = \"HS256\"\nshared_secret = '{secret}'\nissuer = \"*\"\naudience = \"*\"\n{a_century}\n"
    );
    let data_dir = dir.join("data");
    let make = std::fs::DirBuilder::new().mode(0o700).create(&data_dir);
    make.and_then(|()| std::fs::write(data_dir.join("quash.toml"), settings)).expect("it is ours");
    let added = support::on(&data_dir, &["account", "add", "noor", "--subject", "42"], "");
    assert!(added.status.success(), "{}", added.stderr);
    Server::start_in(&data_dir, &["--set", "log.level=trace"])
}

/// The server gives each token of the list its verdict, in a header and in a body, without side effects.
#[test]
fn hostile_tokens_get_their_verdict_over_http() {
    let corpus: Value =
        serde_json::from_str(include_str!("../../quash-core/tests/hostile/tokens.json")).expect("JSON");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = taking_all(dir.path(), &corpus);
    let cases = corpus["cases"].as_array().expect("cases");
    for case in cases {
        let (id, token) = (case["id"].as_str().expect("an id"), case["token"].as_str().expect("a token"));
        let accepted = case["expect"] == "accept";
        // Blanks around a token are ignored in a header (RFC 9110 5.5) and in a body: Django REST framework
        // trims texts.
        let trimmed = id == "T70";
        if !token.contains('\0') && token.is_ascii() {
            let answer = server.get("/v1/me", Some(token));
            assert_eq!(
                answer.status,
                if accepted || trimmed { 200 } else { 401 },
                "{id} in a header: {}",
                answer.text
            );
            assert!(accepted || trimmed || answer.body["code"] == "token_not_valid", "{id}: {}", answer.text);
        }
        let answer = server.post_json("/api/token/verify/", &json!({ "token": token }), None);
        // Any type of token may be verified.
        let of_any_type = id == "T112";
        match (accepted || trimmed || of_any_type, id) {
            (true, _) => assert_eq!((answer.status, answer.text.as_str()), (200, "{}"), "{id} in a body"),
            // Django refuses a field with a NUL.
            (false, "T71") => assert_eq!(answer.text, r#"{"token":["Null characters are not allowed."]}"#),
            (false, _) => {
                let said = answer.body["detail"].as_str().unwrap_or_default();
                assert_eq!(
                    (answer.status, &answer.body["code"]),
                    (401, &json!("token_not_valid")),
                    "{id}: {}",
                    answer.text
                );
                assert!(
                    ["Token is invalid", "Token is expired", "Token has no id", "Token has wrong type"]
                        .contains(&said)
                        || said == "Token has no type"
                        || said == "Token has no 'exp' claim",
                    "{id} reveals too much: {said}"
                );
            }
        }
    }
    let ended = server.terminate();
    for case in cases {
        let token = case["token"].as_str().expect("a token").trim();
        let signature = token.rsplit('.').next().filter(|part| part.len() > 20).unwrap_or(token);
        assert!(!ended.stderr.contains(signature), "{} is in the log", case["id"]);
    }
}
