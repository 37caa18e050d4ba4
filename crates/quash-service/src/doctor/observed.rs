//! What a running server notices for later checks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use super::{FactSource, Facts, Finding, ServerFacts, StoreFault, examine};
use crate::context::Service;

/// How long findings are reused: clients of the admin API can't keep the server reading the audit.
const HOLDS: Duration = Duration::from_secs(10);

/// The observations of a process.
#[derive(Default)]
pub(crate) struct Observed {
    untrusted_forwarding: AtomicBool,
    /// The version, the hash over the settings, and the uptime at which the server was ready.
    served: OnceLock<(String, String, Duration)>,
    source: OnceLock<Arc<dyn FactSource>>,
    /// The last findings, and the uptime at which they were made.
    found: Mutex<Option<(Duration, Vec<Finding>)>>,
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

impl Service {
    /// Sets the source of the facts that the store doesn't have, once.
    pub fn set_fact_source(&self, source: Arc<dyn FactSource>) {
        let _ = self.context.observed.source.set(source);
    }

    /// Checks this installation, without requests to other machines. Callers within ten seconds share the findings.
    /// Without a source of facts, all checks are skipped that need more than the store.
    pub async fn diagnose(&self) -> Vec<Finding> {
        let context = &*self.context;
        // Held during the checks, so that concurrent callers wait for the findings.
        let mut found = context.observed.found.lock().await;
        if let Some((at, findings)) = &*found
            && context.clock.uptime().saturating_sub(*at) < HOLDS
        {
            return findings.clone();
        }
        let source = context.observed.source.get();
        let facts = match source {
            Some(source) => source.facts().await,
            None => Facts::default(),
        };
        let store = self
            .store_facts()
            .await
            .map_err(|failure| StoreFault { message: failure.to_string(), remedy: None });
        let facts = match source {
            Some(source) => facts.with_store(store, &**source),
            None => Facts { store: Some(store), ..facts },
        };
        let findings = examine(&facts);
        *found = Some((context.clock.uptime(), findings.clone()));
        findings
    }
}
