//! The limit on file descriptors: reserves some for the store, so that connections can't use them all.

use quash_server::Listener;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors reserved for the store's files, the control socket and its commands, and the log.
const RESERVED: u64 = 128;

/// Returns the number of connections that the process has file descriptors for. Raises the soft limit first,
/// as far as the hard limit allows.
pub(crate) fn for_connections() -> usize {
    let wanted = Listener::CONNECTIONS as u64 + RESERVED;
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.current.is_none_or(|current| current >= wanted);
    if !enough {
        let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        // If this fails, the current limit applies.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit });
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(wanted).min(wanted);
    usize::try_from(descriptors.saturating_sub(RESERVED)).unwrap_or(Listener::CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_descriptors_are_reserved_for_the_store() {
        let connections = for_connections();
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!((1..=Listener::CONNECTIONS).contains(&connections));
        assert!(connections as u64 + RESERVED <= descriptors, "{connections} of {descriptors}");
    }
}
