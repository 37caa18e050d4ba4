//! `quash client` and `quash verifier`, with and without a server: exit codes, and secrets that are shown
//! only once.

use crate::support;

use serde_json::{Value, json};
use support::{Server, on, request};

/// Introspects a token, and returns the status and the member `active`.
fn introspect(server: &Server, secret: &str, token: &str) -> (u16, Value) {
    let authorization = format!("Bearer {secret}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", &authorization)];
    let body = format!("token={token}");
    let answer =
        request(server.address, "POST", "/oauth2/introspect", &headers, body.as_bytes()).expect("an answer");
    (answer.status, answer.body["active"].clone())
}

#[test]
fn clients_without_rights_are_refused_with_all_flags() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let refused = on(&dir.path().join("data"), &["client", "add", "shop"], "");
    assert_eq!(refused.code(), 2);
    for flag in ["--right", "--namespace", "--public"] {
        assert!(refused.stderr.contains(flag), "{flag}: {}", refused.stderr);
    }
}

#[test]
fn client_secrets_work_until_the_client_is_removed() {
    let server = Server::start(&[]);
    server.add_account("dana", "correct horse battery staple");
    let pair = server.sign_in("dana", "correct horse battery staple");
    for (kind, flags, prefix, shown) in
        [("client", &["--right", "introspect"][..], "qc_", "introspect"), ("verifier", &[], "qv_", "none")]
    {
        let added = server.run(&[&[kind, "add", "shop"], flags].concat(), "");
        let secret = added.stdout.strip_suffix('\n').expect("a line").to_owned();
        assert_eq!(
            (added.code(), secret.len(), secret.starts_with(prefix)),
            (0, 52, true),
            "{}",
            added.stderr
        );
        assert!(!added.stderr.contains(&secret), "{}", added.stderr);
        assert_eq!(introspect(&server, &secret, &pair.access), (200, json!(true)));
        let listed = server.run(&[kind, "list"], "");
        assert!(listed.stdout.contains("shop") && listed.stdout.contains(shown), "{}", listed.stdout);
        let audit = server.run(&["audit", "list", "--json"], "");
        assert!(
            !(listed.stdout + &listed.stderr + &audit.stdout).contains(&secret[3..]),
            "it is shown only once"
        );
        let removed = server.run(&[kind, "remove", "shop"], "");
        assert_eq!(removed.code(), 0, "{}", removed.stderr);
        assert_eq!(introspect(&server, &secret, &pair.access), (401, Value::Null));
    }
    let audit = server.run(&["audit", "list", "--json"], "").json();
    let told: Vec<_> = audit["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter(|entry| entry["name"] == "shop")
        .collect();
    let events: Vec<_> = told.iter().map(|entry| entry["event"].as_str().expect("an event")).collect();
    assert_eq!(events, ["client_added", "client_removed", "client_added", "client_removed"]);
    assert!(told.iter().all(|entry| entry["actor"] == "operator" && entry["author"].is_string()), "{told:?}");
}

#[test]
fn clients_and_verifiers_are_stored_and_listed_separately() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["client", "list"], "").code(), 4, "looking makes nothing");
    assert_eq!(on(&data_dir, &["account", "add", "dana"], "").code(), 0);
    assert_eq!(on(&data_dir, &["client", "list"], "").stdout.trim(), "no clients");
    let added =
        on(&data_dir, &["client", "add", "shop", "--right", "introspect", "--right", "revoke", "--json"], "")
            .json();
    assert_eq!((&added["name"], &added["rights"]), (&json!("shop"), &json!(["introspect", "revoke"])));
    assert!(added["secret"].as_str().is_some_and(|secret| secret.starts_with("qc_")), "{added}");
    assert_eq!(on(&data_dir, &["verifier", "add", "chat"], "").code(), 0);
    let names = |kind: &str, flags: &[&str]| {
        let page = on(&data_dir, &[&[kind, "list", "--json"], flags].concat(), "").json();
        assert!(!page.to_string().contains("secret"), "{page}");
        page["clients"]
            .as_array()
            .expect("clients")
            .iter()
            .map(|client| client["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names("client", &[]), names("verifier", &[])),
        (vec!["shop".to_owned()], vec!["chat".to_owned()])
    );
    assert_eq!(names("client", &["--after", "shop"]), [""; 0]);
    // A client that follows the feed and has a further right is in both lists.
    let rights = ["--right", "accounts", "--right", "feed", "--right", "introspect", "--json"];
    let site = on(&data_dir, &[&["client", "add", "site"], &rights[..]].concat(), "").json();
    assert_eq!(site["rights"], json!(["feed", "introspect", "accounts"]));
    assert!(site["secret"].as_str().is_some_and(|secret| secret.starts_with("qc_")), "{site}");
    assert_eq!(names("client", &["--after", "shop"]), ["site"]);
    assert_eq!(names("verifier", &["--after", "chat"]), ["site"]);
    let public = on(&data_dir, &["client", "add", "app", "--public"], "");
    assert_eq!((public.code(), public.stdout.trim()), (0, "app"), "{}", public.stderr);
    let public = on(&data_dir, &["client", "add", "web", "--public", "--json"], "").json();
    assert_eq!((&public["rights"], &public["secret"]), (&json!(["revoke_as_public"]), &json!(null)));
}

#[test]
fn clients_are_changed_and_get_new_secrets() {
    let server = Server::start(&[]);
    server.add_account("dana", "correct horse battery staple");
    let pair = server.sign_in("dana", "correct horse battery staple");
    let added = server.run(&["client", "add", "shop", "--right", "introspect", "--expires", "90d"], "");
    let old = added.stdout.trim().to_owned();
    let shown = || server.run(&["client", "show", "shop", "--json"], "").json();
    assert!(shown()["expires_at"].is_string() && shown()["last_used_at"].is_null(), "{}", shown());
    assert_eq!(introspect(&server, &old, &pair.access), (200, json!(true)));
    assert!(shown()["last_used_at"].is_string(), "{}", shown());
    let renewed = server.run(&["client", "renew", "shop"], "");
    let new = renewed.stdout.trim().to_owned();
    assert_eq!((renewed.code(), new.len()), (0, 52), "{}", renewed.stderr);
    assert_eq!(introspect(&server, &old, &pair.access), (401, Value::Null));
    assert_eq!(introspect(&server, &new, &pair.access), (200, json!(true)));
    let changed =
        server.run(&["client", "change", "shop", "--right", "audit", "--never-expires", "--json"], "");
    let changed = changed.json();
    assert_eq!((&changed["rights"], &changed["expires_at"]), (&json!(["audit"]), &Value::Null));
    assert_eq!(introspect(&server, &new, &pair.access).0, 403);
    let text = server.run(&["client", "show", "shop"], "").stdout;
    assert!(text.contains("audit") && text.contains("never") && !text.contains(&new), "{text}");
}

#[test]
fn failed_client_commands_have_their_exit_codes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["account", "add", "dana"], "").code(), 0);
    assert_eq!(on(&data_dir, &["verifier", "add", "chat"], "").code(), 0);
    let longest = "x".repeat(64);
    assert_eq!(on(&data_dir, &["client", "add", &longest, "--right", "revoke"], "").code(), 0);
    for (args, code) in [
        (&["client", "add", "shop"][..], 2),
        (&["client", "add", "Shop", "--right", "revoke"], 2),
        (&["client", "add", &format!("{longest}x"), "--right", "revoke"], 2),
        (&["client", "add", "chat", "--right", "revoke"], 5),
        (&["client", "add", "chat", "--public"], 5),
        (&["client", "add", "app", "--public", "--right", "revoke"], 2),
        (&["client", "add", "app", "--right", "revoke_as_public"], 2),
        (&["client", "add", "app", "--namespace", "shop", "--right", "accounts"], 2),
        (&["verifier", "add", "chat"], 5),
        (&["verifier", "add", ""], 2),
        (&["client", "add", "shop", "--right", "revoke", "--expires", "0s"], 2),
        (&["client", "add", "app", "--public", "--expires", "90d"], 2),
        (&["client", "change", "chat"], 2),
        (&["client", "change", "none", "--never-expires"], 4),
        (&["client", "change", "chat", "--never-expires", "--expires", "90d"], 2),
        (&["client", "show", "none"], 4),
        (&["client", "renew", "none"], 4),
        (&["client", "remove", "chat"], 4),
        (&["client", "remove", "nobody"], 4),
        (&["verifier", "remove", &longest], 4),
        (&["client", "list", "--after", "A"], 2),
    ] {
        let done = on(&data_dir, args, "");
        assert_eq!(done.code(), code, "{args:?}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{args:?}");
    }
}
