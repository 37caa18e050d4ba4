//! `cargo xtask test`: runs the tests with the available runner and services.

use std::process::Command;
use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::postgres::{PGBOUNCER, POSTGRES};
use crate::services::Services;
use crate::{program, python_versions, services, workspace};

/// Chooses where the tests of the server and of the binary keep their data.
const STORE: &str = "QUASH_TEST_STORE";
/// The tests whose data is kept there. The simulations have a store of their own.
const KEEPING: &str = "(package(quash-server) + package(quash)) & kind(test) - binary(sim) - binary(sim_nodes) - binary(soak_flood)";
/// The tests that `ci` runs on PostgreSQL, and those that it runs behind pgbouncer: those that decide on what
/// others write at the same time, and a few, as two minutes permit. The soak runs all.
const IN_CI: [(&str, &str); 2] = [
    (
        "postgres",
        "package(quash-server) & test(/^(accounts|claims|clients|contract|devices|faults|feed|lockout|sign_in)::/)",
    ),
    ("pgbouncer", "package(quash) & test(/^audit::/)"),
];

/// Runs the tests of the workspace; `args` are passed to the runner. Without them, also runs the tests of the
/// Python packages; with `--python`, only those; with `--store`, only those whose data is in another store then.
///
/// # Errors
/// Returns an error if a test fails or doesn't compile.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let services = services::ready()?;
    if let [option, store, rest @ ..] = args
        && option == "--store"
    {
        return on_store(&services, store, KEEPING, rest);
    }
    if args == ["--python"] {
        return services.with_python(python_versions::test_packages);
    }
    program::run(runner()?.args(args).envs(services.variables.iter().cloned()))?;
    if args.is_empty() {
        services.with_python(python_versions::test_packages)
    } else {
        println!("The tests of the packages in python/ are left out: the arguments are for Rust's runner.");
        Ok(())
    }
}

/// Runs the tests that keep data, with each of the stores that a server may have, also after one on which a test fails.
/// The store in memory is the one of [`run`].
///
/// # Errors
/// Like [`run`].
pub(crate) fn on_all_stores() -> Result<()> {
    let services = services::ready()?;
    let mut failed = Ok(());
    for store in ["sqlite", "postgres", "pgbouncer"] {
        println!("soak: the tests of the server and of the binary, their data in {store}");
        let began = Instant::now();
        let outcome = on_store(&services, store, KEEPING, &[]);
        println!("soak: {store} took {:.1} minutes", began.elapsed().as_secs_f64() / 60.0);
        failed = failed.and(outcome.map_err(|failure| failure.led_by(store)));
    }
    failed
}

/// Runs the tests that `ci` runs on PostgreSQL. Returns what was left out.
///
/// # Errors
/// Like [`run`].
pub(crate) fn in_ci() -> Result<Vec<String>> {
    let services = services::ready()?;
    if !services.has(POSTGRES) || !services.has(PGBOUNCER) || !has_nextest() {
        return Ok(vec![
            "the tests of the server and of the binary on PostgreSQL: install PostgreSQL, pgbouncer and cargo-nextest"
                .to_owned(),
        ]);
    }
    for (store, tests) in IN_CI {
        on_store(&services, store, tests, &[])?;
    }
    Ok(Vec::new())
}

/// Runs tests with their data in a store. cargo test can't choose them, and runs all.
fn on_store(services: &Services, store: &str, tests: &str, args: &[String]) -> Result<()> {
    let needed = match store {
        "memory" | "sqlite" => None,
        "postgres" => Some(POSTGRES),
        "pgbouncer" => Some(PGBOUNCER),
        _ => return Err(Failure::usage("--store takes memory, sqlite, postgres or pgbouncer")),
    };
    if needed.is_some_and(|needed| !services.has(needed)) {
        return Err(Failure::new(format!("there is no {store} to test with")));
    }
    let mut command = runner()?;
    if has_nextest() {
        command.args(["--filterset", tests]);
    }
    program::run(command.args(args).envs(services.variables.iter().cloned()).env(STORE, store))
}

/// Returns whether cargo-nextest is installed.
pub(crate) fn has_nextest() -> bool {
    program::works(&mut program::cargo(&["nextest", "--version"]))
}

/// Returns the command that runs every test except doctests. It builds the whole workspace at once, so that
/// the servers under test are built together with the tests.
///
/// # Errors
/// Returns an error if the workspace has no root.
pub(crate) fn runner() -> Result<Command> {
    let nextest = has_nextest();
    let mut command =
        if nextest { program::cargo(&["nextest", "run"]) } else { program::cargo(&["test", "--tests"]) };
    command.arg("--workspace").current_dir(workspace::root()?);
    if !nextest {
        command.arg("--no-fail-fast");
    }
    Ok(command)
}
