//! Finds what the tests need besides Rust, installs what may be installed, and reports both.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::postgres::{self, Data, Servers};
use crate::python::{self, Missing, Ready};
use crate::{browser, program, workspace};

/// The services that the tests need.
#[derive(Default)]
pub(crate) struct Services {
    /// The environment variables for the test runner.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// The tests that will be skipped, and why.
    pub(crate) left_out: Vec<String>,
    /// The servers that run until this is dropped.
    servers: Option<Servers>,
}

/// Names the Python for the tests against Django and PyJWT.
const PYTHON: &str = "QUASH_TEST_PYTHON";

/// Names the schemathesis that tests the server with its OpenAPI document.
const SCHEMATHESIS: &str = "QUASH_TEST_SCHEMATHESIS";

/// Name the browser for the tests of the pages, and the axe script that checks the pages.
const CHROMIUM: &str = "QUASH_TEST_CHROMIUM";
const AXE: &str = "QUASH_TEST_AXE";

const POSTGRES_IS_MISSING: &str =
    "PostgreSQL 14 or newer is missing: install its server (on Debian: apt-get install postgresql)";
const PGBOUNCER_IS_MISSING: &str = "pgbouncer is missing: install it (on Debian: apt-get install pgbouncer)";

/// Debian reads it when it installs a PostgreSQL.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/quash-tests.conf";

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
    services.take_schemathesis()?;
    if browser::chromium().is_none() {
        // `take_browser` checks whether it is installed now.
        let _ = install("chromium");
    }
    services.take_browser()?;
    if postgres::find().is_none() {
        let _ = install_postgres();
    }
    if postgres::pgbouncer().is_none() {
        let _ = install_pgbouncer();
    }
    services.take_postgres()?;
    Ok(services)
}

/// `cargo xtask services`: starts the servers alone, and runs a command with their variables, or waits.
///
/// # Errors
/// Returns an error if PostgreSQL is missing or doesn't start, or if the command fails.
pub(crate) fn command(args: &[String]) -> Result<()> {
    let mut services = Services::default();
    if postgres::find().is_none() {
        install_postgres().map_err(|reason| Failure::new(format!("{POSTGRES_IS_MISSING} ({reason})")))?;
    }
    if postgres::pgbouncer().is_none()
        && let Err(reason) = install_pgbouncer()
    {
        println!("pgbouncer couldn't be installed: {reason}");
    }
    services.take_postgres()?;
    if let Some((name, args)) = args.split_first() {
        return program::run(Command::new(name).args(args).envs(services.variables.iter().cloned()));
    }
    println!("Both run until this command ends (Ctrl-C); all their data is then removed. For the tests:");
    for (name, value) in &services.variables {
        println!("export {name}='{}'", value.to_string_lossy());
    }
    loop {
        std::thread::park();
    }
}

/// Starts PostgreSQL alone, for the benchmark. If it is missing and can't be installed, returns the remedy.
///
/// # Errors
/// Returns an error if PostgreSQL doesn't start.
pub(crate) fn postgres() -> Result<std::result::Result<Servers, String>> {
    if postgres::find().is_none()
        && let Err(reason) = install_postgres()
    {
        return Ok(Err(format!("{POSTGRES_IS_MISSING} ({reason})")));
    }
    match postgres::find() {
        Some(found) => found.start(None, Data::OnDisk).map(Ok),
        None => Ok(Err(POSTGRES_IS_MISSING.to_owned())),
    }
}

/// Prepares what belongs under the target directory, and installs nothing on the machine.
///
/// # Errors
/// Like [`start`].
pub(crate) fn ready() -> Result<Services> {
    let mut services = Services::default();
    services.take(python::ready()?);
    services.take_schemathesis()?;
    services.take_browser()?;
    services.take_postgres()?;
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

    /// Returns whether the tests get this variable.
    pub(crate) fn has(&self, variable: &str) -> bool {
        self.variables.iter().any(|(name, _)| *name == variable)
    }

    fn take_schemathesis(&mut self) -> Result<()> {
        match python::schemathesis()? {
            Ready::Found(program) => self.variables.push((SCHEMATHESIS, program.into())),
            Ready::Missing(missing) => {
                println!("The tests with schemathesis will be skipped.\n{missing}");
                self.left_out.push(format!("the tests with schemathesis: {missing}"));
            }
        }
        Ok(())
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

    /// Starts the private servers, if their programs are installed.
    fn take_postgres(&mut self) -> Result<()> {
        let Some(found) = postgres::find() else {
            println!("The tests against PostgreSQL will be skipped: {POSTGRES_IS_MISSING}.");
            self.left_out.push(format!("the tests against PostgreSQL: {POSTGRES_IS_MISSING}"));
            return Ok(());
        };
        let pgbouncer = postgres::pgbouncer();
        let servers = found.start(pgbouncer.as_deref(), Data::InMemory)?;
        let version = found.version();
        if pgbouncer.is_some() {
            println!(
                "A private PostgreSQL {version} and pgbouncer are running: the tests against them will run"
            );
        } else {
            println!("A private PostgreSQL {version} is running: the tests against it will run");
            println!("The tests behind pgbouncer will be skipped: {PGBOUNCER_IS_MISSING}.");
            self.left_out.push(format!("the tests behind pgbouncer: {PGBOUNCER_IS_MISSING}"));
        }
        self.variables.extend(servers.variables());
        self.servers = Some(servers);
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
    let default = workspace::root()?.join("../shared/vectors");
    let folder = std::env::var_os(VECTORS).map_or(default, PathBuf::from);
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

/// Installs PostgreSQL. Debian's package would create a cluster and start it, so that is prevented meanwhile.
fn install_postgres() -> std::result::Result<(), String> {
    may_install()?;
    let file = Path::new(NO_CLUSTER);
    let folder = file.parent().unwrap_or(file);
    let prevented = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(file, "create_main_cluster = false\n"))
        .map_err(|error| format!("writing {NO_CLUSTER}: {error}"));
    let installed = prevented.and_then(|()| install("postgresql"));
    let _ = std::fs::remove_file(file);
    installed.inspect(|()| println!("PostgreSQL was installed with apt-get"))
}

/// Installs pgbouncer. Debian's package starts a service, which is stopped again.
fn install_pgbouncer() -> std::result::Result<(), String> {
    install("pgbouncer")?;
    println!("pgbouncer was installed with apt-get");
    for (program, action) in [("invoke-rc.d", "stop"), ("update-rc.d", "disable")] {
        let _ = program::output(Command::new(program).args(["pgbouncer", action]));
    }
    Ok(())
}

/// Installs a Debian package, if this process is root.
fn install(package: &str) -> std::result::Result<(), String> {
    may_install()?;
    let install = || apt_get(&["install", "--yes", "--no-install-recommends", package]);
    // A fresh machine has no package lists; update them only then.
    install().or_else(|_| apt_get(&["update"]).and_then(|()| install())).map_err(|_| "apt-get failed".into())
}

fn may_install() -> std::result::Result<(), String> {
    if !program::works(Command::new("apt-get").arg("--version")) {
        return Err("apt-get is missing".into());
    }
    match program::is_root() {
        Ok(true) => Ok(()),
        Ok(false) => Err("not running as root".into()),
        Err(failure) => Err(failure.to_string()),
    }
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
