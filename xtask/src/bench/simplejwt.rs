//! The baseline that quash replaces: Django with Simple JWT, rotating and blacklisting, over SQLite that forgets nothing
//! it has answered (WAL, synchronous FULL), behind gunicorn with two workers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Row;
use super::load::{PASSWORD, USERNAME, rotations_per_second, sign_in};
use super::server::Server;
use super::table::{Outcome, Target};
use crate::failure::{Context, Result};
use crate::{program, workspace};

/// Each sign-in costs it half a second of PBKDF2; more clients than this don't make it quicker.
pub(super) const CLIENTS: usize = 16;

/// The baseline alone, to see what it is worth on a machine.
pub(super) const ROW: Row =
    Row { work: "Simple JWT's durable rotations, alone", baseline: "(it is the baseline)", target: Target::None, measure };

const REQUIREMENTS: &str = include_str!("../../simplejwt/requirements.txt");
const PROJECT: [(&str, &str); 3] = [
    ("settings.py", include_str!("../../simplejwt/settings.py")),
    ("urls.py", include_str!("../../simplejwt/urls.py")),
    ("prepare.py", include_str!("../../simplejwt/prepare.py")),
];

fn measure() -> Result<Outcome> {
    let folder = match ready()? {
        Ready::In(folder) => folder,
        Ready::No(reason) => return Ok(Outcome::NotMeasured(reason)),
    };
    let server = start(&folder)?;
    let mut sessions = sign_in(server.address(), CLIENTS)?;
    Ok(Outcome::Alone { figure: rotations_per_second(&mut sessions, Duration::from_secs(8))?, unit: "/s" })
}

/// Whether Simple JWT can run here.
pub(super) enum Ready {
    /// It can, in this folder.
    In(PathBuf),
    /// It can't, for this reason.
    No(String),
}

/// Installs Simple JWT into a virtual environment under the target directory, once.
///
/// # Errors
/// A file can't be written. A machine without Python, or without its packages, is no error.
pub(super) fn ready() -> Result<Ready> {
    let folder = workspace::target_directory()?.join("bench").join("simplejwt");
    let (environment, installed) = (folder.join("venv"), folder.join("installed"));
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(Ready::In(folder));
    }
    println!("  installing Django and Simple JWT under target/bench (once)");
    std::fs::create_dir_all(&folder).context("making target/bench/simplejwt")?;
    let requirements = folder.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS).context("writing requirements.txt")?;
    if let Err(failure) = program::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment)) {
        return Ok(Ready::No(format!("no virtual environment (install python3 with its venv module, on Debian python3-venv): {failure}")));
    }
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    if let Err(failure) = program::output(&mut pip) {
        return Ok(Ready::No(format!("pip couldn't install Simple JWT: {failure}")));
    }
    std::fs::write(&installed, REQUIREMENTS).context("noting what is installed")?;
    Ok(Ready::In(folder))
}

/// Starts it with an empty database and the one account.
///
/// # Errors
/// The project can't be written, or it doesn't start.
pub(super) fn start(folder: &Path) -> Result<Server> {
    let project = folder.join("project");
    if project.exists() {
        std::fs::remove_dir_all(&project).context("removing the last project")?;
    }
    std::fs::create_dir_all(&project).context("making the project's folder")?;
    for (name, text) in PROJECT {
        std::fs::write(project.join(name), text).context(format!("writing {name}"))?;
    }
    let bin = folder.join("venv/bin");
    let within = |command: &mut Command| {
        command.current_dir(&project).env("DJANGO_SETTINGS_MODULE", "settings").env("PYTHONPATH", &project);
    };
    let mut prepare = Command::new(bin.join("python"));
    within(prepare.args(["prepare.py", USERNAME, PASSWORD]));
    program::output(&mut prepare)?;
    let mut gunicorn = Command::new(bin.join("python"));
    gunicorn.args(["-m", "gunicorn", "--workers", "2", "--worker-class", "sync", "--bind", "127.0.0.1:0"]);
    within(gunicorn.args(["--log-level", "info", "django.core.wsgi:get_wsgi_application()"]));
    Server::start(&mut gunicorn)
}
