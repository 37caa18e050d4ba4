//! `cargo xtask sim`: runs the simulations of the guard and of several nodes with any number of seeds, and checks
//! that they find the fault of each mutant.

mod mutants;
mod node_mutants;
mod workspace_copy;

use std::process::Command;
use std::time::Instant;

use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

use self::mutants::{MUTANTS, Mutant};
use self::node_mutants::NODE_MUTANTS;
use self::workspace_copy::{Found, WorkspaceCopy};

/// A simulation: a test of quash-server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Simulation {
    /// The file of the test.
    pub(crate) file: &'static str,
    pub(crate) test: &'static str,
}

/// One process of the issuer, and verifiers.
const GUARD: Simulation = Simulation { file: "sim", test: "simulated_verifiers_never_accept_ended_tokens" };
/// Several nodes over one store, and verifiers.
const NODES: Simulation = Simulation { file: "sim_nodes", test: "simulated_nodes_never_accept_ended_tokens" };

/// The default number of seeds.
const RUNS: u64 = 1000;
/// The number of seeds in a soak.
const SOAK_RUNS: u64 = 10_000;
/// The number of seeds within which each mutant must be found.
const MUTANT_RUNS: u64 = 1000;

/// The parsed arguments.
#[derive(PartialEq, Eq, Debug)]
enum SimArgs {
    Seeds { first: u64, runs: u64 },
    Mutants { filter: String, runs: u64 },
}

/// Runs `cargo xtask sim [--seed N] [--runs K]`, or `cargo xtask sim --mutants [name] [--runs K]`.
///
/// # Errors
/// Returns an error if a seed finds a fault, or if a mutant isn't found.
pub(crate) fn command(args: &[String]) -> Result<()> {
    match parse(args)? {
        SimArgs::Seeds { first, runs } => seeds(first, runs),
        SimArgs::Mutants { filter, runs } => find(&filter, runs),
    }
}

/// Runs the long form: many seeds, and all mutants.
///
/// # Errors
/// Like [`command`].
pub(crate) fn soak() -> Result<()> {
    seeds(1, SOAK_RUNS)?;
    find("", MUTANT_RUNS)
}

fn parse(args: &[String]) -> Result<SimArgs> {
    let usage = || {
        Failure::usage(
            "sim takes --seed N and --runs K, or --mutants with a part of a mutant's name and --runs K",
        )
    };
    let (mut seed, mut runs, mut mutants) = (None, None, None);
    let mut args = args.iter().map(String::as_str).peekable();
    while let Some(arg) = args.next() {
        if arg == "--mutants" && mutants.is_none() {
            let filter = args.next_if(|next| !next.starts_with("--")).unwrap_or_default();
            mutants = Some(filter.to_owned());
            continue;
        }
        let number: u64 = args.next().and_then(|number| number.parse().ok()).ok_or_else(usage)?;
        match arg {
            "--seed" => seed = Some(number),
            "--runs" if number > 0 => runs = Some(number),
            _ => return Err(usage()),
        }
    }
    match (mutants, seed) {
        (Some(filter), None) => Ok(SimArgs::Mutants { filter, runs: runs.unwrap_or(MUTANT_RUNS) }),
        (Some(_), Some(_)) => Err(usage()),
        (None, seed) => Ok(SimArgs::Seeds { first: seed.unwrap_or(1), runs: runs.unwrap_or(RUNS) }),
    }
}

/// Returns the command that builds an optimized simulation and runs it.
fn simulation(of: Simulation) -> Result<Command> {
    let mut command =
        program::cargo(&["test", "--release", "--package", "quash-server", "--test", of.file, "--quiet"]);
    command.current_dir(workspace::root()?);
    Ok(command)
}

/// Runs both simulations.
fn seeds(first: u64, runs: u64) -> Result<()> {
    [GUARD, NODES].into_iter().try_for_each(|simulation| seeds_of(simulation, first, runs))
}

