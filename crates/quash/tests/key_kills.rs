//! The server is killed at random moments during key rotations: valid tokens are accepted, and a revoked key
//! signs nothing. A few rounds here; many with `cargo xtask soak`.

use crate::support;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use quash_core::model::{Seeded, draw};
use serde_json::{Value, json};
use support::http::request;
use support::{Answer, Pair, Server, header, on, rounds};

const PASSWORD: &str = "correct horse battery staple";
const CLIENTS: usize = 3;

/// The shared state of a round's threads.
struct Round {
    address: std::net::SocketAddr,
    acknowledged: AtomicUsize,
    /// The number of finished commands.
    commanded: AtomicUsize,
    stop: AtomicBool,
    /// The keys whose revocation a command has acknowledged.
    struck: Mutex<BTreeSet<String>>,
}

impl Round {
    /// Signs in, then refreshes and calls until the server is gone; returns the newest pair.
    fn client(&self) -> Option<Pair> {
        let body = json!({ "username": "dana", "password": PASSWORD });
        let mut pair = self.exchange("/api/token/", &body).ok()?;
        while !self.stop.load(Ordering::SeqCst) {
            let Ok(next) = self.exchange("/api/token/refresh/", &json!({ "refresh": pair.refresh })) else {
                break;
            };
            pair = next;
            let Ok(me) = self.me(&pair.access) else { break };
            // Its key may have been revoked since, before a command acknowledged it.
            assert!(matches!(me.status, 200 | 401), "{}", me.text);
        }
        Some(pair)
    }

    /// Exchanges a token, and checks that no key signed the answer that was known to be revoked before the
    /// request.
    fn exchange(&self, path: &str, body: &Value) -> io::Result<Pair> {
        let struck = self.struck.lock().expect("a set").clone();
        let answer = request(
            self.address,
            "POST",
            path,
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )?;
        let pair = answer.pair();
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        for token in [&pair.access, &pair.refresh] {
            assert!(!struck.contains(&kid(token)), "{path}: a revoked key has signed");
        }
        Ok(pair)
    }

    fn me(&self, access: &str) -> io::Result<Answer> {
        let me =
            request(self.address, "GET", "/v1/me", &[("Authorization", &format!("Bearer {access}"))], b"")?;
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        Ok(me)
    }

    /// Rotates and revokes keys, one command after the other. A command that runs while the server is killed
    /// may do its work itself, or fail.
    fn operator(&self, data_dir: &Path, first: u8) {
        for turn in usize::from(first).. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            match turn % 3 {
                0 => drop(on(data_dir, &["key", "rotate"], "")),
                1 => drop(on(data_dir, &["key", "rotate", "--now"], "")),
                _ => self.strike(data_dir),
            }
            self.commanded.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits for a number of commands and then of answers, so that the kill interrupts the next command.
    /// Stops waiting once a client has found a fault.
    fn wait(&self, commands: usize, answers: usize, fault: impl Fn() -> bool) {
        while self.commanded.load(Ordering::SeqCst) < commands && !fault() {
            std::hint::spin_loop();
        }
        let before = self.acknowledged.load(Ordering::SeqCst);
        while self.acknowledged.load(Ordering::SeqCst) < before + answers && !fault() {
            std::hint::spin_loop();
        }
    }

    fn strike(&self, data_dir: &Path) {
        let listed = on(data_dir, &["key", "list", "--json"], "");
        if !listed.status.success() {
            return;
        }
        let current = in_state(&listed.json(), "current").pop_first().expect("a key signs");
        if on(data_dir, &["revoke", "key", &current], "").status.success() {
            self.struck.lock().expect("a set").insert(current);
        }
    }
}

#[test]
fn f03_soak_killed_during_key_rotation() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let chance = Seeded::new(3);
    let mut server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    let mut struck = BTreeSet::new();
    for number in 0..rounds(10, 100) {
        let [first, commands, answers] = draw::<3>(&chance);
        let round = Round {
            address: server.address,
            acknowledged: AtomicUsize::new(0),
            commanded: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            struck: Mutex::new(std::mem::take(&mut struck)),
        };
        let pairs = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| round.client())).collect();
            let operator = scope.spawn(|| round.operator(&data_dir, first));
            let fault = || clients.iter().any(|client| client.is_finished());
            round.wait(usize::from(commands % 8), 1 + usize::from(answers % 32), fault);
            server.kill();
            round.stop.store(true, Ordering::SeqCst);
            operator.join().expect("an operator");
            clients.into_iter().filter_map(|client| client.join().expect("a client")).collect::<Vec<_>>()
        });
        struck = round.struck.into_inner().expect("a set");
        server = Server::start_in(&data_dir, &[]);
        check(&server, &pairs, &struck, number);
    }
}

/// Checks tokens against the store: those of a revoked key are refused, all others are accepted, and every
/// session continues with a signing key.
fn check(server: &Server, pairs: &[Pair], acknowledged: &BTreeSet<String>, number: usize) {
    let keys = server.run(&["key", "list", "--json"], "").json();
    let (struck, current) = (in_state(&keys, "struck"), in_state(&keys, "current"));
    assert_eq!(current.len(), 1, "round {number}: {keys}");
    assert!(in_state(&keys, "next").len() <= 1, "round {number}: {keys}");
    assert!(acknowledged.is_subset(&struck), "round {number}: a revocation was lost");
    let published: BTreeSet<String> = kids(&server.get("/.well-known/jwks.json", None).body);
    assert!(published.is_disjoint(&struck) && published.is_superset(&current), "round {number}: {keys}");
    for pair in pairs {
        let expected = if struck.contains(&kid(&pair.access)) { 401 } else { 200 };
        assert_eq!(server.get("/v1/me", Some(&pair.access)).status, expected, "round {number}");
        let refreshed = server.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None);
        assert_eq!(refreshed.status, 200, "round {number}: {}", refreshed.text);
        let access = refreshed.body["access"].as_str().expect("a token");
        assert!(current.contains(&kid(access)), "round {number}: {keys}");
        assert_eq!(server.get("/v1/me", Some(access)).status, 200, "round {number}");
    }
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().expect("a kid").to_owned()
}

fn kids(set: &Value) -> BTreeSet<String> {
    set["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| key["kid"].as_str().expect("a kid").to_owned())
        .collect()
}

fn in_state(keys: &Value, state: &str) -> BTreeSet<String> {
    let keys = keys["keys"].as_array().expect("keys").iter().filter(|key| key["state"] == state);
    keys.map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}
