//! A database that was copied or put back: nodes refuse it until an operator says what it is.

use std::fs;

use serde_json::Value;

use super::site::{PASSWORD, Site};
use super::{log_out, me};
use crate::support::feed::{cursor, lease};
use crate::support::{Finished, Pair, Server, on, sqlite_only};

/// A site whose only node has stopped, and a copy of its database as it was before a session ended.
struct Copied {
    site: Site,
    copy: String,
}

impl Copied {
    /// `at_the_end`: the copy has all that the node has seen.
    fn new(at_the_end: bool) -> Option<(Self, Pair)> {
        let site = Site::new()?;
        let node = site.start("a");
        node.add_account("dana", PASSWORD);
        let pair = node.sign_in("dana", PASSWORD);
        let ended = node.sign_in("dana", PASSWORD);
        let copy = if at_the_end {
            log_out(&node, &ended);
            node.terminate();
            site.copy()
        } else {
            node.terminate();
            let copy = site.copy();
            let node = site.start("a");
            log_out(&node, &ended);
            node.terminate();
            copy
        };
        Some((Self { site, copy }, pair))
    }

    /// Runs a command of the node on the copy.
    fn run(&self, args: &[&str]) -> Finished {
        on(&self.site.prepare("a", &self.copy), args, "")
    }

    fn refused(&self) -> String {
        let dir = self.site.prepare("a", &self.copy);
        let refused = self.site.refused("a");
        let listed = on(&dir, &["account", "list"], "");
        assert_eq!(listed.code(), 1, "commands refuse it, too: {}", listed.stderr);
        refused
    }

    fn start(&self) -> Server {
        self.site.start_through("a", &self.copy)
    }
}

#[test]
fn a_restored_database_is_refused_until_an_epoch_begins() {
    let Some((copied, pair)) = Copied::new(false) else { return };
    let refused = copied.refused();
    for told in ["isn't the database", "oid", "quash epoch begin", "quash epoch accept", "quash epoch fork"] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    let lost = copied.run(&["epoch", "accept"]);
    assert_eq!(lost.code(), 1);
    assert!(
        lost.stderr.contains("the log lacks entries") && lost.stderr.contains("quash epoch begin"),
        "{}",
        lost.stderr
    );
    copied.refused();
    let begun = copied.run(&["epoch", "begin", "--json"]).json();
    assert_eq!((begun["ended"].as_bool(), begun["epoch"].as_u64() > Some(1)), (Some(true), true), "{begun}");
    let node = copied.start();
    assert_eq!(me(&node, &pair), 401, "all users sign in again");
    let again = node.sign_in("dana", PASSWORD);
    assert_eq!(me(&node, &again), 200);
    let log = node.terminate().stderr;
    assert!(!log.contains("went back"), "the new epoch is past what the node had noted: {log}");
}

#[test]
fn a_database_with_all_entries_is_accepted() {
    let Some((copied, pair)) = Copied::new(true) else { return };
    copied.refused();
    let accepted = copied.run(&["epoch", "accept", "--json"]).json();
    assert_eq!(accepted["ended"], Value::Bool(false), "{accepted}");
    let node = copied.start();
    let answered = me(&node, &pair);
    let log = node.terminate().stderr;
    assert_eq!(answered, 200, "no user is signed out: {log}");
}

#[test]
fn a_node_without_notes_accepts_nothing() {
    let Some((copied, _)) = Copied::new(true) else { return };
    fs::remove_file(copied.site.data_dir("a").join("epoch")).expect("it is there");
    let refused = copied.run(&["epoch", "accept"]);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("nothing to compare"), "{}", refused.stderr);
    copied.refused();
}

#[test]
fn a_verifier_of_a_copy_ends_nothing_at_the_original() {
    let Some(site) = Site::new() else { return };
    let production = site.start("a");
    production.add_account("dana", PASSWORD);
    let secret = production.run(&["verifier", "add", "api"], "").stdout.trim().to_owned();
    let pair = production.sign_in("dana", PASSWORD);
    production.terminate();
    let copy = site.copy();
    let staging_dir = site.prepare_with_key("staging", &copy);
    let forked = on(&staging_dir, &["epoch", "fork"], "");
    assert_eq!(forked.code(), 0, "{}", forked.stderr);
    let (production, staging) = (site.start("a"), site.start_through("staging", &copy));
    let there = cursor(&staging, &secret);
    assert_eq!((lease(&staging, &secret, &there), lease(&production, &secret, &there)), (200, 409));
    assert_eq!((me(&production, &pair), me(&staging, &pair)), (200, 401));
    let log = production.terminate().stderr;
    assert!(!log.contains("went back"), "{log}");
}

#[test]
fn sqlite_has_no_such_commands() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    drop(Server::start_in(&data_dir, &[]));
    let refused = on(&data_dir, &["epoch", "begin"], "");
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr.contains("quash restore"), "{}", refused.stderr);
}

#[test]
fn no_epoch_begins_while_nodes_run() {
    let Some(site) = Site::new() else { return };
    let node = site.start("a");
    node.add_account("dana", PASSWORD);
    let pair = node.sign_in("dana", PASSWORD);
    let elsewhere = site.prepare_with_key("b", &site.url);
    for command in ["begin", "accept", "fork"] {
        let refused = on(&elsewhere, &["epoch", command], "");
        assert_ne!(refused.code(), 0, "{command}");
        let is_told = refused.stderr.contains("nodes use") || refused.stderr.contains("no file `epoch`");
        assert!(is_told, "{command}: {}", refused.stderr);
    }
    assert_eq!(me(&node, &pair), 200);
    node.kill();
    let begun = on(&elsewhere, &["epoch", "begin"], "");
    assert_eq!(begun.code(), 0, "once its lease has expired: {}", begun.stderr);
}
