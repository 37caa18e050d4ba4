//! The measured quash: the binary that is shipped, with an empty data folder under the target directory.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::cores;
use super::load::{PASSWORD, USERNAME};
use super::server::Server;
use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

/// As many concurrent requests as a small application has. Group commits need concurrency.
pub(super) const CLIENTS: usize = 64;

/// The settings in a data folder.
const SETTINGS: &str = "quash.toml";

/// Builds the binary.
///
/// # Errors
/// Returns an error if it doesn't compile.
pub(super) fn build() -> Result<PathBuf> {
    println!("  building quash with the profile dist");
    program::run(
        program::cargo(&["build", "--quiet", "--profile", "dist", "--package", "quash"])
            .current_dir(workspace::root()?),
    )?;
    Ok(workspace::target_directory()?
        .join("dist")
        .join("quash")
        .with_extension(std::env::consts::EXE_EXTENSION))
}

/// A binary with its own data folder.
pub(super) struct Prepared {
    binary: PathBuf,
    data: PathBuf,
}

/// Creates an empty data folder with the account.
///
/// # Errors
/// Returns an error if the folder can't be created or the account can't be added.
pub(super) fn prepare(binary: PathBuf) -> Result<Prepared> {
    let data = folder("quash-data")?;
    Prepared { binary, data }.with_account()
}

/// Like [`prepare`], for a node over an empty database of PostgreSQL.
///
/// # Errors
/// Like [`prepare`].
pub(super) fn prepare_on(binary: PathBuf, url: &str) -> Result<Prepared> {
    let data = folder("quash-data")?;
    std::fs::write(data.join(SETTINGS), format!("[storage]\nurl = \"{url}\"\n[postgres]\nprepared = true\n"))
        .context("writing the settings")?;
    Prepared { binary, data }.with_account()
}

impl Prepared {
    /// Starts the server.
    ///
    /// # Errors
    /// Returns an error if it doesn't start.
    pub(super) fn serve(&self) -> Result<Server> {
        self.serve_with(Command::new(&self.binary))
    }

    /// Starts the server on one core.
    ///
    /// # Errors
    /// Returns an error if it doesn't start.
    pub(super) fn serve_on(&self, core: u32) -> Result<Server> {
        let mut pinned = cores::pinned(&[core]);
        pinned.arg(&self.binary);
        self.serve_with(pinned)
    }

    /// Prepares another node over the same database.
    ///
    /// # Errors
    /// Returns an error if its folder can't be created.
    pub(super) fn another(&self) -> Result<Self> {
        let data = folder("quash-data-2")?;
        for file in [SETTINGS, "master.key"] {
            // Permissions are copied, too.
            std::fs::copy(self.data.join(file), data.join(file)).context(format!("copying {file}"))?;
        }
        Ok(Self { binary: self.binary.clone(), data })
    }

    fn with_account(self) -> Result<Self> {
        let mut add = Command::new(&self.binary);
        add.args(["account", "add", USERNAME, "--password-stdin", "--data-dir"]).arg(&self.data);
        run_with_input(&mut add, PASSWORD)?;
        Ok(self)
    }

    fn serve_with(&self, mut serve: Command) -> Result<Server> {
        serve.arg("serve").arg("--data-dir").arg(&self.data).args(["--listen", "127.0.0.1:0"]);
        Server::start(&mut serve)
    }
}

/// Creates an empty folder that only this user may enter.
fn folder(name: &str) -> Result<PathBuf> {
    let data = workspace::target_directory()?.join("bench").join(name);
    if data.exists() {
        std::fs::remove_dir_all(&data).context("removing the last data folder")?;
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data);
    made.context("making the data folder")?;
    Ok(data)
}

fn run_with_input(command: &mut Command, input: &str) -> Result<()> {
    let shown = program::command_line(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context(format!("couldn't start `{shown}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context(format!("writing to `{shown}`"))?;
    }
    let output = child.wait_with_output().context(format!("waiting for `{shown}`"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{shown}` ended with {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    )))
}
