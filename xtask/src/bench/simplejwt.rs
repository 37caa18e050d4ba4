//! The baseline: Django with Simple JWT, rotating and blacklisting, on a database that loses no answered request
//! (SQLite with WAL and synchronous FULL, or PostgreSQL), behind gunicorn with two workers.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Row;
use super::load::{PASSWORD, USERNAME, rotations_per_second, sign_in};
use super::server::Server;
use super::table::{Outcome, Target};
use crate::failure::{Context, Result};
use crate::python::{self, Ready};
use crate::{program, workspace};

/// Each sign-in takes half a second of PBKDF2, and more clients don't make rotations faster.
pub(super) const CLIENTS: usize = 16;

/// The baseline alone, to show its speed on this machine.
pub(super) const ROW: Row = Row {
    work: "Simple JWT's durable rotations, alone",
    baseline: "(it is the baseline)",
    target: Target::None,
    measure,
};

const PROJECT: [(&str, &str); 3] = [
    ("settings.py", include_str!("../../simplejwt/settings.py")),
    ("urls.py", include_str!("../../simplejwt/urls.py")),
    ("prepare.py", include_str!("../../simplejwt/prepare.py")),
];

fn measure() -> Result<Outcome> {
    let python = match python::baseline()? {
        Ready::Found(python) => python,
        Ready::Missing(missing) => return Ok(Outcome::NotMeasured(missing.to_string())),
    };
    let server = start(&python, &[])?;
    let mut sessions = sign_in(server.address(), CLIENTS)?;
    Ok(Outcome::Alone { figure: rotations_per_second(&mut sessions, Duration::from_secs(8))?, unit: "/s" })
}

/// Starts it with the account. The database is empty: SQLite, or the one of PostgreSQL that these variables
/// name.
///
/// # Errors
/// Returns an error if the project can't be written, or if the server doesn't start.
pub(super) fn start(python: &Path, postgres: &[(&str, OsString)]) -> Result<Server> {
    let project = workspace::target_directory()?.join("bench").join("simplejwt");
    if project.exists() {
        std::fs::remove_dir_all(&project).context("removing the last project")?;
    }
    std::fs::create_dir_all(&project).context("making the project's folder")?;
    for (name, text) in PROJECT {
        std::fs::write(project.join(name), text).context(format!("writing {name}"))?;
    }
    let within = |command: &mut Command| {
        command.current_dir(&project).env("DJANGO_SETTINGS_MODULE", "settings").env("PYTHONPATH", &project);
        command.env_remove("PGDATABASE").envs(postgres.iter().map(|(name, value)| (name, value)));
    };
    let mut prepare = Command::new(python);
    within(prepare.args(["prepare.py", USERNAME, PASSWORD]));
    program::output(&mut prepare)?;
    let mut gunicorn = Command::new(python);
    gunicorn.args(["-m", "gunicorn", "--workers", "2", "--worker-class", "sync", "--bind", "127.0.0.1:0"]);
    within(gunicorn.args(["--log-level", "info", "django.core.wsgi:get_wsgi_application()"]));
    Server::start(&mut gunicorn)
}
