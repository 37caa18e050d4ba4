//! The processor's cores: which ones this process may use, and programs that use only some of them.

use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::program;

/// Keeps this thread, and what it starts, on some cores until this is dropped.
pub(super) struct Kept {
    before: Vec<u32>,
}

/// Returns the cores that this process may use. `None` where the kernel doesn't say it, or without taskset.
pub(super) fn usable() -> Option<Vec<u32>> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let cores = parsed(list.trim())?;
    program::works(Command::new("taskset").arg("--version")).then_some(cores)
}

/// Returns a command that runs the program in its next argument on these cores only.
pub(super) fn pinned(cores: &[u32]) -> Command {
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", &list(cores)]);
    taskset
}

/// Keeps the calling thread, which must be the main one, and what it starts from now on, on these cores.
///
/// # Errors
/// Returns an error if the cores can't be set.
pub(super) fn keep(cores: &[u32]) -> Result<Kept> {
    let before = usable().ok_or_else(|| Failure::new("the kernel doesn't say which cores may be used"))?;
    set(cores).context("choosing the cores of this process")?;
    Ok(Kept { before })
}

impl Drop for Kept {
    fn drop(&mut self) {
        // They were set before.
        let _ = set(&self.before);
    }
}

fn set(cores: &[u32]) -> Result<()> {
    let id = std::process::id().to_string();
    program::output(Command::new("taskset").args(["--pid", "--cpu-list", &list(cores), &id])).map(drop)
}

fn list(cores: &[u32]) -> String {
    cores.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Reads a list such as `0-2,5`.
fn parsed(list: &str) -> Option<Vec<u32>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(parsed("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parsed("3"), Some(vec![3]));
        assert_eq!(parsed(""), None);
        assert_eq!(list(&[0, 1, 5]), "0,1,5");
    }
}
