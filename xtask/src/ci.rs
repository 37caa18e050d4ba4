//! `cargo xtask ci`: runs every check, also after one that fails. Steps that mostly wait run in the background of
//! those that compile. The Rust tests come last, so that the runner's summaries are at the end of the output.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::background::{BackgroundSteps, LEFT_OUT};
use crate::failure::{Failure, Result};
use crate::python::{self, Ready};
use crate::{fuzz, program, python_versions, services, test, tidy, wheels, workspace};

/// One check.
struct Step {
    name: &'static str,
    what: String,
    stage: Stage,
    action: Action,
}

/// When a step runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In the background of `Check`, because it mostly waits for the network.
    Fetch,
    Check,
    /// After the stages before.
    Build,
    /// In the background of `Compute`, because it mostly waits for servers.
    Wait,
    /// Gives way to `Wait`.
    Compute,
    /// Alone.
    Test,
}

enum Action {
    /// Calls a function; it returns what was left out, and why.
    Call(fn() -> Result<Vec<String>>),
    Run(Command),
    /// Runs the tests with the services.
    Tests(Command),
    /// Checks the Python packages.
    Python(fn(&Path) -> Result<()>),
}

/// The results of the steps so far.
#[derive(Default)]
struct Done {
    times: Vec<(String, Duration)>,
    left_out: Vec<String>,
    failures: Vec<(String, Failure)>,
}

/// The feature sets of quash-verify that applications and the server choose, each built alone.
const FEATURES: [&str; 7] = ["", "clock", "axum", "test", "follow", "follow,axum,test", "clock,issuer"];

/// Runs all steps, or one after the other those with the names, also after one that fails, and reports how long
/// each took.
///
/// # Errors
/// Returns an error if a step fails; the failure has the exit code of the first.
pub(crate) fn run(names: &[String]) -> Result<()> {
    let began = Instant::now();
    let mut steps = steps()?;
    if let Some(unknown) = names.iter().find(|name| !steps.iter().any(|step| step.name == name.as_str())) {
        let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
        return Err(Failure::usage(format!("ci has no step '{unknown}', but {}", known.join(", "))));
    }
    steps.retain(|step| names.is_empty() || names.iter().any(|name| name == step.name));
    let count = steps.len();
    println!("ci: {count} steps");
    for (index, step) in steps.iter().enumerate() {
        println!("  {}. {:<10} {}", index + 1, step.name, step.what);
    }
    let mut done = Done::default();
    if names.is_empty() {
        done.run_all(steps);
    } else {
        steps.into_iter().for_each(|step| done.run(step));
    }
    done.report(count, began.elapsed())
}

fn steps() -> Result<Vec<Step>> {
    let mut docs = cargo("doc --workspace --no-deps --quiet --locked")?;
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let mut compile = test::runner()?;
    compile.arg("--no-run");
    let tests = test::runner()?;
    let needed = format!(
        "what the tests need besides Rust, installed where missing: strace, faketime, Chromium with axe, PostgreSQL, pgbouncer, and for Python {}",
        python::packages().join(", ")
    );
    let call = |stage, name, what: &str, call| Step {
        name,
        what: what.to_owned(),
        stage,
        action: Action::Call(call),
    };
    let run = |stage, name, command| Step {
        name,
        what: with_environment(&command),
        stage,
        action: Action::Run(command),
    };
    let python = |stage, name, what: &str, check| Step {
        name,
        what: what.to_owned(),
        stage,
        action: Action::Python(check),
    };
    Ok(vec![
        call(Stage::Fetch, "services", &needed, || services::start().map(|services| services.left_out)),
        python(
            Stage::Fetch,
            "wheels",
            "the packages in python/: their metadata, and the sources that they are built from",
            wheels::check,
        ),
        call(Stage::Check, "tools", "the parts of the Rust toolchain that the steps need", tools),
        call(Stage::Check, "tidy", "the project's rules, from cargo metadata and the sources", || {
            tidy::run().map(|()| Vec::new())
        }),
        call(
            Stage::Check,
            "deny",
            "licences, sources and bans of dependencies, where cargo-deny is installed",
            deny,
        ),
        call(Stage::Check, "workflow", "the workflow file, where actionlint is installed", workflow),
        run(Stage::Check, "fmt", cargo("fmt --all --check")?),
        run(
            Stage::Check,
            "clippy",
            cargo("clippy --workspace --all-targets --quiet --locked -- -D warnings")?,
        ),
        call(Stage::Check, "features", "quash-verify with each feature set", features),
        call(Stage::Check, "msrv", "the minimum Rust version, where it is installed", minimum_rust),
        run(Stage::Check, "docs", docs),
        run(Stage::Build, "server", cargo("build --workspace --bins --examples --quiet --locked")?),
        python(Stage::Build, "module", "the native module of quash-verify for Python", |python| {
            python::install_package(python, "dev")
        }),
        python(
            Stage::Wait,
            "python",
            "the packages in python/: the types, and pytest against the built server",
            python_versions::test_installed,
        ),
        run(Stage::Compute, "doctests", cargo("test --workspace --doc --quiet --locked")?),
        call(Stage::Compute, "fuzz", "random and mutated inputs, half a minute for each target", || {
            fuzz::all(fuzz::HALF_MINUTE).map(|()| Vec::new())
        }),
        run(Stage::Compute, "compile", compile),
        Step {
            name: "tests",
            what: with_environment(&tests),
            stage: Stage::Test,
            action: Action::Tests(tests),
        },
        call(
            Stage::Test,
            "stores",
            "tests of the server on PostgreSQL, and a few of the binary behind pgbouncer",
            test::in_ci,
        ),
    ])
}

