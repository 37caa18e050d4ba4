//! Keys that are revoked in an emergency while two nodes sign.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use quash_core::model::Clock;
use quash_verify::SystemClock;
use serde_json::json;

use super::REFRESH;
use super::site::{PASSWORD, Site};
use crate::support::wait::{later, pause};
use crate::support::{Pair, Server, header, rounds};

/// The clients of each node, which refresh without a pause.
const CLIENTS: usize = 4;

/// The state that the clients share.
struct Signing {
    /// The keys whose revocation a command has acknowledged.
    struck: Mutex<BTreeSet<String>>,
    signed: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

impl Signing {
    /// Refreshes until the end, and checks that no key signs that was known to be revoked before the request.
    fn client(&self, node: &Server, mut pair: Pair) {
        while !self.stop.load(Ordering::SeqCst) {
            let struck = self.struck.lock().expect("a set").clone();
            let answer = node.post_json(REFRESH, &json!({ "refresh": pair.refresh }), None);
            // A node that was frozen may have no lease yet.
            if answer.status == 503 {
                self.refused.fetch_add(1, Ordering::SeqCst);
                later();
                continue;
            }
            pair = answer.pair();
            for token in [&pair.access, &pair.refresh] {
                assert!(!struck.contains(&kid(token)), "a revoked key has signed");
            }
            self.signed.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until so many more tokens are signed.
    fn wait_for(&self, more: usize) {
        let before = self.signed.load(Ordering::SeqCst);
        while self.signed.load(Ordering::SeqCst) < before + more && !self.stop.load(Ordering::SeqCst) {
            pause(std::time::Duration::from_millis(1));
        }
    }
}

/// Ends the clients also if the test panics.
struct Stopped<'s>(&'s Signing);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().expect("a kid").to_owned()
}

fn current(node: &Server) -> String {
    let keys = node.run(&["key", "list", "--json"], "").json();
    let mut keys = keys["keys"].as_array().expect("keys").iter();
    let current = keys.find(|key| key["state"] == "current").expect("a key signs");
    current["kid"].as_str().expect("a kid").to_owned()
}

#[test]
fn soak_a_revoked_key_signs_nothing_at_any_node() {
    let Some(site) = Site::new() else { return };
    let nodes = [site.start("a"), site.start("b")];
    nodes[0].add_account("dana", PASSWORD);
    let signing = Signing {
        struck: Mutex::default(),
        signed: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    let began = SystemClock.uptime();
    thread::scope(|scope| {
        let _stopped = Stopped(&signing);
        for node in &nodes {
            for _ in 0..CLIENTS {
                let (signing, pair) = (&signing, node.sign_in("dana", PASSWORD));
                scope.spawn(move || {
                    let _stopped = Stopped(signing);
                    signing.client(node, pair);
                });
            }
        }
        for round in 0..rounds(3, 60) {
            signing.wait_for(100);
            let (operator, other) = (&nodes[round % 2], &nodes[(round + 1) % 2]);
            let key = current(operator);
            let is_frozen = round % 3 == 2;
            if is_frozen {
                other.freeze();
            }
            let revoked = operator.run(&["revoke", "key", &key], "");
            assert!(revoked.status.success(), "round {round}: {}", revoked.stderr);
            signing.struck.lock().expect("a set").insert(key);
            if is_frozen {
                other.thaw();
            }
        }
        signing.wait_for(100);
    });
    let took = SystemClock.uptime().saturating_sub(began);
    tell(&signing, took);
}

#[expect(clippy::print_stdout, reason = "a soak prints its figures")]
fn tell(signing: &Signing, took: std::time::Duration) {
    let (signed, struck) =
        (signing.signed.load(Ordering::SeqCst), signing.struck.lock().expect("a set").len());
    let per_second = signed as f64 / took.as_secs_f64();
    println!(
        "{struck} keys were revoked while two nodes signed {signed} pairs, {per_second:.0} a second; {} requests got 503",
        signing.refused.load(Ordering::SeqCst)
    );
}
