//! Concurrent requests to a running server, on both stores: fifty with one refresh token, and one during the
//! deactivation of its account. A few rounds here; many with `cargo xtask soak`.

use crate::support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;

use serde_json::{Value, json};
use support::{Answer, Pair, Server, claims, memory_too, rounds, store};

const AT_ONCE: usize = 50;

#[test]
fn a33_soak_grace_gives_one_successor_sqlite() {
    with_grace("sqlite");
}

#[test]
fn a33_soak_grace_gives_one_successor_memory() {
    memory_too!();
    with_grace("memory");
}

#[test]
fn a33_soak_without_grace_reuse_ends_sqlite() {
    without_grace("sqlite");
}

#[test]
fn a33_soak_without_grace_reuse_ends_memory() {
    memory_too!();
    without_grace("memory");
}

fn with_grace(engine: &str) {
    let (dir, server) = start(engine, "30s");
    for round in 0..rounds(if store::is_postgres() { 10 } else { 50 }, 200) {
        let parent = server.sign_in("dana", PASSWORD);
        let answers = all_at_once(&server, &parent.refresh);
        let pairs: Vec<Pair> = answers.iter().map(Answer::pair).collect();
        let children: BTreeSet<String> = pairs.iter().map(|pair| jti(&pair.refresh)).collect();
        assert_eq!(children.len(), 1, "round {round}: one successor");
        assert!(
            pairs.iter().all(|pair| me(&server, pair) == 200),
            "round {round}: every access token is accepted"
        );
        assert_eq!(refresh(&server, &pairs[0].refresh).status, 200, "round {round}: the successor is good");
        // The parent of the parent is never accepted, and ends the session.
        let reused = refresh(&server, &parent.refresh);
        assert_eq!((reused.status, reused.body["reason"].as_str()), (401, Some("reuse")), "round {round}");
        assert!(
            pairs.iter().all(|pair| me(&server, pair) == 401),
            "round {round}: every access token is dead"
        );
    }
    drop(dir);
}

fn without_grace(engine: &str) {
    let (dir, server) = start(engine, "0s");
    for round in 0..rounds(50, 200) {
        let parent = server.sign_in("dana", PASSWORD);
        let answers = all_at_once(&server, &parent.refresh);
        let winners: Vec<Pair> =
            answers.iter().filter(|answer| answer.status == 200).map(Answer::pair).collect();
        let losers = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!((winners.len(), losers), (1, AT_ONCE - 1), "round {round}");
        assert_eq!(
            refresh(&server, &winners[0].refresh).status,
            401,
            "round {round}: the others have ended the session"
        );
        assert_eq!(
            (me(&server, &winners[0]), me(&server, &parent)),
            (401, 401),
            "round {round}: and its access tokens"
        );
    }
    drop(dir);
}

#[test]
fn a58_soak_deactivated_during_refresh_sqlite() {
    deactivated_while_it_refreshes("sqlite");
}

#[test]
fn a58_soak_deactivated_during_refresh_memory() {
    memory_too!();
    deactivated_while_it_refreshes("memory");
}

/// Refreshes without a pause, so that one refresh coincides with the deactivation. After the last answers, no
/// token of the account is live.
fn deactivated_while_it_refreshes(engine: &str) {
    let (dir, server) = start(engine, "30s");
    for round in 0..rounds(10, 1000) {
        let (first, owner) = (server.sign_in("dana", PASSWORD), server.sign_in("dana", PASSWORD));
        let begin = Barrier::new(2);
        let (got, deactivated) = std::thread::scope(|scope| {
            let refreshing = scope.spawn(|| {
                begin.wait();
                refresh_until_refused(&server, first.clone(), round)
            });
            begin.wait();
            let deactivated =
                server.post_json("/v1/me/deactivate", &json!({ "password": PASSWORD }), Some(&owner.access));
            (refreshing.join().expect("pairs"), deactivated)
        });
        assert_eq!(deactivated.status, 204, "round {round}: {}", deactivated.text);
        let last = got.last().expect("the first");
        for old in [last, &first, &owner] {
            assert_eq!(
                (me(&server, old), refresh(&server, &old.refresh).status),
                (401, 401),
                "round {round}"
            );
        }
        let again = server.run(&["account", "reactivate", "dana"], "");
        assert!(again.status.success(), "{}", again.stderr);
        assert_eq!(
            (me(&server, last), refresh(&server, &last.refresh).status),
            (401, 401),
            "round {round}: and it stays so"
        );
    }
    drop(dir);
}

/// Refreshes until refused, and returns all pairs, including the first.
fn refresh_until_refused(server: &Server, first: Pair, round: usize) -> Vec<Pair> {
    let mut got = vec![first];
    loop {
        let answer = refresh(server, &got.last().expect("the first").refresh);
        match answer.status {
            200 => got.push(answer.pair()),
            401 => return got,
            other => panic!("round {round}: {other} {}", answer.text),
        }
    }
}

/// The answer was lost after the commit: the client tries again with the parent and gets the same child.
#[test]
fn a37_lost_responses_are_repeated() {
    let (_dir, server) = start("sqlite", "30s");
    let parent = server.sign_in("dana", PASSWORD);
    let first = refresh(&server, &parent.refresh).pair();
    let again = refresh(&server, &parent.refresh).pair();
    assert_eq!(jti(&first.refresh), jti(&again.refresh));
    assert_eq!(first.refresh, again.refresh, "with one key and an unmoved head even to the letter");
    assert_ne!(first.access, again.access);
}

const PASSWORD: &str = "correct horse battery staple";

fn start(engine: &str, grace: &str) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("quash.toml");
    // On PostgreSQL, the URL names the engine.
    let storage =
        if store::is_postgres() { String::new() } else { format!("[storage]\nengine = \"{engine}\"\n") };
    std::fs::write(&config, format!("{storage}[rotation]\ngrace = \"{grace}\"\n")).expect("it is written");
    let server = serve(&dir.path().join("data"), &config);
    server.add_account("dana", PASSWORD);
    (dir, server)
}

fn serve(data_dir: &Path, config: &Path) -> Server {
    Server::start_in(data_dir, &["--config", config.to_str().expect("a path of plain characters")])
}

/// Sends all requests at the same moment, each on a connection of its own.
fn all_at_once(server: &Server, token: &str) -> Vec<Answer> {
    let start = Barrier::new(AT_ONCE);
    std::thread::scope(|scope| {
        let begin = || {
            start.wait();
            refresh(server, token)
        };
        let requests: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(begin)).collect();
        requests.into_iter().map(|request| request.join().expect("an answer")).collect()
    })
}

fn refresh(server: &Server, token: &str) -> Answer {
    server.post_json("/api/token/refresh/", &json!({ "refresh": token }), None)
}

fn me(server: &Server, pair: &Pair) -> u16 {
    server.get("/v1/me", Some(&pair.access)).status
}

fn jti(token: &str) -> String {
    let Value::String(jti) = claims(token)["jti"].take() else { panic!("no jti") };
    jti
}
