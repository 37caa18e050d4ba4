//! What tests need beside Rust: found, or installed where that is ours to do, and said either way.

use std::process::Command;

use crate::failure::Result;
use crate::program;

/// Makes ready what tests need. What is missing and can't be installed only makes tests skip, and they say so.
///
/// # Errors
/// None today; a service that tests can't do without would fail here.
pub(crate) fn start() -> Result<()> {
    strace();
    Ok(())
}

/// strace breaks system calls for the fault tests: a full disk, an fsync that fails.
fn strace() {
    if program::works(Command::new("strace").arg("-V")) {
        println!("strace is here: the fault tests run");
    } else if let Err(reason) = install_strace() {
        println!("strace is missing and couldn't be installed ({reason}): the fault tests that need it will say that they were skipped.");
        println!("To run them: install strace (Linux only), then start again.");
    } else {
        println!("strace was installed with apt-get: the fault tests run");
    }
}

fn install_strace() -> std::result::Result<(), String> {
    if !program::works(Command::new("apt-get").arg("--version")) {
        return Err("there is no apt-get".into());
    }
    let user = program::output(Command::new("id").arg("-u")).map_err(|failure| failure.to_string())?;
    if user.trim() != "0" {
        return Err("this isn't root".into());
    }
    let install = || apt_get(&["install", "--yes", "--no-install-recommends", "strace"]);
    // A fresh machine has no package lists; one that has them is spared the update.
    install().or_else(|_| apt_get(&["update"]).and_then(|()| install())).map_err(|_| "apt-get failed".into())
}

fn apt_get(args: &[&str]) -> Result<()> {
    program::output(Command::new("apt-get").args(["--quiet", "--quiet"]).args(args).env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}
