//! Nodes as operators see them, and the rows that ended nodes leave behind.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::site::{PASSWORD, Site};
use super::{REFRESH, me};
use crate::support::wait::until as until_some;
use crate::support::{Server, on};

#[test]
fn nodes_with_other_settings_say_so_and_decide_nothing() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    a.add_account("dana", PASSWORD);
    let pair = a.sign_in("dana", PASSWORD);
    let b = site.start_with("b", &["--apply-settings", "--set", "tokens.user_id_claim=uid"]);
    let body = json!({ "username": "dana", "password": PASSWORD });
    for answer in [
        a.get("/v1/me", Some(&pair.access)),
        a.post_json(REFRESH, &json!({ "refresh": pair.refresh }), None),
        a.post_json("/api/token/", &body, None),
        a.post_json("/api/token/verify/", &json!({ "token": pair.access }), None),
        a.get("/v1/me/sessions", Some(&pair.access)),
    ] {
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (503, Some("settings_changed")),
            "{}",
            answer.text
        );
        assert!(answer.header("retry-after").is_some(), "{}", answer.text);
    }
    assert_eq!((a.get("/readyz", None).status, a.get("/livez", None).status), (503, 200));
    let pair = b.sign_in("dana", PASSWORD);
    assert_eq!(me(&b, &pair), 200);
    site.prepare_with_key("c", &site.url);
    let args = ["--set", "tokens.user_id_claim=uid", "--set", "tokens.issuer=https://x.example"];
    let refused = on(&site.data_dir("c"), &[&["serve", "--listen", "127.0.0.1:0"][..], &args].concat(), "");
    let expected = "tokens.issuer is https://x.example here and not set at the other nodes";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}

#[test]
fn a_database_without_a_node_says_so() {
    let Some(site) = Site::new() else { return };
    site.start("a").terminate();
    let listed = on(&site.data_dir("a"), &["node", "list"], "");
    assert!(listed.stdout.contains("no node is registered"), "{}{}", listed.stdout, listed.stderr);
}

#[test]
fn blanks_around_the_url_of_a_database_are_ignored() {
    let Some(site) = Site::new() else { return };
    let dir = site.prepare("a", &site.url);
    let file = site.data_dir("url");
    super::site::write(&file, &format!(" \n{}  \n", site.url));
    let set = |text: &str| super::site::write(&dir.join("quash.toml"), text);
    set(&format!("[storage]\nurl_file = {:?}\n", file.display().to_string()));
    assert_eq!(Server::start_in(&dir, &[]).terminate().code(), 0);
    super::site::write(&file, "");
    let refused = on(&dir, &["config", "check"], "");
    assert!(refused.stderr.contains("write the value of the setting into it"), "{}", refused.stderr);
    let path = if site.url.contains('?') { "&" } else { "?" };
    let nowhere = format!("{}{path}options=-csearch_path%3Dnowhere", site.url);
    super::site::write(&file, &nowhere);
    let refused = on(&dir, &["serve", "--listen", "127.0.0.1:0"], "");
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("search_path"), "{}", refused.stderr);
}

#[test]
fn nodes_are_listed_with_their_settings() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    let b = site.start_with("b", &["--set", "lockout.failures=7"]);
    let listed = a.run(&["node", "list", "--json"], "").json();
    let nodes = listed["nodes"].as_array().expect("nodes");
    let pids: Vec<_> = nodes.iter().map(|node| node["pid"].as_u64()).collect();
    assert_eq!(pids, [Some(u64::from(a.id())), Some(u64::from(b.id()))], "{listed}");
    for node in nodes {
        assert_eq!((&node["version"], &node["state"]), (&json!(env!("CARGO_PKG_VERSION")), &json!("leased")));
        assert!(node["lease_age_ms"].as_u64().is_some_and(|age| age < 10_000), "{node}");
    }
    assert_ne!(nodes[0]["settings"], nodes[1]["settings"]);
    let shown = b.run(&["node", "list"], "");
    assert!(shown.stdout.contains("the settings differ"), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("leased until 20") && shown.stdout.contains("no renewal for "),
        "{}",
        shown.stdout
    );
    let told = b.terminate();
    assert!(told.stderr.contains("other nodes have other settings"), "{}", told.stderr);
    // The same settings at another address.
    let c = site.start("c");
    let listed = c.run(&["node", "list", "--json"], "").json();
    assert_eq!(
        listed["nodes"].as_array().map(Vec::len),
        Some(2),
        "a node that has stopped isn't listed: {listed}"
    );
    assert_eq!(listed["nodes"][0]["settings"], listed["nodes"][1]["settings"]);
    let told = c.terminate();
    assert!(!told.stderr.contains("other settings"), "{}", told.stderr);
}

