//! The promotion of a standby, with real servers: nothing that ended is live again, and no user is signed out
//! without need.

use std::thread;
use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::SystemClock;

use super::cluster::{Cluster, Replication};
use super::site::{PASSWORD, Site};
use super::{log_out, me};
use crate::support::wait::{pause, until};
use crate::support::{Pair, Server};

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(50);

fn now() -> Duration {
    SystemClock.uptime()
}

/// Waits until a node answers anything but 503, and returns its answer.
fn answered(node: &Server, pair: &Pair) -> u16 {
    until(|| Some(me(node, pair)).filter(|status| *status != 503)).expect("it uses the promoted server")
}

/// Two nodes, and an account.
fn nodes(site: &Site) -> [Server; 2] {
    let a = site.start("a");
    a.add_account("dana", PASSWORD);
    [a, site.start("b")]
}

#[test]
fn a_standby_that_was_behind_ends_everything() {
    let Some(mut cluster) = Cluster::start() else { return };
    let standby = cluster.standby(Replication::Asynchronous);
    let site = cluster.site();
    let [a, b] = nodes(&site);
    let (kept, ended) = (a.sign_in("dana", PASSWORD), a.sign_in("dana", PASSWORD));
    cluster.primary.replicates();
    standby.fall_behind();
    log_out(&a, &ended);
    assert_eq!((me(&b, &ended), me(&b, &kept)), (401, 200));
    cluster.primary.crash();
    assert_eq!(me(&a, &kept), 503);
    standby.promote();
    // The log-out is lost, and with it the knowledge which others are.
    for node in [&a, &b] {
        assert_eq!((answered(node, &ended), answered(node, &kept)), (401, 401));
    }
    let again = b.sign_in("dana", PASSWORD);
    assert_eq!((answered(&a, &again), answered(&b, &again)), (200, 200));
    let logs = format!("{}{}", a.terminate().stderr, b.terminate().stderr);
    let lost = logs.lines().find(|line| line.contains("has lost this entry")).expect("the lost entry");
    assert!(lost.contains("log_out") && lost.contains("session") && lost.contains("at=\"20"), "{lost}");
    assert!(logs.contains("all users must sign in again"), "{logs}");
    // Causes are in words, not in Rust's Debug form.
    assert!(logs.contains("failed to") && !logs.contains("StoreFailed"), "{logs}");
}

/// The log loses its newest entry, and has grown by another one when the next node reads it.
const GROWN_PAST_A_LOSS: &str = "BEGIN; \
    UPDATE revocation_log SET key = decode(repeat('07', 16), 'hex'), chain = sha256(chain) \
    WHERE seq = (SELECT max(seq) FROM revocation_log); \
    INSERT INTO revocation_log (seq, kind, key, drop_after, reason, at, actor, chain) \
    SELECT seq + 1, kind, key, drop_after, reason, at, actor, sha256(chain) FROM revocation_log ORDER BY seq DESC LIMIT 1; \
    COMMIT";

#[test]
fn a_log_that_has_grown_past_a_loss_ends_everything() {
    let Some(site) = Site::new() else { return };
    let [a, b] = nodes(&site);
    let (kept, ended) = (a.sign_in("dana", PASSWORD), a.sign_in("dana", PASSWORD));
    log_out(&a, &ended);
    assert_eq!((me(&b, &ended), me(&b, &kept)), (401, 200));
    site.run(GROWN_PAST_A_LOSS);
    for node in [&a, &b] {
        assert_eq!((answered(node, &ended), answered(node, &kept)), (401, 401));
    }
    let again = b.sign_in("dana", PASSWORD);
    assert_eq!((answered(&a, &again), answered(&b, &again)), (200, 200));
    let logs = format!("{}{}", a.terminate().stderr, b.terminate().stderr);
    assert!(logs.contains("has lost this entry") && logs.contains("log_out"), "{logs}");
    assert!(logs.contains("all users must sign in again"), "{logs}");
}

#[test]
fn a_standby_that_lacks_nothing_signs_nobody_out() {
    let Some(mut cluster) = Cluster::start() else { return };
    let standby = cluster.standby(Replication::Asynchronous);
    let site = cluster.site();
    let [a, b] = nodes(&site);
    let (kept, ended) = (a.sign_in("dana", PASSWORD), a.sign_in("dana", PASSWORD));
    log_out(&a, &ended);
    // Both have seen it, and say so: that is the proof.
    assert_eq!((me(&b, &ended), me(&b, &kept)), (401, 200));
    cluster.primary.replicates();
    cluster.primary.crash();
    standby.promote();
    for node in [&a, &b] {
        assert_eq!((answered(node, &kept), answered(node, &ended)), (200, 401));
    }
    let logs = format!("{}{}", a.terminate().stderr, b.terminate().stderr);
    assert!(logs.contains("the log continues") && !logs.contains("must sign in again"), "{logs}");
}

