//! Waits for states with a deadline, and pauses.

use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::SystemClock;

/// The interval of checks.
const EVERY: Duration = Duration::from_millis(1);

/// Returns the time by the clock that verifiers use.
pub(crate) fn uptime() -> Duration {
    SystemClock.uptime()
}

/// Waits for a state, and returns the time that took.
pub(crate) async fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = uptime();
    let waiting = async {
        while !is_so() {
            pass(EVERY).await;
        }
    };
    tokio::time::timeout(within, waiting)
        .await
        .unwrap_or_else(|_| panic!("timed out after {within:?}: {what}"));
    uptime().saturating_sub(began)
}

/// Pauses, as a delaying proxy or a client between two rounds.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}
