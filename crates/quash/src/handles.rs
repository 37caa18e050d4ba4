//! Handles on files and connections: a process may have only so many, and a connection must not take the one that the
//! store needs.

use quash_server::Listener;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Handles that aren't connections of clients: the store's files, the control socket and its commands, the log.
const KEPT: u64 = 128;

/// How many connections the process has handles for. Its limit is raised as far as it may raise it itself.
pub(crate) fn for_connections() -> usize {
    let wanted = Listener::CONNECTIONS as u64 + KEPT;
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.current.is_none_or(|current| current >= wanted);
    if !enough {
        let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        // Where that is refused, the limit stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit });
    }
    let handles = getrlimit(Resource::Nofile).current.unwrap_or(wanted).min(wanted);
    usize::try_from(handles.saturating_sub(KEPT)).unwrap_or(Listener::CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_handles_are_kept_for_the_store() {
        let connections = for_connections();
        let handles = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!((1..=Listener::CONNECTIONS).contains(&connections));
        assert!(connections as u64 + KEPT <= handles, "{connections} of {handles}");
    }
}
