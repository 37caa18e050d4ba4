//! `cargo xtask soak`: runs the long forms of the tests and prints their figures.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::{Context, Failure, Result};
use crate::python::{self, Ready};
use crate::{fuzz, program, services, sim, test, workspace};

/// The name of fuzzing among the soaks.
const FUZZ: &str = "soak_fuzz";
/// The name of the simulation and its mutants among the soaks.
const SIM: &str = "soak_sim";
/// The name of the tests with each store among the soaks.
const STORES: &str = "soak_stores";
/// The name of the tests of the Python packages among the soaks.
const PYTHON: &str = "soak_python";

/// Runs the soaks whose name contains the filter, one after the other.
///
/// # Errors
/// Returns an error if a soak fails or doesn't compile, or if there is none.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let filter = match args {
        [] => "soak_",
        [filter] => filter.as_str(),
        _ => return Err(Failure::usage("soak takes at most one filter")),
    };
    let began = Instant::now();
    let mut count = 0;
    // A name that is given whole is no test of Rust's, whose build would take minutes.
    if ![FUZZ, SIM, STORES, PYTHON].iter().any(|name| name.strip_prefix("soak_") == Some(filter)) {
        println!("soak: the long forms (QUASH_SOAK=1), optimized, tests named *{filter}*, one at a time");
        let services = services::ready()?;
        count += run_counted(soak(filter)?.envs(services.variables.iter().cloned()))?;
    }
    if args.is_empty() || PYTHON.contains(filter) {
        println!("soak: the processes of the Python packages, optimized");
        match python::ready()? {
            Ready::Found(python) => python::soak(&python)?,
            Ready::Missing(missing) => return Err(Failure::new(missing.to_string())),
        }
        count += 1;
    }
    if args.is_empty() || STORES.contains(filter) {
        test::on_all_stores()?;
        count += 1;
    }
    if args.is_empty() || SIM.contains(filter) {
        println!("soak: the simulation of the guard, and its mutants");
        sim::soak()?;
        count += 1;
    }
    if args.is_empty() || FUZZ.contains(filter) {
        println!("soak: fuzzing, an hour for each target, two at a time");
        fuzz::all(fuzz::HOUR)?;
        count += 1;
    }
    if count == 0 {
        return Err(Failure::new(format!("soak: no test is named *{filter}*")));
    }
    println!("soak: {count} passed in {:.1} minutes", began.elapsed().as_secs_f64() / 60.0);
    Ok(())
}

fn soak(filter: &str) -> Result<Command> {
    let mut command = program::cargo(&["test", "--release", "--workspace", "--tests", "--"]);
    command.args(["--test-threads=1", "--nocapture", filter]);
    command.env("QUASH_SOAK", "1").current_dir(workspace::root()?);
    Ok(command)
}

/// Runs the tests, passes their output on, and returns their number.
fn run_counted(command: &mut Command) -> Result<usize> {
    let shown = program::command_line(command);
    let mut child = command.stdout(Stdio::piped()).spawn().context(format!("couldn't start `{shown}`"))?;
    let mut count = 0;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context(format!("reading what `{shown}` prints"))?;
            let line = String::from_utf8_lossy(&line);
            count += announced(&line).unwrap_or(0);
            println!("{line}");
        }
    }
    let status = child.wait().context(format!("waiting for `{shown}`"))?;
    if status.success() {
        Ok(count)
    } else {
        Err(Failure::with_code(format!("`{shown}` ended with {status}"), status.code()))
    }
}

/// Returns the number of tests that a test binary announces.
fn announced(line: &str) -> Option<usize> {
    let (count, rest) = line.strip_prefix("running ")?.split_once(' ')?;
    if rest == "test" || rest == "tests" { count.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::announced;

    #[test]
    fn test_counts_are_parsed_from_output() {
        assert_eq!(
            ["running 0 tests", "running 1 test", "running 12 tests"].map(announced),
            [Some(0), Some(1), Some(12)]
        );
        assert_eq!(["running out of tests", "running 3 rounds", "test a ... ok"].map(announced), [None; 3]);
    }
}
