//! Guesses and right passwords at two nodes at once (A20): the places of an account are those of all nodes.

use std::thread;

use serde_json::json;

use super::site::{PASSWORD, Site};
use super::{RECOVERED, at_once};
use crate::support::wait::{later, within};
use crate::support::{Answer, Server, rounds};

/// The failures that an account permits.
const FAILURES: i64 = 5;
/// The floods of guesses until the account is locked.
const FLOODS: usize = 20;
/// The seconds after which a place of a lost node is free again.
const PLACES_EXPIRE: usize = 30;

fn attempt(node: &Server, name: &str, password: &str) -> Answer {
    node.post_json("/api/token/", &json!({ "username": name, "password": password }), None)
}

#[test]
fn soak_a20_parallel_guesses_at_two_nodes_evaluate_only_five() {
    for round in 0..rounds(1, 10) {
        let Some(site) = Site::new() else { return };
        let nodes = [site.start("a"), site.start("b")];
        nodes[0].add_account("dana", PASSWORD);
        // Each evaluated guess is a failure, and five are a lock.
        let counted =
            format!("SELECT sum(failures + {FAILURES} * locks)::bigint, max(locks)::bigint FROM tally");
        let is_locked = (0..FLOODS).any(|_| {
            let statuses =
                at_once(&nodes, rounds(60, 200), |node| attempt(node, "dana", "a wrong passphrase").status);
            let is_refused = statuses.iter().all(|status| matches!(status, 401 | 429 | 503));
            let evaluated = site.numbers(&counted);
            assert!(is_refused && evaluated[0] <= FAILURES, "round {round}: {evaluated:?}, {statuses:?}");
            // On a busy machine the queue of passwords refuses most of them.
            evaluated == [FAILURES, 1]
        });
        assert!(is_locked, "round {round}");
        for node in &nodes {
            assert_ne!(attempt(node, "dana", PASSWORD).status, 200, "round {round}: it is locked");
        }
    }
}

#[test]
fn soak_a20_parallel_right_passwords_at_two_nodes_all_succeed() {
    let Some(site) = Site::new() else { return };
    let nodes = [site.start("a"), site.start("b")];
    nodes[0].add_account("dana", PASSWORD);
    for round in 0..rounds(1, 10) {
        // Some failures leave one place for all.
        for _ in 0..round % 5 {
            assert_eq!(attempt(&nodes[0], "dana", "a wrong passphrase").status, 401);
        }
        let statuses = at_once(&nodes, rounds(20, 100), |node| {
            loop {
                let answer = attempt(node, "dana", PASSWORD);
                // The queue has an end; a client comes again.
                if !matches!(answer.status, 429 | 503) {
                    return answer.status;
                }
                assert!(answer.header("retry-after").is_some(), "{}", answer.text);
                later();
            }
        });
        assert!(statuses.iter().all(|status| *status == 200), "round {round}: {statuses:?}");
    }
}

#[test]
fn soak_a20_places_of_a_killed_node_are_given_back() {
    for round in 0..rounds(1, 5) {
        let Some(site) = Site::new() else { return };
        let (a, b) = (site.start("a"), site.start("b"));
        a.add_account("dana", PASSWORD);
        let address = b.address;
        let mut b = Some(b);
        thread::scope(|scope| {
            for _ in 0..FAILURES {
                scope.spawn(move || {
                    let body = json!({ "username": "dana", "password": "a wrong passphrase" }).to_string();
                    let headers = [("Content-Type", "application/json")];
                    // The node is killed before it answers all.
                    let _ =
                        crate::support::request(address, "POST", "/api/token/", &headers, body.as_bytes());
                });
            }
            let taken = "SELECT coalesce(max(cardinality(running) + failures + locks), 0)::bigint FROM tally";
            while site.numbers(taken) == [0] {}
            drop(b.take().map(Server::kill));
        });
        // No more than five are evaluated by both together, and the owner gets in again.
        let nodes_left = [a, site.start("b")];
        let statuses = at_once(&nodes_left, 20, |node| attempt(node, "dana", "a wrong passphrase").status);
        assert!(!statuses.contains(&200), "round {round}: {statuses:?}");
        let evaluated =
            site.numbers(&format!("SELECT sum(failures + {FAILURES} * locks)::bigint FROM tally"));
        assert!(evaluated[0] <= FAILURES, "round {round}: {evaluated:?}");
        let unlocked = nodes_left[0].run(&["account", "unlock", "dana"], "");
        assert!(unlocked.status.success(), "round {round}: {}", unlocked.stderr);
        let signs_in =
            within(PLACES_EXPIRE + RECOVERED, || attempt(&nodes_left[0], "dana", PASSWORD).status == 200);
        assert!(signs_in, "round {round}: its places are free again");
    }
}
