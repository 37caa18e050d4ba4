//! Rows of the Python packages: runs their scripts `tests/figures.py` with an optimized native module and an
//! optimized server.

use std::path::Path;
use std::process::Command;

use super::inside::read;
use super::rounds::Compared;
use super::table::{Outcome, Target};
use super::{Row, quash, workspace};
use crate::failure::{Failure, Result};
use crate::program;
use crate::python::{self, Ready};

/// The baseline for Django's requests.
const SIMPLE_JWT: &str = "Simple JWT's class";

pub(super) const CHECK: Row = Row {
    work: "Python: check of a known token",
    baseline: "-",
    target: Target::AtMost(500.0),
    measure: || alone("check of a known token", "ns"),
};
pub(super) const ASK: Row =
    Row { work: "Python: ask", baseline: "-", target: Target::AtMost(700.0), measure: || alone("ask", "ns") };
pub(super) const ACHECK: Row = Row {
    work: "Python: await acheck",
    baseline: "-",
    target: Target::AtMost(1000.0),
    measure: || alone("await acheck", "ns"),
};
/// In a child of a process that follows, with an empty log and over http.
pub(super) const START: Row = Row {
    work: "Python: CPU of a start",
    baseline: "-",
    target: Target::AtMost(15.0),
    measure: || alone("CPU of a start", "ms"),
};
/// The private memory in addition to Python's.
pub(super) const MEMORY: Row = Row {
    work: "Python: memory of a process with a follower",
    baseline: "-",
    target: Target::AtMost(6.0),
    measure: || alone("memory of a follower", "MB"),
};
pub(super) const REVOKE: Row = Row {
    work: "POST /v1/revocations, p50",
    baseline: "-",
    target: Target::AtMost(5.0),
    measure: || alone("POST /v1/revocations", "ms"),
};
/// With `Prefer: wait=effective`.
pub(super) const REVOKE_FOR_8: Row = Row {
    work: "POST /v1/revocations until 8 verifiers have confirmed, p50",
    baseline: "-",
    target: Target::AtMost(20.0),
    measure: || alone("POST /v1/revocations for 8 verifiers", "ms"),
};
/// Requests per second of CPU.
pub(super) const STATELESS: Row = Row {
    work: "Django: quash issues, stateless user",
    baseline: SIMPLE_JWT,
    target: Target::AtLeast(1.4),
    measure: || compared("quash issues, stateless"),
};
pub(super) const WITH_USER: Row = Row {
    work: "Django: quash issues, user from the database",
    baseline: SIMPLE_JWT,
    target: Target::AtLeast(1.2),
    measure: || compared("quash issues, with the user"),
};
pub(super) const KEEP_STATELESS: Row = Row {
    work: "Django: keep issuing, stateless user",
    baseline: SIMPLE_JWT,
    target: Target::AtLeast(0.9),
    measure: || compared("keep issuing, stateless"),
};
pub(super) const KEEP_WITH_USER: Row = Row {
    work: "Django: keep issuing, user from the database",
    baseline: SIMPLE_JWT,
    target: Target::AtLeast(1.2),
    measure: || compared("keep issuing, with the user"),
};

fn alone(name: &str, unit: &'static str) -> Result<Outcome> {
    figures("quash-verify", name, |(figure, _)| Outcome::Alone { figure, unit })
}

fn compared(name: &str) -> Result<Outcome> {
    figures("quash-django", name, |(measured, baseline)| {
        let figures = Compared { measured, baseline, ratio: measured / baseline };
        Outcome::Compared { figures, unit: "/s" }
    })
}

/// Measures a figure of a package, if Python is installed.
fn figures(package: &str, name: &str, outcome: impl FnOnce((f64, f64)) -> Outcome) -> Result<Outcome> {
    let python = match python::ready()? {
        Ready::Found(python) => python,
        Ready::Missing(missing) => return Ok(Outcome::NotMeasured(missing.to_string())),
    };
    let server = quash::build()?;
    python::install_package(&python, "dist")?;
    let printed = program::output(&mut script(&python, package, name, &server)?)?;
    let figures = read(&printed, name)
        .ok_or_else(|| Failure::new(format!("{package} printed no figure for '{name}'")))?;
    Ok(outcome(figures))
}

fn script(python: &Path, package: &str, name: &str, server: &Path) -> Result<Command> {
    let mut script = Command::new(python);
    script.args(["-B", "tests/figures.py", name]).env("QUASH_TEST_BINARY", server);
    script.env("PYTHONPATH", "src:tests").env("DJANGO_SETTINGS_MODULE", "site_settings");
    script.current_dir(workspace::root()?.join("python").join(package));
    Ok(script)
}
