//! The dashboard and the rules for alerts query only metrics, labels and values that a server in use has.

use crate::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::Server;

/// The figures that only a server with TLS has.
const OF_TLS: &str = "quash_certificate_until_timestamp_seconds";

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/observability").join(name);
    fs::read_to_string(path).expect("a file of the documentation")
}

/// The queries of the dashboard.
fn queries(of: &Value, found: &mut Vec<String>) {
    match of {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| queries(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

/// The names of metrics in a text, and for each name the values that it is compared with, such as `state="stale"`.
fn used(text: &str) -> BTreeSet<(String, String)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut used = BTreeSet::new();
    for start in ["quash_", "process_"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with(is_name) {
                continue;
            }
            let (name, rest) =
                text[at..].split_at(text[at..].find(|c| !is_name(c)).unwrap_or(text.len() - at));
            let labels =
                rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |found| found.0);
            let equals =
                labels.split(',').filter_map(|label| label.split_once('=')).filter_map(|(label, value)| {
                    let value = value.strip_prefix('"')?;
                    (label != "job" && label.ends_with(is_name)).then(|| format!("{label}=\"{value}"))
                });
            used.extend(equals.map(|label| (name.to_owned(), label)));
            used.insert((name.to_owned(), String::new()));
        }
    }
    used
}

#[test]
fn servers_have_all_metrics_of_the_dashboard_and_the_alerts() {
    let server = Server::start(&[]);
    let secret = server.run(&["client", "add", "shop", "--right", "introspect"], "").stdout.trim().to_owned();
    server.run(&["account", "add", "dana", "--password-stdin"], "correct horse battery staple\n");
    let sign_in = |password: &str| {
        server.post_json("/api/token/", &json!({ "username": "dana", "password": password }), None)
    };
    assert_eq!(sign_in("wrong wrong wrong").status, 401);
    let pair = sign_in("correct horse battery staple");
    assert_eq!(pair.status, 200);
    let renewed = server.post_json("/api/token/refresh/", &json!({ "refresh": pair.body["refresh"] }), None);
    assert_eq!(renewed.status, 200);
    let metrics = server.get("/metrics", Some(&secret)).text;
    assert_eq!(missing(&metrics, |name| !is_of_nodes(name) && name != OF_TLS), [""; 0], "{metrics}");
}

pub(crate) fn is_of_nodes(name: &str) -> bool {
    ["quash_node_", "quash_store_"].iter().any(|start| name.starts_with(start))
}

/// The metrics and values that the dashboard and the alerts query, of those that a server should have, and it hasn't.
pub(crate) fn missing(metrics: &str, should_have: impl Fn(&str) -> bool) -> Vec<String> {
    let mut exprs = Vec::new();
    queries(&serde_json::from_str(&file("dashboard.json")).expect("JSON"), &mut exprs);
    assert!(exprs.len() > 20, "the dashboard has queries");
    let alerts = file("alerts.yml");
    let wanted = used(&(exprs.join("\n") + "\n" + &alerts));
    assert!(wanted.contains(&("quash_verifiers".to_owned(), "state=\"stale\"".to_owned())), "{wanted:?}");
    let has = |name: &str, label: &str| {
        metrics.lines().any(|line| {
            line.strip_prefix(name).is_some_and(|rest| {
                rest.starts_with(['{', ' '])
                    && (label.is_empty() || label.contains("=~") || rest.contains(label))
            })
        })
    };
    let lacks = wanted.iter().filter(|(name, label)| should_have(name) && !has(name, label));
    lacks.map(|(name, label)| format!("{name} {label}")).collect()
}
