//! The verifier's side of its connection to the issuer: waiting for the start, and giving the lease back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::fault::StartError;
use super::http::Http;
use super::process::Process;
use super::publisher_task::{Signals, Started};

/// The tasks that follow an issuer. They end when this is dropped, with the last clone of the verifier.
pub(crate) struct Following {
    http: Arc<Http>,
    process: Arc<Process>,
    tasks: Mutex<JoinSet<()>>,
    signals: Arc<Signals>,
    /// The uptime at which the verifier was started.
    began_at: Duration,
}

/// The time that the first lease may take after the snapshot.
const FIRST_LEASE: Duration = Duration::from_millis(500);
/// The longest that a verifier waits for the issuer when it gives its lease back.
const WITHIN: Duration = Duration::from_millis(200);

impl Following {
    pub(crate) fn new(
        http: Arc<Http>,
        process: Arc<Process>,
        tasks: JoinSet<()>,
        signals: Arc<Signals>,
        began_at: Duration,
    ) -> Self {
        Self { http, process, tasks: Mutex::new(tasks), signals, began_at }
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) fn began_at(&self) -> Duration {
        self.began_at
    }

    pub(crate) fn instance(&self) -> &str {
        self.process.id()
    }

    /// Returns whether waiting for the start is useless.
    pub(crate) fn never_starts(&self) -> bool {
        matches!(*self.signals.started.borrow(), Started::Never(_))
    }

    /// Waits until the verifier is fresh, knows the revocations but gets no lease, or can't start.
    pub(crate) async fn settled(&self, within: Duration) -> Result<(), StartError> {
        let mut started = self.signals.started.subscribe();
        let is_fresh = |started: &Started| matches!(started, Started::Never(_) | Started::Fresh);
        let waiting = async {
            // Can't fail: `self` has the sender.
            let _ = started.wait_for(|started| is_fresh(started) || *started == Started::Known).await;
            let _ = tokio::time::timeout(FIRST_LEASE, started.wait_for(is_fresh)).await;
        };
        // The state below tells whether the verifier has started, in time or not.
        let _ = tokio::time::timeout(within, waiting).await;
        self.signals.started.borrow().outcome()
    }

    /// Ends the tasks and gives the lease back. The verifier must accept no token any more. A lease request
    /// that is under way is given up; if it reaches the issuer later, the issuer refuses it.
    pub(crate) async fn leave(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        match tokio::time::timeout(WITHIN, self.http.give_lease_back(self.process.id())).await {
            Ok(Ok(())) => tracing::debug!("gave the lease back"),
            Ok(Err(fault)) => tracing::debug!(%fault, "failed to give the lease back; it expires by itself"),
            Err(_) => tracing::debug!("the issuer didn't take the lease back in time; it expires by itself"),
        }
    }
}
