//! The processor's cores: which ones this process may use, and programs that use only some of them, or only a
//! share of one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::program;

/// Keeps this thread, and what it starts, on some cores until this is dropped.
pub(super) struct Kept {
    before: Vec<u32>,
}

/// A limit on a process's use of a core, by the kernel's control groups. Drop it after the process has ended.
pub(super) struct Share {
    group: PathBuf,
}

/// The span in which a process may use its share, in microseconds. A short one, so that no request waits long for
/// the next.
const PERIOD: u32 = 10_000;

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

impl Share {
    /// Limits a process to a part of one core. `None` where this user may not change control groups.
    pub(super) fn limit(process: u32, percent: u32) -> Option<Self> {
        let (root, limits) = control_groups(PERIOD / 100 * percent)?;
        let share = Self { group: root.join(format!("quash-bench-{process}")) };
        std::fs::create_dir(&share.group).ok()?;
        for (file, value) in limits {
            std::fs::write(share.group.join(file), value).ok()?;
        }
        std::fs::write(share.group.join("cgroup.procs"), process.to_string()).ok()?;
        Some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // A group that stays has no process, and limits none.
        let _ = std::fs::remove_dir(&self.group);
    }
}

/// Returns where control groups are, in version 2 or 1, and the files that set the limit.
fn control_groups(quota: u32) -> Option<(&'static Path, Vec<(&'static str, String)>)> {
    let (second, first) = (Path::new("/sys/fs/cgroup"), Path::new("/sys/fs/cgroup/cpu"));
    if second.join("cgroup.controllers").exists() {
        Some((second, vec![("cpu.max", format!("{quota} {PERIOD}"))]))
    } else if first.exists() {
        let limits = [("cpu.cfs_period_us", PERIOD), ("cpu.cfs_quota_us", quota)];
        Some((first, limits.map(|(file, value)| (file, value.to_string())).into()))
    } else {
        None
    }
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
