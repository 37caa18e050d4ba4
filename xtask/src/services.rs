//! Finds what the tests need beside Rust, installs what may be installed, and reports both.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::browser;
use crate::failure::Result;
use crate::python::{self, Missing, Ready};
use crate::{program, workspace};

/// The services that the tests need.
#[derive(Default)]
pub(crate) struct Services {
    /// The environment variables for the test runner.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// The tests that will be skipped, and why.
    pub(crate) left_out: Vec<String>,
}

/// Names the Python for the tests against Django and PyJWT.
const PYTHON: &str = "QUASH_TEST_PYTHON";

/// Name the browser for the tests of the pages, and the axe script that checks the pages.
const CHROMIUM: &str = "QUASH_TEST_CHROMIUM";
const AXE: &str = "QUASH_TEST_AXE";

/// Names the folder with test vectors of other projects.
const VECTORS: &str = "QUASH_VECTORS";

/// Installs what the tests need. If something is missing and can't be installed, the tests that need it are
/// skipped and say so.
///
/// # Errors
/// Returns an error if a file can't be written.
pub(crate) fn start() -> Result<Services> {
    let mut services = Services::default();
    services.left_out.extend(strace().err());
    services.left_out.extend(faketime().err());
    services.left_out.extend(vectors()?.err());
    let python = match python::ready()? {
        Ready::Missing(Missing::Venv) if install("python3-venv").is_ok() => {
            println!("python3-venv was installed with apt-get");
            python::ready()?
        }
        python => python,
    };
    services.take(python);
    if browser::chromium().is_none() {
        // `take_browser` checks whether it is installed now.
        let _ = install("chromium");
    }
    services.take_browser()?;
    Ok(services)
}

/// Prepares what belongs under the target directory, and installs nothing on the machine.
///
/// # Errors
/// Like [`start`].
pub(crate) fn ready() -> Result<Services> {
    let mut services = Services::default();
    services.take(python::ready()?);
    services.take_browser()?;
    Ok(services)
}

impl Services {
    /// Checks the Python packages, or says why it doesn't.
    ///
    /// # Errors
    /// Returns an error if the check fails.
    pub(crate) fn with_python(&self, check: fn(&Path) -> Result<()>) -> Result<()> {
        match self.variables.iter().find(|(name, _)| *name == PYTHON) {
            Some((_, python)) => check(python.as_ref()),
            None => {
                println!("The packages in python/ aren't checked, because there is no Python environment.");
                Ok(())
            }
        }
    }

    fn take_browser(&mut self) -> Result<()> {
        match browser::ready()? {
            Ok(browser) => {
                println!("Chromium and axe are installed: the browser tests will run");
                self.variables.extend([(CHROMIUM, browser.chromium.into()), (AXE, browser.axe.into())]);
            }
            Err(missing) => {
                println!("The browser tests will be skipped, because no browser is installed.");
                println!("{missing}");
                self.left_out.push(format!("the browser tests: {missing}"));
            }
        }
        Ok(())
    }

    fn take(&mut self, python: Ready) {
        match python {
            Ready::Found(python) => {
                println!(
                    "Python with {} is installed: the tests against Django and PyJWT and those of python/ will run",
                    python::packages().join(", ")
                );
                self.variables.push((PYTHON, python.into()));
            }
            Ready::Missing(missing) => {
                println!(
                    "The tests against Django and PyJWT and those of python/ will be skipped, because they lack a Python environment."
                );
                println!("{missing}");
                self.left_out
                    .push(format!("the tests against Django and PyJWT and those of python/: {missing}"));
            }
        }
    }
}

/// Finds the vectors of other projects. They stay outside of the repository, under their own licences.
fn vectors() -> Result<std::result::Result<(), String>> {
    let beside = workspace::root()?.join("../shared/vectors");
    let folder = std::env::var_os(VECTORS).map_or(beside, PathBuf::from);
    if folder.is_dir() {
        println!("The vectors of other projects are present: the tests with them will run");
        return Ok(Ok(()));
    }
    println!(
        "The tests with vectors of other projects will be skipped: set {VECTORS} to the folder of the vectors."
    );
    Ok(Err(format!("the tests with vectors of other projects: set {VECTORS} to the folder of the vectors")))
}

/// Finds or installs strace, which makes system calls fail in the fault tests: a full disk, a failing fsync.
fn strace() -> std::result::Result<(), String> {
    if program::works(Command::new("strace").arg("-V")) {
        println!("strace is installed: the fault tests will run");
    } else if let Err(reason) = install("strace") {
        println!(
            "strace is missing and couldn't be installed ({reason}): the fault tests that need it will be skipped."
        );
        println!("To run them: install strace (Linux only), then start again.");
        return Err("the fault tests that need strace: install strace (Linux only)".into());
    } else {
        println!("strace was installed with apt-get: the fault tests will run");
    }
    Ok(())
}

/// Finds or installs libfaketime, which moves a server's clock by a week.
fn faketime() -> std::result::Result<(), String> {
    if program::works(Command::new("faketime").arg("--version")) {
        println!("libfaketime is installed: the tests of jumping clocks will run");
    } else if let Err(reason) = install("faketime") {
        println!(
            "libfaketime is missing and couldn't be installed ({reason}): the tests of jumping clocks will be skipped."
        );
        return Err("the tests of jumping clocks: install faketime".into());
    } else {
        println!("faketime was installed with apt-get: the tests of jumping clocks will run");
    }
    Ok(())
}

/// Installs a Debian package, if this process is root.
fn install(package: &str) -> std::result::Result<(), String> {
    if !program::works(Command::new("apt-get").arg("--version")) {
        return Err("apt-get is missing".into());
    }
    let user = program::output(Command::new("id").arg("-u")).map_err(|failure| failure.to_string())?;
    if user.trim() != "0" {
        return Err("not running as root".into());
    }
    let install = || apt_get(&["install", "--yes", "--no-install-recommends", package]);
    // A fresh machine has no package lists; update them only then.
    install().or_else(|_| apt_get(&["update"]).and_then(|()| install())).map_err(|_| "apt-get failed".into())
}

fn apt_get(args: &[&str]) -> Result<()> {
    program::output(
        Command::new("apt-get")
            .args(["--quiet", "--quiet"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .map(drop)
}
