//! Accounts that another system keeps, at a running server: one is written whole or not at all, when two
//! requests meet and when the server is killed, and no hash is logged. A few rounds here; many with `cargo
//! xtask soak`.

use crate::support;

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use quash_core::model::{Seeded, draw};
use serde_json::{Value, json};
use support::http::Answer;
use support::{Server, request, rounds, store};

/// A hash of [`PASSWORD`] by Django 5.2.19, at a low cost.
const PBKDF2: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";
const PASSWORD: &str = "correct horse battery staple";
const USERS: usize = 100;
const BATCH: &str = "/admin/v1/accounts/batch";

/// Adds a client that may keep accounts, and returns its secret.
fn site(server: &Server) -> String {
    let rights = ["--right", "feed", "--right", "introspect", "--right", "accounts"];
    let added = server.run(&[&["client", "add", "site"], &rights[..]].concat(), "");
    assert_eq!(added.code(), 0, "{}", added.stderr);
    added.stdout.trim().to_owned()
}

/// All users, with values that name the version.
fn users(version: &str) -> Value {
    let user = |n: usize| {
        json!({
            "subject": n.to_string(),
            "username": format!("user {n} {version}"),
            "email": format!("u{n}.{version}@example.org"),
            "email_verified": true,
            "password_hash": PBKDF2.replace("$10$", &format!("$1{}$", version.len())),
            "claims": { "version": version },
        })
    };
    let accounts: Value = (0..USERS).map(user).collect();
    json!({ "accounts": accounts })
}

/// Returns the version of each account, all of whose values must be of it.
fn versions(server: &Server) -> BTreeMap<String, String> {
    let listed = server.run(&["account", "list", "--json"], "").json();
    let of = |account: &Value| {
        let text = |name: &str| account[name].as_str().expect("a text").to_owned();
        let (subject, version) = (text("subject"), account["claims"]["version"].as_str().expect("a version"));
        assert_eq!(text("name"), format!("user {subject} {version}"), "{account}");
        assert_eq!(text("email"), format!("u{subject}.{version}@example.org"), "{account}");
        (subject, version.to_owned())
    };
    listed["accounts"].as_array().expect("a list").iter().map(of).collect()
}

/// Sends a batch, and again as long as the answer says that the server is too busy now.
fn batch(server: &Server, users: &Value, secret: &str) -> Answer {
    loop {
        let answer = server.post_json(BATCH, users, Some(secret));
        if answer.status != 503 {
            return answer;
        }
    }
}

fn outcomes(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let accounts = answer.body["accounts"].as_array().expect("a list");
    accounts.iter().map(|account| account["outcome"].as_str().expect("an outcome")).collect()
}

#[test]
fn soak_killed_batches_leave_whole_accounts() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let chance = Seeded::new(1);
    let mut server = Server::start_in(&data_dir, &[]);
    let secret = site(&server);
    let mut newest = 0;
    for round in 0..rounds(8, 100) {
        let (address, sent) = (server.address, AtomicUsize::new(newest));
        let spins = u32::from(u16::from_le_bytes(draw::<2>(&chance))) * 40;
        let acknowledged = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut acknowledged = newest;
                loop {
                    let version = sent.fetch_add(1, Ordering::SeqCst) + 1;
                    let authorization = format!("Bearer {secret}");
                    let headers = [("Content-Type", "application/json"), ("Authorization", &*authorization)];
                    let body = users(&version.to_string()).to_string();
                    match request(address, "POST", BATCH, &headers, body.as_bytes()) {
                        Ok(answer) if answer.status == 503 => continue,
                        Ok(answer) => assert!(!outcomes(&answer).contains(&"refused"), "{}", answer.text),
                        Err(_) => return acknowledged,
                    }
                    acknowledged = version;
                }
            });
            // One request has been answered, and another is under way.
            while sent.load(Ordering::SeqCst) < newest + 2 {
                std::thread::yield_now();
            }
            for _ in 0..spins {
                std::hint::spin_loop();
            }
            server.kill();
            sending.join().expect("a client")
        });
        newest = sent.load(Ordering::SeqCst);
        server = Server::start_in(&data_dir, &[]);
        let versions = versions(&server);
        assert_eq!(versions.len(), USERS, "round {round}");
        for (subject, version) in &versions {
            let version: usize = version.parse().expect("a number");
            assert!((acknowledged..=newest).contains(&version), "round {round}: {subject} has {version}");
        }
        let again = batch(&server, &users(&newest.to_string()), &secret);
        assert!(outcomes(&again).iter().all(|outcome| *outcome != "refused"), "{}", again.text);
        let repeated = batch(&server, &users(&newest.to_string()), &secret);
        assert_eq!(outcomes(&repeated), vec!["unchanged"; USERS], "round {round}");
    }
}

#[test]
fn soak_two_batches_never_mix_one_account() {
    let engines = ["storage.engine=sqlite", "storage.engine=memory"].map(|engine| vec!["--set", engine]);
    for engine in if store::is_postgres() { vec![Vec::new()] } else { engines.to_vec() } {
        let server = Server::start(&engine);
        let secret = site(&server);
        for round in 0..rounds(5, 100) {
            let (one, other) = (format!("a{round}"), format!("bb{round}"));
            let begin = Barrier::new(2);
            let send = |version: &str| {
                let users = users(version);
                begin.wait();
                let answer = batch(&server, &users, &secret);
                assert!(!outcomes(&answer).contains(&"refused"), "{}", answer.text);
            };
            std::thread::scope(|scope| {
                scope.spawn(|| send(&one));
                send(&other);
            });
            let versions = versions(&server);
            assert!(
                versions.len() == USERS && versions.values().all(|found| *found == one || *found == other)
            );
        }
    }
}

#[test]
fn imported_users_sign_in_and_no_hash_is_logged() {
    let server = Server::start(&["--set", "log.level=trace"]);
    let secret = site(&server);
    let body = json!({ "accounts": [
        { "subject": "17", "username": "dana", "password_hash": PBKDF2 },
        { "subject": "18", "username": "kim", "password_hash": format!("x{PBKDF2}") },
    ] });
    assert_eq!(outcomes(&server.post_json(BATCH, &body, Some(&secret))), ["created", "refused"]);
    let pair = server.sign_in("dana", PASSWORD);
    assert_eq!(outcomes(&server.post_json(BATCH, &body, Some(&secret))), ["unchanged", "refused"]);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200, "a better hash is no other password");
    let authorization = format!("Bearer {secret}");
    let headers = [("Content-Type", "application/json"), ("Authorization", &*authorization)];
    let change = json!({ "password_hash": PBKDF2.replace("$10$", "$11$") }).to_string();
    let changed = request(server.address, "PATCH", "/admin/v1/accounts/17", &headers, change.as_bytes());
    assert!(changed.expect("an answer").body["seq"].is_u64());
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 401);
    let audit = server.run(&["audit", "list", "--subject", "17", "--json"], "").json();
    let by_site = |entry: &&Value| entry["actor"] == "client:site";
    let events: Vec<_> = audit["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter(by_site)
        .map(|entry| &entry["event"])
        .collect();
    assert_eq!(events, ["account_added", "password_set"]);
    let ended = server.terminate();
    assert!(!ended.stderr.contains("uqZlmSoPEuJNjWxOnGTzHz") && !ended.stderr.contains(&secret[3..]));
}
