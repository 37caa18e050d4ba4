//! Makes Python environments under the target directory, once: one for tests, with Django, Simple JWT and PyJWT,
//! which quash is compared with, and with the tools that test `python/`; one for schemathesis; and one for the benchmark's
//! baseline.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Result};
use crate::{program, workspace};

/// An environment.
struct Environment {
    /// Its folder under the target directory.
    folder: &'static str,
    /// The packages, each with its version.
    requirements: &'static str,
    /// A package that is compiled when it is installed. Without it, its tests are skipped.
    compiled: Option<&'static str>,
}

/// The environment of the tests.
const TESTS: Environment = Environment {
    folder: "python",
    requirements: concat!(include_str!("../requirements.txt"), include_str!("../../python/requirements.txt")),
    compiled: Some("uwsgi==2.0.31"),
};
/// The environment of the benchmark's baseline.
const BASELINE: Environment = Environment {
    folder: "bench/python",
    requirements: concat!(include_str!("../requirements.txt"), include_str!("../simplejwt/requirements.txt")),
    compiled: None,
};
/// The environment of schemathesis, whose dependencies differ from those of the tests.
const SCHEMATHESIS: Environment =
    Environment { folder: "schemathesis", requirements: include_str!("../schemathesis.txt"), compiled: None };
/// The oldest Python that the packages support, as a Python expression.
const LEAST: &str = "(3, 10)";

/// The outcome of preparing the environment.
pub(crate) enum Ready {
    /// The environment's Python.
    Found(PathBuf),
    /// There is no environment, for this reason.
    Missing(Missing),
}

/// The reason why there is no environment. Its text includes the remedy.
#[derive(Debug)]
pub(crate) enum Missing {
    /// There is no `python3`.
    Python,
    /// This version is too old.
    Old(String),
    /// The module `venv` is missing, or the part of it that Debian packages separately.
    Venv,
    /// pip failed, with this output.
    Packages(String),
}

/// Creates the environment of the tests, unless it exists with exactly its packages.
///
/// # Errors
/// Returns an error if a file can't be written. A missing Python, or packages that can't be fetched, are no
/// error.
pub(crate) fn ready() -> Result<Ready> {
    TESTS.ready()
}

/// Creates the environment of schemathesis, unless it exists with exactly its packages. The path is that of the
/// program.
///
/// # Errors
/// Like [`ready`].
pub(crate) fn schemathesis() -> Result<Ready> {
    Ok(match SCHEMATHESIS.ready()? {
        Ready::Found(python) => Ready::Found(python.with_file_name("schemathesis")),
        missing => missing,
    })
}

/// Creates the environment of the benchmark's baseline, unless it exists with exactly its packages.
///
/// # Errors
/// Like [`ready`].
pub(crate) fn baseline() -> Result<Ready> {
    BASELINE.ready()
}

/// Returns each package of the tests with its version, such as `Django==5.2`.
pub(crate) fn packages() -> Vec<&'static str> {
    TESTS.packages()
}

impl Environment {
    fn ready(&self) -> Result<Ready> {
        let folder = workspace::target_directory()?.join(self.folder);
        let (python, installed) = (folder.join("venv/bin/python"), folder.join("installed"));
        // The environment depends on the Python that made it, which may have been removed.
        let runs = || program::works(Command::new(&python).args(["-c", ""]));
        if std::fs::read_to_string(&installed).is_ok_and(|text| text == self.requirements) && runs() {
            return Ok(Ready::Found(python));
        }
        println!("installing {} for Python under target/{} (once)", self.packages().join(", "), self.folder);
        std::fs::create_dir_all(&folder).context(format!("making target/{}", self.folder))?;
        match self.make(&folder, &python)? {
            Some(missing) => Ok(Ready::Missing(missing)),
            None => {
                std::fs::write(&installed, self.requirements).context("noting what is installed")?;
                Ok(Ready::Found(python))
            }
        }
    }

    fn packages(&self) -> Vec<&'static str> {
        let mut packages: Vec<_> = self.requirements.lines().filter(|line| !line.starts_with('#')).collect();
        packages.sort_unstable();
        packages.dedup();
        packages
    }

    fn make(&self, folder: &Path, python: &Path) -> Result<Option<Missing>> {
        let ask = |code: &str| program::output(Command::new("python3").args(["-c", code]));
        let Ok(version) = ask("import platform; print(platform.python_version())") else {
            return Ok(Some(Missing::Python));
        };
        if ask(&format!("import sys; sys.exit(sys.version_info < {LEAST})")).is_err() {
            return Ok(Some(Missing::Old(version.trim().to_owned())));
        }
        if ask("from venv import create; from ensurepip import version").is_err() {
            return Ok(Some(Missing::Venv));
        }
        let requirements = folder.join("requirements.txt");
        std::fs::write(&requirements, self.requirements).context("writing requirements.txt")?;
        program::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements);
        if let Err(failure) = program::output(&mut pip) {
            return Ok(Some(Missing::Packages(failure.to_string())));
        }
        let Some(compiled) = self.compiled else { return Ok(None) };
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", compiled]);
        if program::output(&mut pip).is_err() {
            println!(
                "{compiled} doesn't compile here (it needs a C compiler): the tests under uWSGI will be skipped"
            );
        }
        Ok(None)
    }
}

/// Runs the tests of a package. They mostly wait for servers, so two files run at once.
const PYTEST: [&str; 6] =
    ["pytest", "--quiet", "-rs", "--numprocesses=2", "--dist=loadfile", "--durations=8"];

