//! The server is killed or stopped at random moments: no acknowledged change is lost. A few rounds here; many
//! with `cargo xtask soak`.

use crate::support;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::ScopedJoinHandle;

use quash_core::model::{Seeded, draw};
use serde_json::json;
use support::journal::{self, Load};
use support::{Server, claims, rounds};

const PASSWORD: &str = "correct horse battery staple";
const CLIENTS: usize = 6;

#[test]
fn f01_soak_killed_at_random_moments() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let chance = Seeded::new(1);
    let mut server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    // A killed node's places for sign-ins of the account are taken for half a minute.
    for round in 0..rounds(if support::store::is_postgres() { 4 } else { 20 }, 100) {
        let load = Load::new(&server, PASSWORD);
        let [after] = draw::<1>(&chance);
        let journal = std::thread::scope(|scope| {
            let clients: Vec<ScopedJoinHandle<_>> =
                (0..CLIENTS).map(|_| scope.spawn(|| load.client())).collect();
            // The kill comes after this many answers, while other clients are in the middle of a request.
            while load.acknowledged.load(Ordering::SeqCst) < 20 + usize::from(after) {
                std::hint::spin_loop();
            }
            server.kill();
            load.stop();
            clients.into_iter().flat_map(|client| client.join().expect("a client")).collect::<Vec<_>>()
        });
        assert_eq!(integrity(&data_dir), "ok", "round {round}");
        server = Server::start_in(&data_dir, &[]);
        journal::check(&server, &journal);
    }
}

#[test]
fn f28_stopped_under_load() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    let load = Load::new(&server, PASSWORD);
    let journal = std::thread::scope(|scope| {
        let clients: Vec<ScopedJoinHandle<_>> = (0..CLIENTS).map(|_| scope.spawn(|| load.client())).collect();
        while load.acknowledged.load(Ordering::SeqCst) < 100 {
            std::hint::spin_loop();
        }
        let ended = server.terminate();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        load.stop();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect::<Vec<_>>()
    });
    assert_eq!(integrity(&data_dir), "ok");
    journal::check(&Server::start_in(&data_dir, &[]), &journal);
}

/// The server is killed after the commit and before the answer: trying again is safe.
#[test]
fn f02_retries_after_a_kill_get_the_same_successor() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    let parent = server.sign_in("dana", PASSWORD);
    let jti =
        |answer: &support::Answer| claims(answer.body["refresh"].as_str().expect("a token"))["jti"].clone();
    let refresh = |server: &Server| {
        server.post_json("/api/token/refresh/", &json!({ "refresh": parent.refresh }), None)
    };
    let before = jti(&refresh(&server));
    server.kill();
    let server = Server::start_in(&data_dir, &[]);
    assert_eq!(jti(&refresh(&server)), before);
}

/// The outcome of SQLite's check of its file.
fn integrity(data_dir: &Path) -> String {
    if support::store::is_postgres() {
        return "ok".to_owned();
    }
    let database = rusqlite::Connection::open(data_dir.join("quash.db")).expect("a database");
    database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer")
}
