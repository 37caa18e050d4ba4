//! `cargo xtask soak`: the long forms of the tests, run before an issue is closed. Their figures are printed.

use std::process::Command;
use std::time::Instant;

use crate::failure::{Failure, Result};
use crate::{program, workspace};

/// Test binaries that are soaks as a whole: (package, test binary). Others are found by `soak_` in a test's name.
const SOAK_BINARIES: &[(&str, &str)] = &[];

/// Runs the soaks whose name contains the filter, one after the other.
///
/// # Errors
/// A soak failed, or something didn't compile.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let filter = match args {
        [] => "soak_",
        [filter] => filter.as_str(),
        _ => return Err(Failure::usage("soak takes one filter at most")),
    };
    println!("soak: the long forms (QUASH_SOAK=1), release mode, tests named *{filter}*, one at a time");
    let began = Instant::now();
    program::run(soak(&["--workspace", "--tests"], filter)?.arg("--nocapture"))?;
    for (package, binary) in SOAK_BINARIES {
        // Without a filter of the caller's, the whole binary is meant, whatever its tests are called.
        let filter = if args.is_empty() { "" } else { filter };
        program::run(soak(&["--package", package, "--test", binary], filter)?.arg("--nocapture"))?;
    }
    println!("soak: passed in {:.1} minutes", began.elapsed().as_secs_f64() / 60.0);
    Ok(())
}

fn soak(targets: &[&str], filter: &str) -> Result<Command> {
    let mut command = program::cargo(&["test", "--release"]);
    command.args(targets).arg("--").arg("--test-threads=1");
    if !filter.is_empty() {
        command.arg(filter);
    }
    command.env("QUASH_SOAK", "1").current_dir(workspace::root()?);
    Ok(command)
}
