//! No secret in any log (A88), none in the database in clear, and no way in before somebody made one (A98).

mod support;

use std::fs;

use serde_json::json;
use support::{Server, request};

const PASSWORD: &str = "tr0ub4dor and three";
const WRONG_PASSWORD: &str = "not-the-right-one-9317";
const NEW_PASSWORD: &str = "p4ssword for eve 5150";
/// As Django makes them, at a low cost.
const HASH: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";
const PASSWORD_OF_HASH: &str = "correct horse battery staple";

#[test]
fn nothing_secret_is_logged_or_kept_in_clear() {
    for format in ["text", "json"] {
        let room = tempfile::tempdir().expect("a temporary directory");
        let data_dir = room.path().join("data");
        let server = Server::start_in(&data_dir, &["--set", "log.level=trace", "--set", &format!("log.format={format}")]);
        server.add_account("dana", PASSWORD);
        let taken = server.run(&["account", "add", "dana", "--password-stdin", "--set", "log.level=trace"], NEW_PASSWORD);
        assert_eq!(taken.code(), 5);
        let mut said = taken.stdout + &taken.stderr;
        // One hash is taken, one refused, and one replaced at sign-in: none is ever told.
        for (name, hash, code) in [("eve", HASH, 0), ("eve", HASH, 5), ("finn", &HASH[..80], 2)] {
            let imported = server.run(&["account", "add", name, "--password-hash-stdin", "--set", "log.level=trace"], hash);
            assert_eq!(imported.code(), code, "{}", imported.stderr);
            said += &(imported.stdout + &imported.stderr);
        }
        server.sign_in("eve", PASSWORD_OF_HASH);
        let mut secrets = vec![PASSWORD.to_owned(), WRONG_PASSWORD.to_owned(), NEW_PASSWORD.to_owned(), PASSWORD_OF_HASH.to_owned()];
        let key = fs::read_to_string(data_dir.join("master.key")).expect("it is ours");
        secrets.push(key.trim().to_owned());

        let first = server.sign_in("dana", PASSWORD);
        let rotated = server.post_json("/api/token/refresh/", &json!({ "refresh": first.refresh }), None);
        let second = [&rotated.body["access"], &rotated.body["refresh"]].map(|token| token.as_str().expect("a token").to_owned());
        secrets.extend([first.access.clone(), first.refresh.clone()].into_iter().chain(second.clone()));
        let wrong = json!({ "username": "dana", "password": WRONG_PASSWORD });
        assert_eq!(server.post_json("/api/token/", &wrong, None).status, 401);
        let cut_off = format!("{{\"username\": \"dana\", \"password\": \"{PASSWORD}\"");
        let json_type = [("Content-Type", "application/json")];
        assert_eq!(request(server.address, "POST", "/api/token/", &json_type, cut_off.as_bytes()).expect("an answer").status, 400);
        let in_query = format!("/v1/me?access={}", first.access);
        assert_eq!(server.get(&in_query, None).status, 401);
        assert_eq!(server.get("/v1/me", Some(&second[0])).status, 200);
        for token in [&first.access, &first.refresh] {
            server.post_json("/api/token/verify/", &json!({ "token": token }), None);
            let inspected = server.run(&["token", "inspect", "-"], token);
            assert_eq!(inspected.code(), 0);
            said += &inspected.stderr;
        }
        assert_eq!(server.post_json("/api/logout/", &json!({ "refresh": second[1] }), Some(&second[0])).status, 200);
        assert_eq!(server.get("/v1/me", Some(&second[0])).status, 401);
        // Reusing a spent token logs a warning.
        server.post_json("/api/token/refresh/", &json!({ "refresh": first.refresh }), None);

        let finished = server.terminate();
        said += &finished.stdout;
        said += &finished.stderr;
        assert!(said.contains("TRACE") || said.contains("DEBUG"), "the log is as talkative as it can be: {said}");
        let files: Vec<Vec<u8>> = fs::read_dir(&data_dir)
            .expect("it is ours")
            .map(|entry| entry.expect("it is readable").path())
            .filter(|path| path.file_name().is_some_and(|name| name != "master.key"))
            .map(|path| fs::read(path).expect("it is ours"))
            .collect();
        assert!(files.iter().any(|bytes| bytes.windows(4).any(|window| window == b"dana")), "the database is among them");
        assert!(!said.contains(&HASH[20..70]), "the hash is in: {said}");
        for secret in &secrets {
            // A token's signature alone would do, too.
            let part = secret.rsplit('.').next().unwrap_or(secret);
            assert!(!said.contains(part), "{part} is in: {said}");
            assert!(!files.iter().any(|bytes| bytes.windows(part.len()).any(|window| window == part.as_bytes())), "{part} is in a file");
        }
    }
}

#[test]
fn a_first_start_has_no_account_and_says_no_secret() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let data_dir = room.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    assert_eq!(server.run(&["account", "list", "--json"], "").json()["accounts"], json!([]));
    for (name, password) in [("admin", "admin"), ("quash", "quash"), ("root", ""), ("", "")] {
        let answer = server.post_json("/api/token/", &json!({ "username": name, "password": password }), None);
        assert!(matches!(answer.status, 400 | 401), "{name}: {}", answer.status);
    }
    let key = fs::read_to_string(data_dir.join("master.key")).expect("it is ours");
    let finished = server.terminate();
    assert!(finished.stderr.contains("made the master key"), "{}", finished.stderr);
    assert!(!(finished.stdout + &finished.stderr).contains(key.trim()));
    let other = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start_in(&other.path().join("data"), &[]);
    let other_key = fs::read_to_string(server.data_dir.join("master.key")).expect("it is ours");
    assert_ne!(key, other_key, "no two are alike");
}

#[test]
fn a87_one_event_is_one_line_whatever_a_client_calls_itself() {
    let names = ["dana\r\n2027-01-01T00:00:00Z  INFO forged", "\u{1b}[31mred", "\u{202e}anad", "\"},{\"level\":\"ERROR\"", "{}{}%s%n"];
    for format in ["text", "json"] {
        let server = Server::start(&["--set", "log.level=trace", "--set", &format!("log.format={format}")]);
        server.add_account("dana", PASSWORD);
        for name in names {
            let body = json!({ "username": name, "password": WRONG_PASSWORD }).to_string();
            let agent = name.replace(['\r', '\n'], "\t");
            let headers = [("Content-Type", "application/json"), ("User-Agent", agent.as_str())];
            // A head with a control character is none.
            let wrong = request(server.address, "POST", "/api/token/", &headers, body.as_bytes()).expect("an answer");
            assert!(matches!(wrong.status, 401 | 400), "{}", wrong.text);
            let right = json!({ "username": "dana", "password": PASSWORD }).to_string();
            let answer = request(server.address, "POST", "/api/token/", &headers, right.as_bytes()).expect("an answer");
            assert!(matches!(answer.status, 200 | 400), "{}", answer.text);
        }
        let tail = server.run(&["audit", "tail"], "");
        let entries = server.run(&["audit", "list", "--json"], "").json();
        assert_eq!(Some(tail.stdout.lines().count()), entries["entries"].as_array().map(Vec::len));
        let said = server.terminate().stderr;
        for text in [&said, &tail.stdout] {
            assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "something steers the terminal: {text:?}");
        }
        for line in said.lines() {
            match format {
                "json" => assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|event| event.is_object()), "{line}"),
                _ => assert!(line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T'), "{line}"),
            }
        }
    }
}