#[test]
fn without_proof_a_promotion_ends_everything() {
    let Some(mut cluster) = Cluster::start() else { return };
    let standby = cluster.standby(Replication::Asynchronous);
    let site = cluster.site();
    let [a, b] = nodes(&site);
    let kept = a.sign_in("dana", PASSWORD);
    assert_eq!(me(&b, &kept), 200);
    cluster.primary.replicates();
    // It may have seen an entry that nobody else has.
    b.kill();
    cluster.primary.crash();
    standby.promote();
    assert_eq!(answered(&a, &kept), 401);
    let log = a.terminate().stderr;
    assert!(log.contains("nothing proves"), "{log}");
}

/// Signs in and out until the database is away, and returns the pairs whose log-out was answered with success.
fn load(node: &Server, until: Duration) -> Vec<Pair> {
    let mut ended = Vec::new();
    while now() < until {
        let body = serde_json::json!({ "username": "dana", "password": PASSWORD });
        let answer = node.post_json("/api/token/", &body, None);
        if answer.status != 200 {
            pause(PAUSE);
            continue;
        }
        let pair = answer.pair();
        let body = serde_json::json!({ "refresh": pair.refresh });
        if node.post_json("/api/logout/", &body, Some(&pair.access)).status == 200 {
            ended.push(pair);
        }
    }
    ended
}

#[test]
fn a_synchronous_standby_loses_nothing_under_load() {
    let Some(mut cluster) = Cluster::start() else { return };
    let standby = cluster.standby(Replication::Synchronous);
    let site = cluster.site();
    let nodes = nodes(&site);
    let kept = nodes[0].sign_in("dana", PASSWORD);
    let until = now() + Duration::from_secs(8);
    let (ended, away) = thread::scope(|scope| {
        let loads: Vec<_> = nodes.iter().map(|node| scope.spawn(move || load(node, until))).collect();
        pause(Duration::from_secs(4));
        let crashed = now();
        cluster.primary.crash();
        standby.promote();
        let promoted = now() - crashed;
        assert_eq!(nodes.each_ref().map(|node| answered(node, &kept)), [200, 200], "no user is signed out");
        let away = (promoted, now() - crashed);
        let ended: Vec<_> =
            loads.into_iter().flat_map(|load| load.join().expect("it doesn't panic")).collect();
        (ended, away)
    });
    println!(
        "{} log-outs answered; away for {:?}, of which the promotion took {:?}",
        ended.len(),
        away.1,
        away.0
    );
    assert!(!ended.is_empty());
    for pair in &ended {
        assert_eq!(
            nodes.each_ref().map(|node| answered(node, pair)),
            [401, 401],
            "an answered log-out holds"
        );
    }
    // The promoted server itself has no standby, but that isn't the reason.
    let grounds = ["the old primary waited for its standby", "another node has decided"];
    for log in nodes.map(|node| node.terminate().stderr) {
        assert!(!log.contains("must sign in again") && !log.contains("went back"), "{log}");
        let used = log.lines().find(|line| line.contains("the log continues")).expect("it says so");
        assert!(grounds.iter().any(|grounds| used.contains(grounds)), "{used}");
    }
}

#[test]
fn nodes_of_the_old_primary_have_stopped_when_the_new_one_is_used() {
    let Some(cluster) = Cluster::start() else { return };
    let standby = cluster.standby(Replication::Synchronous);
    let site = cluster.site();
    let old = site.start_through("a", &cluster.primary.url("quash"));
    old.add_account("dana", PASSWORD);
    let pair = old.sign_in("dana", PASSWORD);
    assert_eq!(me(&old, &pair), 200);
    // The old primary lives on, and so does its node, which accepts tokens until its lease ends.
    standby.promote();
    let new = site.start_through("b", &standby.url("quash"));
    assert_eq!(me(&new, &pair), 200, "no user is signed out");
    log_out(&new, &pair);
    // Each waits for a lease, for some seconds.
    for _ in 0..3 {
        assert_eq!(me(&old, &pair), 503, "it ended before the new primary was used");
        pause(PAUSE);
    }
}
