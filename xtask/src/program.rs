//! Runs other programs: cargo, git, apt-get, pip.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Result};

/// Returns a command for the `cargo` that runs xtask.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Returns the path of this program.
///
/// # Errors
/// Returns an error if the operating system doesn't tell.
pub(crate) fn own() -> Result<PathBuf> {
    let path = std::env::current_exe().context("finding the path of xtask")?;
    // Linux marks a program that Cargo has built again since.
    Ok(path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map_or(path.clone(), PathBuf::from))
}

/// Runs a program to its end; it inherits stdout and stderr.
///
/// # Errors
/// Returns an error if the program doesn't start or fails; the failure has its exit code.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = command_line(command);
    let status = command.status().context(format!("couldn't start `{shown}`"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::with_code(format!("`{shown}` ended with {status}"), status.code()))
    }
}

/// Runs a program to its end and returns its stdout. Its stderr is shown only in the failure.
///
/// # Errors
/// Returns an error if the program doesn't start, fails, or prints something that isn't UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = command_line(command);
    let output = command.stdin(Stdio::null()).output().context(format!("couldn't start `{shown}`"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::with_code(
            format!("`{shown}` ended with {}\n{}", output.status, complaint.trim_end()),
            output.status.code(),
        ));
    }
    String::from_utf8(output.stdout).context(format!("`{shown}` printed something that isn't UTF-8"))
}

/// Returns whether a program starts and succeeds with these arguments, such as `--version`.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Returns whether xtask runs as root.
///
/// # Errors
/// Returns an error if `id` fails.
pub(crate) fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// Returns the command as one would type it, without the program's folder.
pub(crate) fn command_line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
