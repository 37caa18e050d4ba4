//! Mails that aren't sent.

use rusqlite::Connection;
use serde_json::json;

use super::{back_up, doctor, found, these};
use crate::support::smtp::{Behaviour, Smtp, free_address};
use crate::support::{Server, run, sqlite_only};

/// The settings for mails through a server without TLS.
fn sets(port: u16) -> Vec<String> {
    let sets = [
        "mail.host=127.0.0.1".to_owned(),
        format!("mail.port={port}"),
        "mail.encryption=none".to_owned(),
        "mail.from=no-reply@id.example".to_owned(),
        "http.public_url=http://127.0.0.1:9".to_owned(),
    ];
    sets.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect()
}

#[test]
fn mails_that_wait_or_fail_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let smtp = Smtp::start(Behaviour::Busy);
    let sets = sets(smtp.address.port());
    let sets: Vec<_> = sets.iter().map(String::as_str).collect();
    let server = Server::start_in(&data_dir, &sets);
    back_up(&data_dir, dir.path());
    let add = ["account", "add", "dana", "--email", "dana@example.org", "--verified", "--password-stdin"];
    assert_eq!(server.run(&add, "a password of dana's").code(), 0);
    let asked = server.post_json("/v1/password-reset", &json!({ "email": "dana@example.org" }), None);
    assert_eq!(asked.status, 202, "{}", asked.text);
    smtp.wait_for_connections(1);
    assert_eq!(server.terminate().code(), 0);
    // Nothing answers at the public URL.
    let expected = |level: &[(&str, &str)]| {
        let always = [("server", "note"), ("public_answer", "problem"), ("smtp", "problem")];
        these(&[&always[..], level].concat())
    };
    assert_eq!(found(&doctor(&data_dir, &sets)), expected(&[]));
    let conn = Connection::open(data_dir.join("quash.db")).expect("a database");
    assert_eq!(conn.execute("UPDATE mail SET created_at = created_at - 1200000, attempts = 3", []), Ok(1));
    drop(conn);
    let failing = [("mails_waiting", "warning"), ("mails_failing", "warning")];
    assert_eq!(found(&doctor(&data_dir, &sets)), expected(&failing));
    // Offline, the server isn't asked.
    let offline = found(&doctor(&data_dir, &[&["--offline"], &sets[..]].concat()));
    assert_eq!(offline, these(&[&[("server", "note")][..], &failing].concat()));
}

#[test]
fn smtp_servers_are_asked_without_a_mail() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = super::installed(dir.path());
    let smtp = Smtp::start(Behaviour::Kind);
    let level = |port: u16| {
        let sets = sets(port);
        let sets: Vec<_> = sets.iter().map(String::as_str).collect();
        found(&doctor(&data_dir, &sets)).remove("smtp")
    };
    assert_eq!(level(smtp.address.port()), None);
    assert_eq!(level(free_address().port()).as_deref(), Some("problem"));
    smtp.wait_for_connections(1);
    assert!(smtp.rest().is_empty(), "no mail is sent");
    let help = run(crate::support::quash_on(&data_dir, &["doctor", "--help"]), "");
    assert!(help.stdout.contains("--offline"), "{}", help.stdout);
}