/// Runs a simulation, optimized, on all cores.
fn seeds_of(of: Simulation, first: u64, runs: u64) -> Result<()> {
    program::run(simulation(of)?.arg("--no-run"))?;
    let began = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64).min(runs);
    let mut running = Vec::new();
    for core in 0..cores {
        let (from, to) = (first + runs * core / cores, first + runs * (core + 1) / cores);
        let mut run = simulation(of)?;
        run.args(["--", "--exact", of.test, "--nocapture"]);
        run.env("QUASH_SIM_SEED", from.to_string()).env("QUASH_SIM_RUNS", (to - from).to_string());
        running.push(run.spawn().context("starting the simulation")?);
    }
    let mut ended = Vec::new();
    for mut run in running {
        ended.push(run.wait().context("waiting for the simulation")?);
    }
    if !ended.iter().all(std::process::ExitStatus::success) {
        return Err(Failure::new(format!("{}: a seed has found a fault", of.file)));
    }
    println!("{}: {runs} seeds from {first} in {:.1} s", of.file, began.elapsed().as_secs_f64());
    Ok(())
}

/// Checks that the simulations find each mutant whose name contains the filter.
fn find(filter: &str, runs: u64) -> Result<()> {
    let began = Instant::now();
    let named = |mutant: &&Mutant| mutant.name.contains(filter);
    let guards = MUTANTS.iter().filter(named).map(|mutant| (GUARD, mutant));
    let mut mutants: Vec<_> =
        guards.chain(NODE_MUTANTS.iter().filter(named).map(|mutant| (NODES, mutant))).collect();
    // A mutant and the one before it rebuild all crates above theirs.
    mutants.sort_by_key(|(simulation, mutant)| (simulation.file, height(mutant.file)));
    let workspace_copy = WorkspaceCopy::set_up(&mutants)?;
    let (mut found, mut missed) = (0, Vec::new());
    for (simulation, mutant) in mutants {
        let Found { finding, built_in, ran_in } = workspace_copy.find(simulation, mutant, runs)?;
        let took = format!("built in {:.0} s, run for {:.0} s", built_in.as_secs_f64(), ran_in.as_secs_f64());
        match finding {
            Some(finding) => {
                found += 1;
                println!("sim: {}: {finding} ({took})", mutant.name);
            }
            None => {
                println!("sim: {}: NOT FOUND by {runs} seeds ({took})", mutant.name);
                missed.push(mutant.name);
            }
        }
    }
    if !missed.is_empty() {
        return Err(Failure::new(format!(
            "sim: {} mutants weren't found: {}",
            missed.len(),
            missed.join("; ")
        )));
    }
    if found == 0 {
        return Err(Failure::usage(format!("no mutant is named *{filter}*")));
    }
    println!(
        "sim: {found} mutants, all of them found, in {:.1} minutes",
        began.elapsed().as_secs_f64() / 60.0
    );
    Ok(())
}

/// The place of a file's crate in the order in which crates are built.
fn height(file: &str) -> Option<usize> {
    ["quash-core", "quash-store", "quash-verify", "quash-service", "quash-server"]
        .iter()
        .position(|name| file.split('/').any(|part| part == *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_with(line: &str) -> Option<SimArgs> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn sim_arguments_are_parsed() {
        assert_eq!(asked_with(""), Some(SimArgs::Seeds { first: 1, runs: RUNS }));
        assert_eq!(asked_with("--runs 3 --seed 9"), Some(SimArgs::Seeds { first: 9, runs: 3 }));
        let mutants = |filter: &str, runs| Some(SimArgs::Mutants { filter: filter.into(), runs });
        assert_eq!(asked_with("--mutants"), mutants("", MUTANT_RUNS));
        assert_eq!(asked_with("--mutants lease"), mutants("lease", MUTANT_RUNS));
        assert_eq!(asked_with("--mutants lease --runs 9"), mutants("lease", 9));
        assert_eq!(asked_with("--mutants --runs 9"), mutants("", 9));
        let wrong_ones = [
            "--runs 0",
            "--runs",
            "--seed x",
            "lease",
            "--mutants a b",
            "--mutants a --seed 3",
            "--mutants a --mutants b",
        ];
        for wrong in wrong_ones {
            assert_eq!(asked_with(wrong), None, "{wrong}");
        }
    }
}
