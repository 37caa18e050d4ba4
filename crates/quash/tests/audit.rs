//! `quash audit`: events are listed, and tampering with the audit is detected.

use crate::support;

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Server, on, sqlite_only};

const PASSWORD: &str = "a password of dana's";

/// Starts a server, signs dana in and out, and waits until that is sealed.
fn with_a_past(data_dir: &Path) -> (Server, Value) {
    let server = Server::start_in(data_dir, &[]);
    server.add_account("dana", PASSWORD);
    let pair = server.sign_in("dana", PASSWORD);
    assert_eq!(
        server.post_json("/api/logout/", &json!({ "refresh": pair.refresh }), Some(&pair.access)).status,
        200
    );
    // Sealing takes at most a second, and each request some milliseconds.
    let mut asked = (0..2000).map(|_| server.run(&["audit", "verify", "--json"], "").json());
    let verified = asked.find(|verified| verified["unsealed"] == 0).expect("it is sealed");
    drop(asked);
    (server, verified)
}

fn place(verified: &Value) -> String {
    format!("{}:{}", verified["head"]["id"], verified["head"]["chain"].as_str().expect("a hash"))
}

fn tamper(data_dir: &Path, statement: &str) {
    let conn = Connection::open(data_dir.join("quash.db")).expect("a database");
    assert_eq!(conn.execute(statement, []), Ok(1));
}

#[test]
fn audit_entries_are_listed_in_order() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (server, verified) = with_a_past(&dir.path().join("data"));
    let page = server.run(&["audit", "list", "--account", "dana", "--json"], "").json();
    let seen: Vec<_> = page["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| (&entry["event"], &entry["actor"], &entry["reason"]))
        .collect();
    assert_eq!(
        seen,
        [
            (&json!("account_added"), &json!("operator"), &json!(null)),
            (&json!("signed_in"), &json!("owner"), &json!(null)),
            (&json!("session_ended"), &json!("owner"), &json!("log_out")),
        ]
    );
    let signed_in = &page["entries"][1];
    assert_eq!(
        (signed_in["sid"].as_str().map(str::len), &signed_in["address"]),
        (Some(32), &json!("127.0.0.1"))
    );
    let table = server.run(&["audit", "list"], "").stdout;
    assert!(table.starts_with("ID  AT") && table.contains("session_ended (log_out)"), "{table}");
    let last = server.run(&["audit", "tail", "-n", "1"], "").stdout;
    assert!(last.lines().count() == 1 && last.contains("session_ended (log_out)"), "{last}");
    let exported = server.run(&["audit", "export"], "").stdout;
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (seal, entries) = lines.split_last().expect("lines");
    assert_eq!(entries.len() as u64, verified["entries"].as_u64().expect("a count"));
    assert_eq!(
        (&seal["seal"]["head"], entries.last().map(|entry| &entry["chain"])),
        (&verified["head"], Some(&verified["head"]["chain"]))
    );
    assert!(seal["seal"]["signed"].as_str().is_some_and(|signed| signed.split('.').count() == 3));
}

#[test]
fn tampering_with_the_audit_is_detected() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let (server, verified) = with_a_past(&data_dir);
    let noted = place(&verified);
    assert_eq!(server.run(&["audit", "verify", "--head", &noted], "").code(), 0);
    let other = noted.replace(char::is_alphabetic, "0");
    assert_eq!(server.run(&["audit", "verify", "--head", &other], "").code(), 6);
    assert_eq!(server.run(&["audit", "verify", "--head", "nonsense"], "").code(), 2);
    assert_eq!(server.terminate().code(), 0);
    let ways = [
        "UPDATE audit SET actor = 'rule' WHERE event = 'session_ended'",
        "DELETE FROM audit WHERE event = 'session_ended'",
        "DELETE FROM audit WHERE event = 'account_added'",
        "UPDATE audit_person SET address = '192.0.2.1' WHERE address IS NOT NULL",
        "UPDATE audit_seal SET last_id = last_id - 1",
        "UPDATE audit SET id = 1000 WHERE event = 'session_ended'",
        "UPDATE audit SET event = 'unlocked' WHERE event = 'session_ended'",
        "UPDATE audit SET reason = 'reuse' WHERE event = 'session_ended'",
        "UPDATE audit SET event = 'nonsense' WHERE event = 'session_ended'",
        "UPDATE audit SET actor = 'nonsense' WHERE event = 'session_ended'",
        "UPDATE audit SET reason = 'nonsense' WHERE event = 'session_ended'",
        "UPDATE audit SET chain = NULL WHERE event = 'session_ended'",
        "INSERT INTO audit (id, at, event, actor) VALUES (1000, 0, 'revoked', 'rule')",
        "DELETE FROM audit_person WHERE address IS NOT NULL",
        "DELETE FROM audit_seal",
        "UPDATE audit_head SET last = last + 1",
        "UPDATE audit_head SET last = 1",
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let tampered = dir.path().join(number.to_string());
        std::fs::create_dir(&tampered).expect("a directory");
        for file in std::fs::read_dir(&data_dir).expect("the data directory").flatten() {
            if file.file_type().is_ok_and(|kind| kind.is_file()) {
                std::fs::copy(file.path(), tampered.join(file.file_name())).expect("a copy");
            }
        }
        assert_eq!(on(&tampered, &["audit", "verify"], "").code(), 0);
        tamper(&tampered, way);
        let refused = on(&tampered, &["audit", "verify"], "");
        assert_eq!(refused.code(), 6, "{way}: {} {}", refused.stdout, refused.stderr);
    }
}

