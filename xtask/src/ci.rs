//! `cargo xtask ci`: runs every check, from the quickest to the slowest, also after one that fails. The
//! tests come last, so that the runner's summary is at the end of the output.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::services::{self, Services};
use crate::{fuzz, program, python, pythons, test, tidy, wheels, workspace};

/// One check.
struct Step {
    name: &'static str,
    what: String,
    action: Action,
}

enum Action {
    /// Calls a function; it returns what was left out, and why.
    Call(fn() -> Result<Vec<String>>),
    Run(Command),
    /// Installs what the tests need.
    Services,
    /// Runs the tests with the services.
    Tests(Command),
    /// Checks the Python packages.
    Python(fn(&Path) -> Result<()>),
}

/// The feature sets of quash-verify that applications and the server choose, each built alone.
const FEATURES: [&str; 7] = ["", "clock", "axum", "test", "follow", "follow,axum,test", "clock,issuer"];

/// Runs all steps, also after one that fails, and reports how long each took.
///
/// # Errors
/// Returns an error if a step fails; the failure has the exit code of the first.
pub(crate) fn run() -> Result<()> {
    let began = Instant::now();
    let steps = steps()?;
    let count = steps.len();
    println!("ci: {count} steps");
    for (index, step) in steps.iter().enumerate() {
        println!("  {}. {:<10} {}", index + 1, step.name, step.what);
    }
    let mut times = Vec::with_capacity(count);
    let (mut left_out, mut failures) = (Vec::new(), Vec::new());
    let mut services = Services::default();
    for (index, step) in steps.into_iter().enumerate() {
        println!("\n== {}/{count} {}: {}", index + 1, step.name, step.what);
        let step_began = Instant::now();
        let outcome = match step.action {
            Action::Call(call) => call().map(|reasons| left_out.extend(reasons)),
            Action::Run(mut command) => program::run(&mut command),
            Action::Services => services::start().map(|started| services = started),
            Action::Python(check) => services.with_python(check),
            Action::Tests(mut command) => program::run(command.envs(services.variables.iter().cloned())),
        };
        times.push((step.name, step_began.elapsed()));
        if let Err(failure) = outcome {
            println!("ci: {} FAILED: {failure}", step.name);
            failures.push((step.name, failure));
        }
    }
    report(&times);
    for reason in left_out.iter().chain(&services.left_out) {
        println!("ci: left out: {reason}");
    }
    let minutes = minutes(began.elapsed());
    let names: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
    match failures.into_iter().next() {
        None => {
            println!("ci: all {count} steps passed in {minutes}");
            Ok(())
        }
        Some((_, first)) => Err(first.led_by(format!(
            "ci FAILED after {minutes}: {} of {count} steps ({}). The first",
            names.len(),
            names.join(", ")
        ))),
    }
}

fn steps() -> Result<Vec<Step>> {
    let mut docs = cargo("doc --workspace --no-deps --quiet --locked")?;
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let tests = test::runner()?;
    let needed = format!(
        "what the tests need beside Rust, installed where missing: strace, faketime, Chromium with axe, and for Python {}",
        python::packages().join(", ")
    );
    let call = |name, what: &str, call| Step { name, what: what.to_owned(), action: Action::Call(call) };
    let run = |name, command| Step { name, what: shown(&command), action: Action::Run(command) };
    Ok(vec![
        call("tools", "the parts of the Rust toolchain that the steps need", tools),
        Step { name: "services", what: needed, action: Action::Services },
        call("tidy", "the project's rules, from cargo metadata and the sources", || {
            tidy::run().map(|()| Vec::new())
        }),
        call("deny", "licences, sources and bans of dependencies, where cargo-deny is installed", deny),
        call("workflow", "the workflow file, where actionlint is installed", workflow),
        run("fmt", cargo("fmt --all --check")?),
        run("clippy", cargo("clippy --workspace --all-targets --quiet --locked -- -D warnings")?),
        call("features", "quash-verify with each feature set", features),
        call("msrv", "the minimum Rust version, where it is installed", minimum_rust),
        run("docs", docs),
        run("doctests", cargo("test --workspace --doc --quiet --locked")?),
        Step {
            name: "wheels",
            what: "the packages in python/: their metadata, and the sources that they are built from"
                .to_owned(),
            action: Action::Python(wheels::check),
        },
        call("fuzz", "random and mutated inputs, half a minute for each target", || {
            fuzz::all(fuzz::HALF_MINUTE).map(|()| Vec::new())
        }),
        Step { name: "tests", what: shown(&tests), action: Action::Tests(tests) },
        Step {
            name: "python",
            what: "the packages in python/: the types, and pytest against the built server".to_owned(),
            action: Action::Python(pythons::test_packages),
        },
    ])
}

fn features() -> Result<Vec<String>> {
    for set in FEATURES {
        let mut clippy = cargo("clippy -p quash-verify --lib --quiet --locked --no-default-features")?;
        program::run(clippy.args(["--features", set, "--", "-D", "warnings"]))?;
        println!("quash-verify builds with {}", if set.is_empty() { "no feature" } else { set });
    }
    Ok(Vec::new())
}

/// Checks the workspace with the version that `rust-version` in Cargo.toml names, in a target directory of
/// its own.
fn minimum_rust() -> Result<Vec<String>> {
    let metadata = workspace::metadata()?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let ours = packages.find(|package| package["name"] == "quash");
    let version = ours.and_then(|package| package["rust_version"].as_str()).unwrap_or_default().to_owned();
    let toolchain = format!("+{version}");
    if !program::works(Command::new("cargo").args([&toolchain, "--version"])) {
        return Ok(vec![format!("the build with Rust {version}: rustup toolchain install {version}")]);
    }
    let mut check = Command::new("cargo");
    check.args([&toolchain, "check", "--workspace", "--quiet", "--locked"]).current_dir(workspace::root()?);
    check.env("CARGO_TARGET_DIR", workspace::target_directory()?.join("msrv"));
    program::run(&mut check)?;
    Ok(Vec::new())
}

fn deny() -> Result<Vec<String>> {
    if !program::works(&mut program::cargo(&["deny", "--version"])) {
        return Ok(vec!["cargo deny: cargo install cargo-deny".to_owned()]);
    }
    program::run(&mut cargo("deny --locked --offline check bans licenses sources")?)?;
    Ok(Vec::new())
}

fn workflow() -> Result<Vec<String>> {
    if !program::works(Command::new("actionlint").arg("--version")) {
        return Ok(vec![
            "actionlint, which checks .github/workflows: install it from its releases".to_owned(),
        ]);
    }
    program::run(Command::new("actionlint").current_dir(workspace::root()?))?;
    Ok(Vec::new())
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
fn tools() -> Result<Vec<String>> {
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
    Ok(Vec::new())
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
