//! `cargo xtask ci`: runs every check, from the quickest to the slowest, and stops at the first failure. The
//! tests come last, so that the runner's summary is at the end of the output.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::services::{self, Services};
use crate::{fuzz, program, python, test, tidy, workspace};

struct Step {
    name: &'static str,
    what: String,
    action: Action,
}

enum Action {
    Call(fn() -> Result<()>),
    Run(Command),
    /// Installs the services that the tests need.
    Services,
    /// Runs the tests with those services.
    Tests(Command),
}

/// Runs all steps and reports how long each took.
///
/// # Errors
/// Returns the failure of the first failing step, with its exit code.
pub(crate) fn run() -> Result<()> {
    let began = Instant::now();
    let steps = steps()?;
    let count = steps.len();
    println!("ci: {count} steps; stops at the first failure");
    for (index, step) in steps.iter().enumerate() {
        println!("  {}. {:<10} {}", index + 1, step.name, step.what);
    }
    let mut times = Vec::with_capacity(count);
    let mut services = Services::default();
    for (index, step) in steps.into_iter().enumerate() {
        println!("\n== {}/{count} {}: {}", index + 1, step.name, step.what);
        let step_began = Instant::now();
        let outcome = match step.action {
            Action::Call(call) => call(),
            Action::Run(mut command) => program::run(&mut command),
            Action::Services => services::start().map(|started| services = started),
            Action::Tests(mut command) => program::run(command.envs(services.variables.iter().cloned())),
        };
        times.push((step.name, step_began.elapsed()));
        if let Err(failure) = outcome {
            report(&times);
            let minutes = minutes(began.elapsed());
            return Err(failure.led_by(format!(
                "ci FAILED at step {}/{count}, {}, after {minutes}",
                index + 1,
                step.name
            )));
        }
    }
    report(&times);
    for tests in &services.left_out {
        println!("ci: skipped: {tests}");
    }
    println!("ci: all {count} steps passed in {}", minutes(began.elapsed()));
    Ok(())
}

fn steps() -> Result<Vec<Step>> {
    let mut docs = cargo("doc --workspace --no-deps --quiet")?;
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let tests = test::runner()?;
    let needed = format!(
        "services that the tests need, installed if missing: strace, Chromium with axe, and for Python {}",
        python::packages().join(", ")
    );
    let call = |name, what: &str, call| Step { name, what: what.to_owned(), action: Action::Call(call) };
    let run = |name, command| Step { name, what: shown(&command), action: Action::Run(command) };
    Ok(vec![
        call("tools", "the parts of the Rust toolchain that the steps need", tools),
        Step { name: "services", what: needed, action: Action::Services },
        call("tidy", "the project's rules, from cargo metadata and the sources", tidy::run),
        run("fmt", cargo("fmt --all --check")?),
        run("clippy", cargo("clippy --workspace --all-targets --quiet -- -D warnings")?),
        run("docs", docs),
        run("doctests", cargo("test --workspace --doc --quiet")?),
        call("fuzz", "random inputs, a minute for each target", || fuzz::all(fuzz::MINUTE)),
        Step { name: "tests", what: shown(&tests), action: Action::Tests(tests) },
    ])
}

fn cargo(line: &str) -> Result<Command> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut command = program::cargo(&words);
    command.current_dir(workspace::root()?);
    Ok(command)
}

/// Returns the command as one would type it, with its environment.
fn shown(command: &Command) -> String {
    let given = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}='{}' ", name.to_string_lossy(), value?.to_string_lossy()))
    });
    given.chain([program::shown(command)]).collect()
}

/// Installs rustfmt and clippy, which rustup's minimal profile lacks.
fn tools() -> Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !program::works(&mut program::cargo(&[tool, "--version"])) {
            println!("cargo {tool} is missing: rustup component add {component}");
            let mut rustup = Command::new("rustup");
            program::run(rustup.args(["component", "add", component])).map_err(|failure| {
                Failure::new(format!("cargo {tool} is missing and couldn't be installed ({failure})"))
            })?;
        }
    }
    let nextest = program::works(&mut program::cargo(&["nextest", "--version"]));
    println!(
        "rustfmt and clippy are installed; the tests run with {}",
        if nextest { "cargo nextest" } else { "cargo test (cargo nextest is missing)" }
    );
    Ok(())
}

fn report(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("ci: {name:<10} {:>7.1} s", time.as_secs_f64());
    }
}

fn minutes(span: Duration) -> String {
    format!("{:.1} minutes", span.as_secs_f64() / 60.0)
}
