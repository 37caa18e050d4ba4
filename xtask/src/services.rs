//! What tests need beside Rust: found, or installed where that is ours to do, and said either way.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::browser;
use crate::failure::Result;
use crate::python::{self, Missing, Ready};
use crate::{program, workspace};

/// What tests are told of what they need.
#[derive(Default)]
pub(crate) struct Services {
    /// Variables for the runner of the tests.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// The tests that will say that they were skipped, and why.
    pub(crate) left_out: Vec<String>,
}

/// Where the tests against Django and PyJWT find their Python.
const PYTHON: &str = "QUASH_TEST_PYTHON";

/// Where the tests of the pages find a browser, and what looks at pages in it.
const CHROMIUM: &str = "QUASH_TEST_CHROMIUM";
const AXE: &str = "QUASH_TEST_AXE";

/// Where the tests with vectors of other projects look for them.
const VECTORS: &str = "QUASH_VECTORS";

/// Makes ready what tests need. What is missing and can't be installed only makes tests skip, and they say so.
///
/// # Errors
/// A file can't be written; a service that tests can't do without would fail here, too.
pub(crate) fn start() -> Result<Services> {
    let mut services = Services::default();
    services.left_out.extend(strace().err());
    services.left_out.extend(faketime().err());
    services.left_out.extend(vectors()?.err());
    let python = match python::ready()? {
        Ready::Not(Missing::Venv) if install("python3-venv").is_ok() => {
            println!("python3-venv was installed with apt-get");
            python::ready()?
        }
        python => python,
    };
    services.take(python);
    if browser::chromium().is_none() {
        // Whether it is there now is seen below.
        let _ = install("chromium");
    }
    services.take_browser()?;
    Ok(services)
}

/// Makes ready what is kept under the target directory; what belongs to the machine is taken as it is.
///
/// # Errors
/// As [`start`].
pub(crate) fn ready() -> Result<Services> {
    let mut services = Services::default();
    services.take(python::ready()?);
    services.take_browser()?;
    Ok(services)
}

impl Services {
    fn take_browser(&mut self) -> Result<()> {
        match browser::ready()? {
            Ok(browser) => {
                println!("Chromium and axe are here: the tests of the pages in a browser run");
                self.variables.extend([(CHROMIUM, browser.chromium.into()), (AXE, browser.axe.into())]);
            }
            Err(missing) => {
                println!(
                    "There is no browser for the tests of the pages, and they will say that they were skipped."
                );
                println!("{missing}");
                self.left_out.push(format!("the tests of the pages in a browser, since {missing}"));
            }
        }
        Ok(())
    }

    fn take(&mut self, python: Ready) {
        match python {
            Ready::Is(python) => {
                println!(
                    "Python with {} is here: the tests against Django and PyJWT run",
                    python::packages().join(", ")
                );
                self.variables.push((PYTHON, python.into()));
            }
            Ready::Not(missing) => {
                println!(
                    "There is no Python for the tests against Django and PyJWT, and they will say that they were skipped."
                );
                println!("{missing}");
                self.left_out.push(format!("the tests against Django and PyJWT, since {missing}"));
            }
        }
    }
}

/// Vectors of other projects stay where they are: their licences are their own.
fn vectors() -> Result<std::result::Result<(), String>> {
    let beside = workspace::root()?.join("../shared/vectors");
    let folder = std::env::var_os(VECTORS).map_or(beside, PathBuf::from);
    if folder.is_dir() {
        println!("vectors of other projects are here: the tests with them run");
        return Ok(Ok(()));
    }
    println!(
        "There are no vectors of other projects ({VECTORS} names their folder): the tests with them will say that they were skipped."
    );
    Ok(Err(format!(
        "the tests with vectors of other projects, since there are none: {VECTORS} names their folder"
    )))
}

/// strace breaks system calls for the fault tests: a full disk, an fsync that fails.
fn strace() -> std::result::Result<(), String> {
    if program::works(Command::new("strace").arg("-V")) {
        println!("strace is here: the fault tests run");
    } else if let Err(reason) = install("strace") {
        println!(
            "strace is missing and couldn't be installed ({reason}): the fault tests that need it will say that they were skipped."
        );
        println!("To run them: install strace (Linux only), then start again.");
        return Err("the fault tests that need strace, since it is missing: install it (Linux only)".into());
    } else {
        println!("strace was installed with apt-get: the fault tests run");
    }
    Ok(())
}

/// libfaketime moves a server's clock by a week.
fn faketime() -> std::result::Result<(), String> {
    if program::works(Command::new("faketime").arg("--version")) {
        println!("libfaketime is here: the tests of clocks that jump run");
    } else if let Err(reason) = install("faketime") {
        println!(
            "libfaketime is missing and couldn't be installed ({reason}): the tests of clocks that jump will say that they were skipped."
        );
        return Err("the tests of clocks that jump, since libfaketime is missing: install faketime".into());
    } else {
        println!("faketime was installed with apt-get: the tests of clocks that jump run");
    }
    Ok(())
}

/// Installs a package of a Debian that is ours to change.
fn install(package: &str) -> std::result::Result<(), String> {
    if !program::works(Command::new("apt-get").arg("--version")) {
        return Err("there is no apt-get".into());
    }
    let user = program::output(Command::new("id").arg("-u")).map_err(|failure| failure.to_string())?;
    if user.trim() != "0" {
        return Err("this isn't root".into());
    }
    let install = || apt_get(&["install", "--yes", "--no-install-recommends", package]);
    // A fresh machine has no package lists; one that has them is spared the update.
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
