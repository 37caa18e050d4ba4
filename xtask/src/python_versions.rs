//! Tests the Python packages with each supported version of Python that is installed. All versions use the same
//! native module; each runs the tests that need no further package.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Result;
use crate::{program, python, workspace};

/// The supported minor versions of Python 3.
const MINORS: std::ops::RangeInclusive<u32> = 10..=14;
/// The tests that need only pytest.
const TESTS: [&str; 3] = ["tests/test_check.py", "tests/test_process.py", "tests/test_web.py"];

/// Builds and installs the native module, and runs [`test_installed`].
///
/// # Errors
/// Returns an error if a test fails, or if the packages can't be built or installed.
pub(crate) fn test_packages(environment: &Path) -> Result<()> {
    python::install_package(environment, "dev")?;
    test_installed(environment)
}

/// Runs all tests of the Python packages with the environment's version, then those that need no further package
/// with each other version that is installed, and names the missing ones.
///
/// # Errors
/// Returns an error if a test fails, or if the packages can't be installed.
pub(crate) fn test_installed(environment: &Path) -> Result<()> {
    python::test_own(environment)?;
    let packages = python::packages();
    let pytest = packages.iter().find(|package| package.starts_with("pytest==")).unwrap_or(&"pytest");
    let own = minor_of(environment);
    let (mut tested, mut missing) = (Vec::new(), Vec::new());
    // The tests mostly wait, so all versions run at once.
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for minor in MINORS.filter(|minor| Some(*minor) != own) {
            match find(minor) {
                Some(python) => {
                    running.push(scope.spawn(move || test(minor, &python, pytest)));
                    tested.push(format!("3.{minor}"));
                }
                None => missing.push(format!("3.{minor}")),
            }
        }
        let ended = running.into_iter().map(|test| test.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect::<Result<()>>()
    })?;
    println!(
        "the Python packages were also tested with {}; not installed: {}",
        listed(&tested),
        listed(&missing)
    );
    Ok(())
}

fn test(minor: u32, python: &Path, pytest: &str) -> Result<()> {
    let folder = workspace::target_directory()?.join(format!("python/3.{minor}"));
    let own = folder.join("bin/python");
    if !program::works(Command::new(&own).args(["-c", "import pytest"])) {
        program::output(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(&own);
        program::output(pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            pytest,
        ]))?;
    }
    python::install_wheel(&own)?;
    println!("testing the Python packages with Python 3.{minor}");
    let mut tests = Command::new(&own);
    tests.args(["-B", "-m", "pytest", "--quiet"]).args(TESTS);
    program::run(python::in_package(&mut tests)?)
}

/// Finds a version in PATH, or under pyenv.
fn find(minor: u32) -> Option<PathBuf> {
    let name = format!("python3.{minor}");
    if program::works(Command::new(&name).args(["-c", "import venv, ensurepip"])) {
        return Some(name.into());
    }
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")))?;
    let versions = std::fs::read_dir(root.join("versions")).ok()?;
    let mut pythons: Vec<PathBuf> =
        versions.flatten().map(|version| version.path().join("bin").join(&name)).collect();
    pythons.sort();
    pythons.into_iter().rev().find(|python| program::works(Command::new(python).args(["-c", "import venv"])))
}

fn minor_of(python: &Path) -> Option<u32> {
    let mut ask = Command::new(python);
    program::output(ask.args(["-c", "import sys; print(sys.version_info[1])"])).ok()?.trim().parse().ok()
}

fn listed(versions: &[String]) -> String {
    if versions.is_empty() { "none".to_owned() } else { versions.join(", ") }
}