#[test]
fn removed_seals_require_an_operator_to_accept() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let (server, _) = with_a_past(&data_dir);
    assert_eq!(server.terminate().code(), 0);
    let forge = |statement: &str| {
        let conn = Connection::open(data_dir.join("quash.db")).expect("a database");
        conn.execute_batch(statement).expect("it is written");
    };
    forge("DELETE FROM audit_seal; DELETE FROM remembered WHERE name = 'audit_sealed'");
    forge(
        "UPDATE audit SET actor = 'rule', person = NULL, chain = NULL; UPDATE audit_person SET salt = NULL",
    );

    let server = Server::start_in(&data_dir, &[]);
    server.sign_in("dana", PASSWORD);
    let refused = server.run(&["audit", "verify"], "");
    assert!(
        refused.code() == 6 && refused.stderr.contains("the seal is missing"),
        "{} {}",
        refused.code(),
        refused.stderr
    );
    let stopped = server.terminate();
    assert!(stopped.stderr.contains("the audit is not what was sealed"), "{}", stopped.stderr);
    assert_eq!(on(&data_dir, &["audit", "verify"], "").code(), 6, "nothing was sealed at the end either");

    let server = Server::start_in(&data_dir, &[]);
    let accepted =
        server.run(&["audit", "accept", "--reason", "compared with the export", "--json"], "").json();
    let verified = server.run(&["audit", "verify", "--json"], "").json();
    assert_eq!(verified["accepted"], accepted["accepted"]);
    let again = server.run(&["audit", "accept"], "");
    assert_eq!(again.code(), 5);
    assert_eq!(again.stderr.trim_end(), "error: there is nothing to accept: the audit matches its seals");
    let page = server.run(&["audit", "list", "--json"], "").json();
    let last = page["entries"].as_array().expect("entries").last().expect("an entry");
    assert_eq!(
        (&last["event"], &last["note"]),
        (&json!("audit_accepted"), &json!("compared with the export"))
    );
    assert_eq!(server.terminate().code(), 0);
    let verified = on(&data_dir, &["audit", "verify", "--json"], "").json();
    assert_eq!((&verified["entries"], &verified["unsealed"]), (&json!(1), &json!(0)));
    tamper(&data_dir, "DELETE FROM audit_seal");
    assert_eq!(on(&data_dir, &["audit", "verify"], "").code(), 6);
}

#[test]
fn older_seals_are_detected() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let (server, _) = with_a_past(&data_dir);
    assert_eq!(server.terminate().code(), 0);
    let sealed = Connection::open(data_dir.join("quash.db")).expect("a database");
    let read = "SELECT last_id, last_chain, at, signed FROM audit_seal";
    let seal = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, Vec<u8>>(1)?,
            row.get::<_, i64>(2)?,
            row.get::<_, String>(3)?,
        ))
    };
    let (id, chain, at, signed) = sealed.query_row(read, [], seal).expect("a seal");
    drop(sealed);
    let server = Server::start_in(&data_dir, &[]);
    server.sign_in("dana", PASSWORD);
    assert_eq!(server.terminate().code(), 0);
    assert_eq!(on(&data_dir, &["audit", "verify"], "").code(), 0);

    // An older audit, with its genuine seal.
    let conn = Connection::open(data_dir.join("quash.db")).expect("a database");
    conn.execute("DELETE FROM audit WHERE id > ?1", [id]).expect("it is written");
    conn.execute("UPDATE audit_head SET last = ?1", [id]).expect("it is written");
    conn.execute(
        "UPDATE audit_seal SET last_id = ?1, last_chain = ?2, at = ?3, signed = ?4",
        (id, chain, at, signed),
    )
    .expect("it is written");
    drop(conn);
    let refused = on(&data_dir, &["audit", "verify"], "");
    assert!(refused.code() == 6 && refused.stderr.contains("older"), "{} {}", refused.code(), refused.stderr);
}
