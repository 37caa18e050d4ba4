//! Network faults while sessions end.

use std::time::Duration;

use quash_verify::VerifierState;

use super::presented::TERM;
use super::proxy::ProxyFault;
use super::site::{Site, tell};
use super::support::rounds;
use super::wait::{until, uptime};

/// The time for which sessions are opened and ended under a fault.
const UNDER_FAULT: Duration = Duration::from_millis(2500);
/// The time for which they are opened and ended before, so that both kinds exist.
const BEFORE: Duration = Duration::from_millis(100);

/// The margin for noticing that a disconnected verifier has become stale: its own clock decides, so only the
/// interval of the checks adds to it.
const LOOKED_AT: Duration = Duration::from_millis(250);

async fn under(fault: ProxyFault, seed: u64) {
    for round in 0..rounds(1, 20) {
        let site = Site::open(seed + u64::try_from(round).expect("few") * 100).await;
        let (before, live) = (site.sign_in(), site.sign_in());
        site.use_for(BEFORE).await;
        site.proxy.set_fault(fault);
        site.end(before);
        let ended = 1 + site.use_for(UNDER_FAULT).await;
        assert!(
            site.proxy.mangled() > 0 || matches!(fault, ProxyFault::Cut | ProxyFault::DropAll),
            "nothing was done to the bytes"
        );
        let took = site.remove_fault().await;
        site.end(live);
        until("the last one is known, too", UNDER_FAULT, || site.presented.knows_all()).await;
        let (mangled, (accepted, stale)) = (site.proxy.mangled(), site.presented.counts());
        let latest = site.check().await;
        tell(&format!(
            "{fault:?}: {ended} ended, {mangled} pieces mangled, {accepted} let in, {stale} times stale, latest after {latest:?}, caught up in {took:?}"
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_connections_are_cut() {
    under(ProxyFault::Cut, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_answers_are_late() {
    under(ProxyFault::Delay, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_chunks_arrive_twice() {
    under(ProxyFault::Duplicate, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_chunks_arrive_reordered() {
    under(ProxyFault::Reorder, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_chunks_are_truncated() {
    under(ProxyFault::Truncate, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_bits_are_flipped() {
    under(ProxyFault::Flip, 6).await;
}

/// Without answers, or with only replayed ones, the verifier becomes stale by its own clock and reports it.
async fn becomes_stale_under(fault: ProxyFault, seed: u64) {
    for round in 0..rounds(1, 20) {
        let site = Site::open(seed + u64::try_from(round).expect("few") * 100).await;
        let (before, live) = (site.sign_in(), site.sign_in());
        site.use_for(BEFORE).await;
        until("all is known", UNDER_FAULT, || site.presented.knows_all()).await;
        // A replayed answer differs from a new one only in its nonce: nothing has ended since.
        let leases = site.proxy.leases();
        until("leases are granted", 4 * TERM, || site.proxy.leases() >= leases + 2).await;
        site.proxy.set_fault(fault);
        let began = uptime();
        site.end(before);
        until("it is stale", TERM + LOOKED_AT, || site.verifier.state() == VerifierState::Stale).await;
        let stale_after = uptime().saturating_sub(began);
        let told = site.verifier.metrics().accepted;
        site.use_for(UNDER_FAULT).await;
        assert_eq!(
            site.verifier.state(),
            VerifierState::Stale,
            "nothing has come that could have made it fresh"
        );
        assert_eq!(site.verifier.metrics().accepted, told, "a stale verifier accepts no token");
        assert!(site.proxy.mangled() > 0 || fault == ProxyFault::DropAll, "no answer was given twice");
        let took = site.remove_fault().await;
        site.end(live);
        until("the last one is known, too", UNDER_FAULT, || site.presented.knows_all()).await;
        let latest = site.check().await;
        tell(&format!(
            "{fault:?}: stale after {stale_after:?}, latest let in after {latest:?}, caught up in {took:?}"
        ));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_traffic_is_dropped_silently() {
    becomes_stale_under(ProxyFault::DropAll, 7).await;
}

/// A lease answers one request only. A replayed lease has no effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_old_lease_answers_are_replayed() {
    becomes_stale_under(ProxyFault::Replay, 8).await;
}