/// Builds the Python package `quash-verify` with a profile, and installs it into the environment.
///
/// # Errors
/// Returns an error if the native module doesn't compile or the wheel can't be installed.
pub(crate) fn install_package(python: &Path, profile: &str) -> Result<()> {
    let wheels = workspace::target_directory()?.join("python/wheels");
    println!("building the Python package quash-verify into target/python/wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).context("removing older wheels")?;
    }
    let mut maturin = Command::new(python);
    maturin.args(["-m", "maturin", "build", "--quiet", "--profile", profile, "--locked", "--manifest-path"]);
    maturin.arg(workspace::root()?.join("python/quash-verify/Cargo.toml")).arg("--out").arg(&wheels);
    program::run(&mut maturin)?;
    install_wheel(python)
}

/// Installs the package that was built last.
///
/// # Errors
/// Returns an error if pip fails.
pub(crate) fn install_wheel(python: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]);
    pip.args(["--force-reinstall", "quash-verify", "--find-links"]);
    program::run(pip.arg(workspace::target_directory()?.join("python/wheels")))
}

/// Runs the tests of the Python packages with the environment's version, and checks their types.
///
/// # Errors
/// Returns an error if a test fails or a type doesn't fit.
pub(crate) fn test_own(python: &Path) -> Result<()> {
    let run = |module: &[&str]| {
        let mut command = Command::new(python);
        program::run(in_package(command.args(["-B", "-m"]).args(module))?)
    };
    let cache = workspace::target_directory()?.join("python/mypy").display().to_string();
    run(&["mypy", "--cache-dir", &cache, "python", "tests"])?;
    run(&["mypy.stubtest", "quash_verify._native"])?;
    run(&PYTEST)?;
    test_django(python, &cache)?;
    follow_guides(python, &cache)
}

/// Runs the long forms of the tests of processes, optimized, and prints their figures.
///
/// # Errors
/// Returns an error if a test fails, or if something doesn't compile.
pub(crate) fn soak(python: &Path) -> Result<()> {
    let root = workspace::root()?;
    program::run(program::cargo(&["build", "--release", "--package", "quash"]).current_dir(root))?;
    install_package(python, "release")?;
    let mut tests = Command::new(python);
    in_package(tests.args(["-B", "-m", "pytest", "-m", "soak", "--capture=no"]))?;
    let server = workspace::target_directory()?.join("release/quash");
    program::run(tests.env("QUASH_SOAK", "1").env("QUASH_TEST_BINARY", server))
}

/// Runs the tests of quash-django, and Simple JWT's own tests without and with its hooks.
fn test_django(python: &Path, cache: &str) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--no-build-isolation", "--force-reinstall"]);
    program::run(pip.arg(workspace::root()?.join("python/quash-django")))?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(python);
        program::run(in_folder(command.arg("-B").args(arguments), "python/quash-django")?)
    };
    run(&["-m", "mypy", "--cache-dir", cache])?;
    run(&[&["-m"], &PYTEST[..]].concat())?;
    run(&["tests/simple_jwt_suite.py"])
}

/// Follows the guides of the Python packages, and checks the types of what follows them.
fn follow_guides(python: &Path, cache: &str) -> Result<()> {
    // The guides are one file.
    let tests = [&PYTEST[..], &["--dist=worksteal"]].concat();
    for arguments in [&["mypy", "--cache-dir", cache, "."][..], &tests] {
        let mut command = Command::new(python);
        program::run(in_folder(command.args(["-B", "-m"]).args(arguments), "python/guides")?)?;
    }
    Ok(())
}

/// Makes a command run in the folder of quash-verify, with the built server.
///
/// # Errors
/// Returns an error if the workspace has no root.
pub(crate) fn in_package(command: &mut Command) -> Result<&mut Command> {
    in_folder(command, "python/quash-verify")
}

fn in_folder<'a>(command: &'a mut Command, folder: &str) -> Result<&'a mut Command> {
    command.current_dir(workspace::root()?.join(folder));
    Ok(command.env("QUASH_TEST_BINARY", workspace::target_directory()?.join("debug/quash")))
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python => write!(
                f,
                "python3 is missing: install 3.10 or newer with its venv module (on Debian: python3-venv)"
            ),
            Self::Old(version) => write!(
                f,
                "python3 is {version}, but Django needs 3.10 or newer: put a newer one first in PATH"
            ),
            Self::Venv => {
                write!(
                    f,
                    "python3 can't create virtual environments: install its venv module (on Debian: apt-get install python3-venv)"
                )
            }
            Self::Packages(printed) => write!(
                f,
                "failed to install the packages (xtask/requirements.txt, xtask/schemathesis.txt, python/requirements.txt): pip needs the network once, or settings such as \
                 PIP_INDEX_URL and PIP_PROXY:\n{printed}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_has_its_version() {
        let packages = [TESTS.packages(), BASELINE.packages()];
        assert!(packages.iter().all(|packages| packages.len() >= 5), "{packages:?}");
        for package in packages.concat() {
            let version = package.split_once("==").map_or("", |(_, version)| version);
            assert!(
                version.split('.').count() >= 2 && version.split('.').all(|part| part.parse::<u32>().is_ok()),
                "{package}"
            );
        }
    }

    #[test]
    fn missing_requirements_name_their_remedy() {
        let all = [
            Missing::Python,
            Missing::Old("3.9.2".into()),
            Missing::Venv,
            Missing::Packages("no route".into()),
        ];
        let words = all.map(|missing| missing.to_string());
        for (words, remedy) in
            words.iter().zip(["python3-venv", "newer one first in PATH", "python3-venv", "PIP_INDEX_URL"])
        {
            assert!(words.contains(remedy), "{words}");
        }
    }
}