impl Done {
    fn run_all(&mut self, steps: Vec<Step>) {
        let mut background: Option<BackgroundSteps> = None;
        let (waiting, here): (Vec<Step>, Vec<Step>) =
            steps.into_iter().partition(|step| matches!(step.stage, Stage::Fetch | Stage::Wait));
        let names = |stage| -> Vec<&str> {
            waiting.iter().filter(|step| step.stage == stage).map(|step| step.name).collect()
        };
        let mut stage = None;
        for step in here {
            if stage != Some(step.stage) {
                stage = Some(step.stage);
                match step.stage {
                    Stage::Check => background = self.start(&names(Stage::Fetch)),
                    Stage::Compute => {
                        background = self.start(&names(Stage::Wait));
                        give_way();
                    }
                    _ => self.finish(background.take()),
                }
            }
            self.run(step);
        }
    }

    fn start(&mut self, names: &[&str]) -> Option<BackgroundSteps> {
        BackgroundSteps::start(names).map_err(|failure| self.fail(&names.join(", "), failure)).ok()
    }

    fn finish(&mut self, background: Option<BackgroundSteps>) {
        let Some(background) = background else { return };
        let names = background.names().to_owned();
        let ended = background.finish();
        self.left_out.extend(ended.left_out);
        if let Err(failure) = ended.outcome {
            self.fail(&names, failure);
        }
        self.times.push((names, ended.time));
    }

    fn run(&mut self, step: Step) {
        println!("\n== {}: {}", step.name, step.what);
        let began = Instant::now();
        let outcome = match step.action {
            Action::Call(call) => call().map(|reasons| self.left_out.extend(reasons)),
            Action::Run(mut command) => program::run(&mut command),
            Action::Python(check) => with_python(check),
            Action::Tests(mut command) => services::ready()
                .and_then(|services| program::run(command.envs(services.variables.iter().cloned()))),
        };
        self.times.push((step.name.to_owned(), began.elapsed()));
        if let Err(failure) = outcome {
            self.fail(step.name, failure);
        }
    }

    fn fail(&mut self, name: &str, failure: Failure) {
        println!("ci: {name} FAILED: {failure}");
        self.failures.push((name.to_owned(), failure));
    }

    fn report(self, count: usize, span: Duration) -> Result<()> {
        println!();
        for (name, time) in &self.times {
            println!("ci: {name:<16} {:>7.1} s", time.as_secs_f64());
        }
        for reason in &self.left_out {
            println!("{LEFT_OUT}{reason}");
        }
        let minutes = format!("{:.1} minutes", span.as_secs_f64() / 60.0);
        let names: Vec<&str> = self.failures.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        match self.failures.into_iter().next() {
            None => {
                println!("ci: all {count} steps passed in {minutes}");
                Ok(())
            }
            Some((_, first)) => Err(first.led_by(format!("ci FAILED after {minutes} in {names}. The first"))),
        }
    }
}

/// Checks the Python packages, or says why it doesn't; `services` has listed it then as left out.
fn with_python(check: fn(&Path) -> Result<()>) -> Result<()> {
    match python::ready()? {
        Ready::Found(python) => check(&python),
        Ready::Missing(missing) => {
            println!("The packages in python/ aren't checked: {missing}");
            Ok(())
        }
    }
}

/// Lowers the priority of this process, so that the waiting steps in the background get the processor when they need it.
fn give_way() {
    let _ = program::works(Command::new("renice").args(["-n", "10", "-p", &std::process::id().to_string()]));
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
fn with_environment(command: &Command) -> String {
    let given = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}='{}' ", name.to_string_lossy(), value?.to_string_lossy()))
    });
    given.chain([program::command_line(command)]).collect()
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
    let nextest = test::has_nextest();
    println!(
        "rustfmt and clippy are installed; the tests run with {}",
        if nextest { "cargo nextest" } else { "cargo test (cargo nextest is missing)" }
    );
    Ok(Vec::new())
}
