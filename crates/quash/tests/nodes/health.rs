//! A node without its database: the reason in `/readyz`, the metrics, and the lines of its log.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::me;
use super::site::{PASSWORD, Site};
use crate::observability::{is_of_nodes, missing};
use crate::support::wait::{pause, until};
use crate::support::{Pair, Server};

/// Requests at once, each of which is refused after some seconds.
const REQUESTS: usize = 100;

/// The answer of `/readyz`, as an operator reads it.
fn readiness(node: &Server) -> (u16, String) {
    let answer = node.get("/readyz?verbose=1", None);
    (answer.status, answer.body["reason"].as_str().unwrap_or_default().to_owned())
}

/// Waits until `/readyz` has this reason.
fn has_reason(node: &Server, part: &str) {
    let found =
        until(|| Some(readiness(node)).filter(|(status, reason)| *status == 503 && reason.contains(part)));
    assert!(found.is_some(), "{part}: {:?}", readiness(node));
}

/// The value of a metric.
fn metric(node: &Server, secret: &str, name: &str) -> f64 {
    let text = node.get("/metrics", Some(secret)).text;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name}: {text}")).parse().expect("a number")
}

fn secret(node: &Server) -> String {
    let added = node.run(&["verifier", "add", "metrics", "--json"], "").json();
    added["secret"].as_str().expect("a secret").to_owned()
}

/// Sends many requests, and returns the number of those that are refused.
fn flood(node: &Server, pair: &Pair) -> usize {
    thread::scope(|scope| {
        let running: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(|| me(node, pair))).collect();
        running.into_iter().filter_map(|request| request.join().ok()).filter(|status| *status == 503).count()
    })
}

#[test]
fn a_node_without_its_database_says_why_in_few_lines() {
    let Some(mut cluster) = Cluster::start() else { return };
    cluster.primary.run("CREATE DATABASE quash");
    let site = Site::over(cluster.primary.url("quash"));
    let node = site.start("a");
    node.add_account("dana", PASSWORD);
    let (pair, secret) = (node.sign_in("dana", PASSWORD), secret(&node));
    let answer = node.get("/readyz?verbose=1", None);
    assert_eq!((answer.status, &answer.body["reason"]), (200, &Value::Null), "{}", answer.text);
    let metric = |name: &str| metric(&node, &secret, name);
    assert_eq!((metric("quash_node_leased"), metric("quash_node_promotion_in_doubt")), (1.0, 0.0));
    assert!(metric("quash_node_lease_age_seconds") < 10.0 && metric("quash_node_log_read_age_seconds") < 5.0);
    assert!(metric("quash_store_connections{state=\"idle\"}") >= 1.0);
    assert_eq!(metric("quash_store_connections_waiting"), 0.0);

    cluster.primary.crash();
    has_reason(&node, "the database can't be reached");
    until(|| (metric("quash_node_leased") == 0.0).then_some(())).expect("its lease ends");
    assert_eq!(metric("quash_node_leased"), 0.0, "the secret was valid before");
    assert_eq!(node.get("/metrics", Some("qv_unknown")).status, 401);
    assert_eq!(flood(&node, &pair), REQUESTS);
    cluster.start_again();
    until(|| (me(&node, &pair) == 200).then_some(())).expect("it recovers by itself");
    assert!(metric("quash_store_connection_errors_total") >= 1.0);
    assert_eq!(metric("quash_node_leased"), 1.0);
    // Longer than the pause after which an outage is over.
    pause(Duration::from_secs(6));
    assert_eq!(readiness(&node), (200, String::new()));
    let log = node.terminate().stderr;
    let lines = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert!(lines(" WARN ") < 60, "{log}");
    assert!(lines("answered") >= 1, "the cause: {log}");
    let ended = log.lines().find(|line| line.contains("requests are no longer refused")).expect("the end");
    let counted = ended.split("refused=").nth(1).and_then(|rest| rest.split(' ').next());
    let counted: usize = counted.and_then(|text| text.parse().ok()).expect("a number");
    assert!(counted >= REQUESTS, "{ended}");
    assert!(ended.contains(" INFO "), "{ended}");
    let unsealed = lines("the audit could not be sealed now");
    assert!((1..10).contains(&unsealed), "{unsealed} lines: {log}");
}

