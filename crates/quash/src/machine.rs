//! The memory that this process may use: the limit of its cgroup, or the machine's memory.

use std::fs;
use std::path::Path;

use quash_server::Listener;

/// The least memory for connections and unfinished requests, in bytes.
const LEAST: usize = 24 * 1024 * 1024;

/// Returns the default memory for connections and unfinished requests: a quarter of what the process may use.
pub(crate) fn for_connections() -> usize {
    share(limit())
}

fn share(limit: Option<u64>) -> usize {
    let quarter =
        limit.map_or(Listener::MEMORY, |limit| usize::try_from(limit / 4).unwrap_or(Listener::MEMORY));
    quarter.clamp(LEAST, Listener::MEMORY)
}

/// Returns the lowest limit among the cgroup, its ancestors, and the machine.
fn limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let version_2 = own
        .lines()
        .filter_map(|line| line.strip_prefix("0::/"))
        .flat_map(|path| limits("/sys/fs/cgroup", path, "memory.max"));
    let version_1 = own.lines().filter_map(|line| line.split_once(":memory:/")).map(|(_, path)| path);
    let version_1 = version_1.flat_map(|path| limits("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"));
    version_2.chain(version_1).chain(machine).min()
}

/// Reads the limits of a cgroup and its ancestors. In a container, the cgroup itself may be mounted as the
/// root.
fn limits(root: &str, path: &str, file: &str) -> Vec<u64> {
    let read = |directory: &Path| {
        fs::read_to_string(Path::new(root).join(directory).join(file)).ok()?.trim().parse().ok()
    };
    Path::new(path).ancestors().filter_map(read).collect()
}

/// Parses the machine's memory from the text of `/proc/meminfo`.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_a_quarter_within_bounds() {
        let mebibytes = |limit: u64| share(Some(limit << 20)) >> 20;
        assert_eq!([16, 96, 128, 2048, 4096].map(mebibytes), [24, 24, 32, 512, 512]);
        assert_eq!(share(None), Listener::MEMORY);
        assert_eq!(total("MemTotal:         1024 kB\nMemFree: 1 kB"), Some(1024 * 1024));
        assert_eq!(total(""), None);
    }

    #[test]
    fn limits_of_all_ancestors_are_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(dir.path().join("a/b")).expect("it is ours");
        for (path, text) in [("memory.max", "max\n"), ("a/memory.max", "200\n"), ("a/b/memory.max", "300\n")]
        {
            fs::write(dir.path().join(path), text).expect("it is ours");
        }
        let root = dir.path().to_str().expect("text");
        assert_eq!(limits(root, "a/b", "memory.max"), [300, 200]);
        assert!(limits(root, "nowhere", "other").is_empty());
    }
}
