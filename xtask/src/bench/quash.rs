//! The measured quash: the binary that is shipped, with an empty data folder under the target directory.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::load::{PASSWORD, USERNAME};
use super::server::Server;
use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

/// As many concurrent requests as a small application has. Group commits need concurrency.
pub(super) const CLIENTS: usize = 64;

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
    let data = workspace::target_directory()?.join("bench").join("quash-data");
    if data.exists() {
        std::fs::remove_dir_all(&data).context("removing the last data folder")?;
    }
    std::fs::create_dir_all(&data).context("making the data folder")?;
    let mut add = Command::new(&binary);
    add.args(["account", "add", USERNAME, "--password-stdin", "--data-dir"]).arg(&data);
    run_with_input(&mut add, PASSWORD)?;
    Ok(Prepared { binary, data })
}

impl Prepared {
    /// Starts the server.
    ///
    /// # Errors
    /// Returns an error if it doesn't start.
    pub(super) fn serve(&self) -> Result<Server> {
        let mut serve = Command::new(&self.binary);
        serve.arg("serve").arg("--data-dir").arg(&self.data).args(["--listen", "127.0.0.1:0"]);
        Server::start(&mut serve)
    }
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
