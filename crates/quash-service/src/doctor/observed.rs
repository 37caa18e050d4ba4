//! What a running server notices for later checks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::{FactSource, Finding, ServerFacts};

/// The observations of a process.
#[derive(Default)]
pub(crate) struct Observed {
    untrusted_forwarding: AtomicBool,
    /// The version, the hash over the settings, and the uptime at which the server was ready.
    served: OnceLock<(String, String, Duration)>,
    pub(crate) source: OnceLock<Arc<dyn FactSource>>,
    /// The last findings, and the uptime at which they were made.
    pub(crate) found: Mutex<Option<(Duration, Vec<Finding>)>>,
}

impl Observed {
    /// Notes that forwarding headers have arrived from a peer that isn't trusted. Returns whether they are the first.
    pub(crate) fn forwarding(&self) -> bool {
        !self.untrusted_forwarding.swap(true, Ordering::Relaxed)
    }

    /// Notes that this process serves.
    pub(crate) fn serves(&self, version: &str, settings: &str, uptime: Duration) {
        let _ = self.served.set((version.to_owned(), settings.to_owned(), uptime));
    }

    /// The server; `None`: this process is a command.
    pub(crate) fn server(&self, uptime: Duration) -> Option<ServerFacts> {
        let (version, settings, since) = self.served.get()?;
        Some(ServerFacts {
            version: version.clone(),
            settings: settings.clone(),
            runs_for: uptime.saturating_sub(*since),
            saw_untrusted_forwarding: self.untrusted_forwarding.load(Ordering::Relaxed),
        })
    }
}
