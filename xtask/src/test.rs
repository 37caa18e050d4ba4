//! `cargo xtask test`: runs the tests with the available runner and services.

use std::process::Command;

use crate::failure::Result;
use crate::{program, pythons, services, workspace};

/// Runs the tests of the workspace; `args` are passed to the runner. Without them, also runs the tests of the
/// Python packages; with `--python`, only those.
///
/// # Errors
/// Returns an error if a test fails or doesn't compile.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let services = services::ready()?;
    if args == ["--python"] {
        return services.with_python(pythons::test_packages);
    }
    program::run(runner()?.args(args).envs(services.variables.iter().cloned()))?;
    if args.is_empty() {
        services.with_python(pythons::test_packages)
    } else {
        println!("The tests of the packages in python/ are left out: the arguments are for Rust's runner.");
        Ok(())
    }
}

/// Returns the command that runs every test except doctests. It builds the whole workspace at once, so that
/// the servers under test are built together with the tests.
///
/// # Errors
/// Returns an error if the workspace has no root.
pub(crate) fn runner() -> Result<Command> {
    let nextest = program::works(&mut program::cargo(&["nextest", "--version"]));
    let mut command =
        if nextest { program::cargo(&["nextest", "run"]) } else { program::cargo(&["test", "--tests"]) };
    command.arg("--workspace").current_dir(workspace::root()?);
    if !nextest {
        command.arg("--no-fail-fast");
    }
    Ok(command)
}
