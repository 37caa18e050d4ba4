//! `cargo xtask test`: the tests, with the runner that is there, and what they need beside Rust.

use std::process::Command;

use crate::failure::Result;
use crate::{program, services, workspace};

/// Runs the tests of the workspace; `args` go to the runner.
///
/// # Errors
/// A test failed, or something didn't compile.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let services = services::ready()?;
    program::run(runner()?.args(args).envs(services.variables))
}

/// The command that runs every test but those in documentation. It names the binary's package together with the
/// others, so that the servers under test are built once, with the tests.
///
/// # Errors
/// The workspace has no root.
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
