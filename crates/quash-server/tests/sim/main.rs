//! A simulation of the guard: the real HTTP server and real verifiers, under a clock, a network and crashes
//! that follow from a seed. Each acceptance is checked: the bound, no resurrection, causality. After each
//! barrier, no verifier may accept what it covers. `cargo xtask sim --seed N --runs K` runs more seeds.

mod chance;
mod disk;
#[expect(dead_code, reason = "it also checks what nodes accept, for `sim_nodes`")]
mod journal;
mod network;
#[path = "../support/other_issuer.rs"]
mod other_issuer;
mod parameters;
mod seeds;
mod shop;
mod time;
mod users;
mod verifier;
mod wait;
mod world;

use std::time::Duration;

use chance::Chance;
use seeds::{Seeds, simulate};
use world::World;

/// The term of a lease.
const TERM: Duration = Duration::from_secs(2);
/// The duration of the faults.
const FAULTS: Duration = Duration::from_secs(25);
/// The maximum number of verifiers.
const VERIFIERS: usize = 3;

/// The observations of one run, to prove that it exercised something.
#[derive(Default, Debug, Clone, Copy)]
struct Seen {
    accepted: usize,
    /// Accepted, perhaps after introspection.
    introspected: usize,
    refused: usize,
    /// Refused tokens of the shop.
    named: usize,
    stale: usize,
    ended: usize,
    barriers: usize,
    crashes: usize,
    restores: usize,
    /// Deletions from the log.
    forgotten: usize,
    /// Verifiers that have given their lease back.
    left: usize,
    /// Changes whose outcome the issuer doesn't know.
    lost_answers: usize,
}

/// Runs one seed. Panics with the violation.
fn run(seed: u64) -> Seen {
    simulate(async {
        let world = World::start(seed).await;
        world.let_faults_happen(FAULTS).await;
        world.heal().await;
        world.seen()
    })
}

#[test]
fn simulated_verifiers_never_accept_ended_tokens() {
    let seeds = Seeds::chosen(40);
    let mut all = Seen::default();
    for seen in seeds.each(run) {
        all = Seen {
            accepted: all.accepted + seen.accepted,
            introspected: all.introspected + seen.introspected,
            refused: all.refused + seen.refused,
            named: all.named + seen.named,
            stale: all.stale + seen.stale,
            ended: all.ended + seen.ended,
            barriers: all.barriers + seen.barriers,
            crashes: all.crashes + seen.crashes,
            restores: all.restores + seen.restores,
            forgotten: all.forgotten + seen.forgotten,
            left: all.left + seen.left,
            lost_answers: all.lost_answers + seen.lost_answers,
        };
    }
    let Seeds { first, runs } = seeds;
    println!("{runs} seeds from {first}: {all:?}");
    let counts = [
        all.accepted,
        all.introspected,
        all.refused,
        all.named,
        all.stale,
        all.ended,
        all.barriers,
        all.crashes,
        all.restores,
        all.forgotten,
        all.left,
        all.lost_answers,
    ];
    assert!(runs < 40 || counts.iter().all(|&count| count > 10), "too little has happened: {all:?}");
}

#[test]
fn simulation_seeds_are_deterministic() {
    let (one, other) = (format!("{:?}", run(7)), format!("{:?}", run(7)));
    assert_eq!(one, other);
    assert_ne!(Chance::new(1).below(1 << 40), Chance::new(2).below(1 << 40));
}