#[test]
fn killed_nodes_are_listed_with_the_end_of_their_lease() {
    let Some(site) = Site::new() else { return };
    let (a, b) = (site.start("a"), site.start("b"));
    b.kill();
    let killed = || a.run(&["node", "list", "--json"], "").json()["nodes"][1].clone();
    let leased = killed();
    assert_eq!(leased["state"], "leased", "{leased}");
    let until = leased["leased_until"].as_str().expect("a time").to_owned();
    // It doesn't renew its lease: the end stays, and the age grows.
    let expired =
        until_some(|| Some(killed()).filter(|node| node["state"] == "expired")).expect("it expires");
    assert_eq!(expired["leased_until"], json!(null));
    assert!(expired["lease_age_ms"].as_u64().is_some_and(|age| age >= 10_000), "{expired} {until}");
}

#[test]
fn a_start_that_fails_leaves_no_lease() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    a.add_account("dana", PASSWORD);
    let dir = site.prepare_with_key("b", &site.url);
    let taken = a.address.to_string();
    let failed = on(&dir, &["serve", "--listen", &taken], "");
    assert!(!failed.status.success());
    let listed = a.run(&["node", "list", "--json"], "").json();
    assert_eq!(listed["nodes"].as_array().map(Vec::len), Some(1), "nothing waits for it: {listed}");
}

/// Commands that only read.
const READING: [&[&str]; 6] = [
    &["node", "list"],
    &["account", "list"],
    &["key", "list"],
    &["client", "list"],
    &["audit", "list"],
    &["audit", "verify"],
];

#[test]
fn reading_without_a_database_says_nothing_of_changes() {
    let Some(mut cluster) = Cluster::start() else { return };
    let site = Site::over(cluster.primary.url("quash"));
    cluster.primary.run("CREATE DATABASE quash");
    let a = site.start("a");
    cluster.primary.crash();
    for command in READING {
        let failed = a.run(command, "");
        assert_eq!(failed.code(), 75, "{command:?}: {}", failed.stderr);
        assert!(failed.stderr.contains("hint: check that the database answers"), "{}", failed.stderr);
        assert!(!failed.stderr.contains("change"), "{}", failed.stderr);
    }
    a.kill();
    // By itself, as no server runs.
    for command in READING {
        let failed = on(&site.data_dir("a"), command, "");
        assert!(failed.stderr.contains("check that the server runs"), "{command:?}: {}", failed.stderr);
        assert!(!failed.stderr.contains("change"), "{}", failed.stderr);
    }
}

#[test]
fn commands_that_read_make_nothing_in_an_empty_database() {
    let Some(site) = Site::new() else { return };
    let dir = site.prepare("a", &site.url);
    for args in [&["account", "list"][..], &["key", "list"], &["audit", "verify"], &["node", "list"]] {
        let refused = on(&dir, args, "");
        assert_eq!(refused.code(), 4, "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("no server was ever started"), "{}", refused.stderr);
    }
    assert!(!dir.join("master.key").exists());
    let added = on(&dir, &["account", "add", "dana", "--password-stdin"], PASSWORD);
    assert!(added.status.success(), "{}", added.stderr);
    assert!(on(&dir, &["account", "list"], "").stdout.contains("dana"));
}

#[test]
fn the_doctor_finds_expired_nodes_and_other_settings() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    let b = site.start_with("b", &["--set", "lockout.failures=7"]);
    let levels = || -> BTreeMap<String, String> {
        let finished = a.run(&["doctor", "--json"], "");
        let findings: Vec<Value> = serde_json::from_str(&finished.stdout).expect("findings");
        let text = |finding: &Value, member: &str| finding[member].as_str().expect("a text").to_owned();
        findings.iter().map(|finding| (text(finding, "check"), text(finding, "level"))).collect()
    };
    let found = levels();
    assert_eq!((found["node_settings"].as_str(), found["expired_nodes"].as_str()), ("warning", "ok"));
    for check in ["postgres_version", "postgres_commit", "postgres_superuser", "postgres_encryption"] {
        assert_ne!(found[check], "skipped", "{check}");
    }
    assert_eq!(found["postgres_commit"], "ok");
    b.kill();
    let expired = until_some(|| Some(levels()).filter(|found| found["expired_nodes"] == "warning"));
    assert_eq!(expired.map(|found| found["node_settings"].clone()).as_deref(), Some("ok"));
}
