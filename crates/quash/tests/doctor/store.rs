//! Conditions in the database and of a running server.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::{back_up, doctor, found, installed, these};
use crate::support::feed::{cursor, lease_of};
use crate::support::{Server, on, request, sqlite_only, wait};

fn tamper(data_dir: &Path, statement: &str) {
    let conn = Connection::open(data_dir.join("quash.db")).expect("a database");
    assert_eq!(conn.execute(statement, []), Ok(1), "{statement}");
}

#[test]
fn conditions_in_the_database_are_found() {
    sqlite_only!();
    for (statement, check, level) in [
        ("UPDATE client SET created_at = created_at - 800 * 86400000", "secret_age", "note"),
        ("UPDATE account SET created_at = created_at - 31 * 86400000", "unconfirmed_accounts", "note"),
        ("UPDATE audit SET event = 'account_deleted' WHERE id = 2", "audit_chain", "problem"),
        ("UPDATE audit_seal SET at = at + 86400000", "audit_chain", "problem"),
        (
            "UPDATE signing_key SET state = 'retiring', state_at = created_at WHERE state = 'current'",
            "signing_key",
            "problem",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = dir.path().join("data");
        let server = Server::start_in(&data_dir, &[]);
        back_up(&data_dir, dir.path());
        for args in [
            &["client", "add", "shop", "--right", "introspect"][..],
            &["account", "add", "dana", "--email", "dana@example.org"],
        ] {
            assert_eq!(server.run(args, "").code(), 0);
        }
        let sealed = || server.run(&["audit", "verify", "--json"], "").json()["unsealed"] == 0;
        assert!(wait::within(30, sealed), "it is sealed");
        tamper(&data_dir, statement);
        assert_eq!(found(&doctor(&data_dir, &[])), these(&[(check, level)]), "{statement}");
    }
}

#[test]
fn databases_behind_the_noted_number_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    back_up(&data_dir, dir.path());
    let revoked = server.run(&["revoke", "everything", "--yes"], "");
    assert_eq!(revoked.code(), 0, "{}", revoked.stderr);
    let noted = || fs::read_to_string(data_dir.join("epoch")).ok()?.trim().parse::<u64>().ok();
    let before = wait::until(|| noted().filter(|noted| *noted > 1 << 34)).expect("it is noted");
    fs::write(data_dir.join("epoch"), format!("{}\n", before + 5)).expect("it is ours");
    assert_eq!(found(&doctor(&data_dir, &[])), these(&[("epoch", "problem")]));
    drop(server);
}

#[test]
fn verifiers_without_a_lease_are_found() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let sets = ["--set", "feed.term=1s"];
    let server = Server::start_in(&data_dir, &sets);
    let secret = on(&data_dir, &["verifier", "add", "api"], "").stdout.trim().to_owned();
    let has = |check: &str| found(&doctor(&data_dir, &sets)).remove(check);
    assert_eq!(has("stale_verifiers"), None);
    let at = cursor(&server, &secret);
    assert_eq!(lease_of(&server, &secret, &at, "01", "&host=web&pid=7"), 200);
    let stale = wait::until(|| has("stale_verifiers"));
    assert_eq!(stale.as_deref(), Some("warning"));
    let finished = doctor(&data_dir, &sets);
    assert!(finished.stdout.contains("api at web (process 7)"), "{}", finished.stdout);
    drop(server);
}

#[test]
fn untrusted_forwarding_headers_are_found() {
    let server = Server::start(&[]);
    let has = || found(&doctor(&server.data_dir, &[])).remove("untrusted_forwarding");
    assert_eq!(has(), None);
    let body = json!({ "username": "dana", "password": "not hers" }).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", "192.0.2.7")];
    let refused = request(server.address, "POST", "/api/token/", &headers, body.as_bytes());
    assert_eq!(refused.expect("an answer").status, 401);
    assert_eq!(has().as_deref(), Some("warning"));
}

#[test]
fn old_signing_keys_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    tamper(
        &data_dir,
        "UPDATE signing_key SET created_at = created_at - 400 * 86400000 WHERE state = 'current'",
    );
    let rotated = found(&doctor(&data_dir, &[]));
    assert_eq!(rotated, these(&[("key_rotation", "warning"), ("server", "note")]));
    let off = found(&doctor(&data_dir, &["--set", "keys.rotate_every=off"]));
    assert_eq!(off, these(&[("key_age", "note"), ("server", "note")]));
}

#[test]
fn data_in_memory_is_found() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sets = ["--set", "storage.engine=memory"];
    let server = Server::start_in(&dir.path().join("data"), &sets);
    let expected = these(&[("memory_engine", "problem")]);
    assert_eq!(found(&doctor(&server.data_dir, &sets)), expected);
    let data_dir = server.data_dir.clone();
    assert_eq!(server.kill().status.code(), None);
    let expected = these(&[("memory_engine", "problem"), ("database", "problem")]);
    assert_eq!(found(&doctor(&data_dir, &sets)), expected);
}