#[test]
fn a_start_without_the_synchronous_standby_says_what_it_waits_for() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.primary.run("CREATE DATABASE quash");
    let site = Site::over(cluster.primary.url("quash"));
    site.start("a").terminate();
    let wait_for = |standbys: &str| {
        cluster.primary.run(&format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'"));
        cluster.primary.run("SELECT pg_reload_conf()");
    };
    wait_for("nobody");
    cluster.primary.wait_for("SELECT 1 WHERE current_setting('synchronous_standby_names') = 'nobody'");
    let log = thread::scope(|scope| {
        let starting = scope.spawn(|| site.start("b"));
        cluster.primary.wait_for("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
        // Longer than a start waits without a word.
        pause(Duration::from_secs(7));
        wait_for("");
        starting.join().expect("it starts").terminate().stderr
    });
    let lines =
        log.lines().filter(|line| line.contains(" WARN ") && line.contains("doesn't confirm a commit"));
    assert_eq!(lines.count(), 1, "{log}");
}

#[test]
fn the_first_error_of_a_database_is_logged() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    site.run("ALTER TABLE lease RENAME TO mislaid");
    until(|| (readiness(&a).0 == 503).then_some(())).expect("its lease ends");
    site.run("ALTER TABLE mislaid RENAME TO lease");
    until(|| (readiness(&a).0 == 200).then_some(())).expect("it recovers");
    let log = a.terminate().stderr;
    assert!(log.contains("failed to renew this node's lease") && log.contains("42P01"), "{log}");
    assert!(!log.contains("25P02"), "{log}");
}

#[test]
fn a_database_that_refuses_to_be_read_is_no_promotion() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    site.run("ALTER TABLE revocation_log RENAME TO mislaid");
    has_reason(&a, "refuses to be read: the log has the cause");
    site.run("ALTER TABLE mislaid RENAME TO revocation_log");
    until(|| (readiness(&a).0 == 200).then_some(())).expect("it recovers");
    site.run("CREATE TABLE kept AS SELECT * FROM cluster; DELETE FROM cluster");
    has_reason(&a, "refuses to be read: the log has the cause");
    // Longer than a lease's renewals.
    pause(Duration::from_secs(6));
    has_reason(&a, "refuses to be read: the log has the cause");
    let refused = site.refused_with_key("b");
    assert!(refused.contains("its table cluster has lost its row"), "{refused}");
    let log = a.terminate().stderr;
    assert!(!log.contains("promoted"), "{log}");
    assert!(log.lines().filter(|line| line.contains(" WARN ")).count() < 15, "{log}");
}

#[test]
fn nodes_have_the_metrics_of_the_dashboard_and_the_alerts() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    let metrics = a.get("/metrics", Some(&secret(&a))).text;
    assert_eq!(missing(&metrics, is_of_nodes), [""; 0], "{metrics}");
}

#[test]
fn nodes_say_why_they_wait_after_a_promotion() {
    let Some(mut cluster) = Cluster::start() else { return };
    let standby = cluster.standby(super::cluster::Replication::Asynchronous);
    let site = cluster.site();
    let (a, b) = (site.start("a"), site.start("b"));
    let secret_of_a = secret(&a);
    assert_eq!(metric(&a, &secret_of_a, "quash_node_promotion_in_doubt"), 0.0);
    cluster.primary.replicates();
    // The other waits for what this one may have seen.
    b.kill();
    cluster.primary.crash();
    standby.promote();
    has_reason(&a, "a promoted database server was found");
    assert_eq!(metric(&a, &secret_of_a, "quash_node_promotion_in_doubt"), 1.0);
    until(|| (readiness(&a).0 == 200).then_some(())).expect("it decides");
}

#[test]
fn nodes_with_other_settings_name_them_as_the_reason() {
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    let _b = site.start_with("b", &["--apply-settings", "--set", "tokens.user_id_claim=uid"]);
    has_reason(&a, "another node has applied other settings");
    let answer = a.get("/readyz", None);
    assert_eq!((answer.status, answer.body), (503, json!({ "status": "unavailable" })));
}
