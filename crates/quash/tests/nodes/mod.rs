//! Two nodes, real processes, over one PostgreSQL database: the promise of one process. The tests need
//! `QUASH_TEST_POSTGRES`, the URL of a database whose user may create others; `cargo xtask test` sets it.

mod clocks;
mod cluster;
mod cut;
mod effective;
mod fail_over;
mod frozen;
mod guesses;
mod health;
mod keys;
mod migrate;
mod moved;
mod operators;
mod pooled;
mod site;

use crate::support;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use site::{PASSWORD, Site, account_of};
use support::wait::until;
use support::{Answer, Pair, Server, claims, on, rounds};

const REFRESH: &str = "/api/token/refresh/";
/// The refreshes with one token at once.
const AT_ONCE: usize = 50;
/// The seconds in which a node recovers, also on a busy machine.
const RECOVERED: usize = 10;

fn me(at: &Server, pair: &Pair) -> u16 {
    at.get("/v1/me", Some(&pair.access)).status
}

fn log_out(at: &Server, pair: &Pair) {
    let answer = at.post_json("/api/logout/", &json!({ "refresh": pair.refresh }), Some(&pair.access));
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[test]
fn soak_a_log_out_at_one_node_is_known_to_the_next_request_at_another() {
    let Some(site) = Site::new() else { return };
    let (a, b) = (site.start("a"), site.start("b"));
    for round in 0..rounds(100, 10_000) {
        let name = account_of(round, &a);
        let pair = a.sign_in(&name, PASSWORD);
        assert_eq!((me(&a, &pair), me(&b, &pair)), (200, 200), "round {round}");
        log_out(&a, &pair);
        assert_eq!((me(&b, &pair), me(&a, &pair)), (401, 401), "round {round}");
        let refreshed = b.post_json(REFRESH, &json!({ "refresh": pair.refresh }), None);
        assert_eq!(refreshed.status, 401, "round {round}: {}", refreshed.text);
    }
}

#[test]
fn soak_of_refreshes_at_two_nodes_one_wins() {
    let Some(site) = Site::new() else { return };
    let nodes = [site.start("a"), site.start("b")];
    nodes[0].add_account("dana", PASSWORD);
    for round in 0..rounds(10, 200) {
        let parent = nodes[round % 2].sign_in("dana", PASSWORD);
        let children = children(&nodes, &parent, |node, body| node.post_json(REFRESH, body, None));
        assert_eq!(children.len(), 1, "round {round}: within the grace, all get the same successor");
    }
}

/// Refreshes with one token at all nodes at once. Returns the ids of the successors.
fn children(
    nodes: &[Server; 2],
    parent: &Pair,
    post: impl Fn(&Server, &Value) -> Answer + Sync,
) -> BTreeSet<String> {
    let body = json!({ "refresh": parent.refresh });
    let pairs = at_once(nodes, AT_ONCE, |node| post(node, &body).pair());
    pairs.iter().map(|pair| claims(&pair.refresh)["jti"].to_string()).collect()
}

/// Runs so many requests at once, half of them at each node.
fn at_once<T: Send>(nodes: &[Server; 2], count: usize, run: impl Fn(&Server) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(count);
    thread::scope(|scope| {
        let running: Vec<_> = (0..count)
            .map(|index| {
                let (node, barrier, run) = (&nodes[index % 2], &barrier, &run);
                scope.spawn(move || {
                    barrier.wait();
                    run(node)
                })
            })
            .collect();
        running.into_iter().map(|request| request.join().expect("it doesn't panic")).collect()
    })
}

#[test]
fn each_node_knows_what_the_other_has_changed() {
    let Some(site) = Site::new() else { return };
    let (a, b) = (site.start("a"), site.start("b"));
    a.add_account("dana", PASSWORD);
    b.add_account("kim", PASSWORD);
    let (dana, kim) = (b.sign_in("dana", PASSWORD), a.sign_in("kim", PASSWORD));
    // By a command of another node, on the socket of its server.
    let ended = b.run(&["revoke", "account", "--name", "dana"], "");
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!((me(&a, &dana), me(&a, &kim), me(&b, &kim)), (401, 200, 200));
    // A password, changed at A.
    let body = json!({ "current_password": PASSWORD, "new_password": "a longer passphrase for kim" });
    let changed = a.post_json("/v1/me/password", &body, Some(&kim.access));
    assert!(changed.status < 300, "{}", changed.text);
    assert_eq!(me(&b, &kim), 401);
    // Keys: B signs with the key that A rotated to.
    let rotated = a.run(&["key", "rotate", "--now"], "");
    assert!(rotated.status.success(), "{}", rotated.stderr);
    let dana = b.sign_in("dana", PASSWORD);
    assert_eq!((me(&a, &dana), me(&b, &dana)), (200, 200));
}

#[test]
fn a_second_node_needs_the_first_ones_master_key() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    a.add_account("dana", PASSWORD);
    let refused = site.refused_without_key("c");
    assert!(refused.contains("master key") && refused.contains("copy it from another node"), "{refused}");
}

/// Each makes a master key of its own, and only one may leave its mark in the database.
#[test]
fn soak_of_two_first_starts_with_a_key_each_one_is_refused() {
    for round in 0..rounds(6, 100) {
        let Some(site) = Site::new() else { return };
        let dirs = ["a", "b"].map(|node| site.prepare(node, &site.url));
        let mut commands = dirs.each_ref().map(|dir| {
            let mut command = support::quash();
            command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
        });
        let ended = until(|| {
            let ended = commands.iter_mut().any(|node| node.try_wait().expect("it is ours").is_some());
            ended.then_some(())
        });
        assert!(ended.is_some(), "round {round}: both run");
        for (mut node, dir) in commands.into_iter().zip(&dirs) {
            if node.try_wait().expect("it is ours").is_none() {
                // It may still start.
                let verified = until(|| (on(dir, &["audit", "verify"], "").code() == 0).then_some(()));
                assert!(verified.is_some(), "round {round}: {}", on(dir, &["audit", "verify"], "").stderr);
                node.kill().expect("it is ours");
            }
            let output = node.wait_with_output().expect("it is ours");
            let log = String::from_utf8_lossy(&output.stderr);
            assert!(!log.contains("the audit is not what was sealed"), "round {round}: {log}");
        }
    }
}
