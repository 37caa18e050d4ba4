//! The verifier's connection to its issuer, and its end: the lease is given back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::http::Http;
use super::process::Process;

/// The tasks that follow an issuer. They end when this is dropped, with the last clone of the verifier.
pub(crate) struct Following {
    http: Arc<Http>,
    process: Arc<Process>,
    tasks: Mutex<JoinSet<()>>,
}

/// The longest that a verifier waits for the issuer when it gives its lease back.
const WITHIN: Duration = Duration::from_millis(200);

impl Following {
    pub(crate) fn new(http: Arc<Http>, process: Arc<Process>, tasks: JoinSet<()>) -> Self {
        Self { http, process, tasks: Mutex::new(tasks) }
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
