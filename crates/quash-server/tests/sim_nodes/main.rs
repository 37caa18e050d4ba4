//! A simulation of several nodes over one store: the real service and HTTP server of each node, real
//! verifiers that ask any of them, and links to the store that delay, lose and cut. Nodes are killed,
//! paused between any two of their steps, and left alone with an old primary.
//!
//! The promises that it checks: a request that arrives at any node after the answer of an ending call isn't
//! accepted (P1); a node accepts nothing later than its lease's term after the commit (P2); a verifier with
//! a lease lacks no entry that is older than the term (P3); after a barrier, nobody accepts what it covers
//! (P4). A refresh token is rotated once, and a revoked key signs nothing. `cargo xtask sim --seed N --runs
//! K` runs more seeds. A seed chooses the faults, but not the order in which tasks are woken that wait for the same
//! thing: a run with the same seed can differ.

mod aimed;
mod aimed_leases;
mod client;
mod gate;
mod line;
mod link;
mod node;
mod parameters;
mod world;

#[path = "../sim/chance.rs"]
mod chance;
#[expect(dead_code, reason = "it also records the tokens of another issuer")]
#[path = "../sim/journal.rs"]
mod journal;
#[path = "../sim/network.rs"]
mod network;
#[path = "../support/other_issuer.rs"]
mod other_issuer;
#[path = "../sim/seeds.rs"]
mod seeds;
#[expect(dead_code, reason = "it can also set clocks")]
#[path = "../sim/time.rs"]
mod time;
#[expect(dead_code, reason = "it can also ask about tokens of another issuer")]
#[path = "../sim/verifier.rs"]
mod verifier;
#[path = "../sim/wait.rs"]
mod wait;

use std::time::Duration;

use seeds::{Seeds, simulate};
use world::World;

/// Stands in for the module that `journal.rs` imports: this simulation has no tokens of other issuers.
mod shop {
    pub(crate) const NAME: &str = "shop";
}

/// The term of a lease.
const TERM: Duration = Duration::from_secs(2);
/// The duration of the faults.
const FAULTS: Duration = Duration::from_secs(20);
/// The maximum number of verifiers.
const VERIFIERS: usize = 2;
/// The maximum number of nodes.
const NODES: usize = 3;

/// The observations of one run, to prove that it exercised something.
#[derive(Default, Debug, Clone, Copy)]
struct Seen {
    /// By nodes and by verifiers.
    accepted: [usize; 2],
    refused: [usize; 2],
    unsure: [usize; 2],
    ended: usize,
    barriers: usize,
    signed: usize,
    rotated: usize,
    /// Keys revoked.
    struck: usize,
    kills: usize,
    pauses: usize,
    cuts: usize,
    /// Nodes left alone with an old primary.
    isolated: usize,
    /// Faults that were aimed at a rule.
    aimed: usize,
    /// Of those aimed at leases, the ones whose last step was reached.
    aimed_at_leases: usize,
    /// Changes of the settings that define tokens.
    settings: usize,
    /// Changes whose outcome the node doesn't know.
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
fn simulated_nodes_never_accept_ended_tokens() {
    let seeds = Seeds::chosen(15);
    let mut all = Seen::default();
    let both = |one: [usize; 2], other: [usize; 2]| [one[0] + other[0], one[1] + other[1]];
    for seen in seeds.each(run) {
        all = Seen {
            accepted: both(all.accepted, seen.accepted),
            refused: both(all.refused, seen.refused),
            unsure: both(all.unsure, seen.unsure),
            ended: all.ended + seen.ended,
            barriers: all.barriers + seen.barriers,
            signed: all.signed + seen.signed,
            rotated: all.rotated + seen.rotated,
            struck: all.struck + seen.struck,
            kills: all.kills + seen.kills,
            pauses: all.pauses + seen.pauses,
            cuts: all.cuts + seen.cuts,
            isolated: all.isolated + seen.isolated,
            aimed: all.aimed + seen.aimed,
            aimed_at_leases: all.aimed_at_leases + seen.aimed_at_leases,
            settings: all.settings + seen.settings,
            lost_answers: all.lost_answers + seen.lost_answers,
        };
    }
    let Seeds { first, runs } = seeds;
    println!("{runs} seeds from {first}: {all:?}");
    let counts = [
        all.accepted[0],
        all.accepted[1],
        all.refused[0],
        all.refused[1],
        all.unsure[0],
        all.unsure[1],
        all.ended,
        all.barriers,
        all.signed,
        all.rotated,
        all.struck,
        all.kills,
        all.pauses,
        all.cuts,
        all.isolated,
        all.aimed,
        all.lost_answers,
    ];
    assert!(runs < 15 || all.settings > 0, "no settings were changed: {all:?}");
    assert!(runs < 15 || all.aimed_at_leases > 0, "no fault aimed at leases was completed: {all:?}");
    assert!(runs < 15 || counts.iter().all(|&count| count > 10), "too little has happened: {all:?}");
}
