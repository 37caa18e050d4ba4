//! Waiting for a state, with a deadline; and the time that a proxy lets pass.

use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::SystemClock;

/// How often a state is looked at.
const EVERY: Duration = Duration::from_millis(1);

/// The time by the clock that a verifier counts with.
pub(crate) fn uptime() -> Duration {
    SystemClock.uptime()
}

/// Waits until it is so, and says how long that took.
pub(crate) async fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = uptime();
    let waiting = async {
        while !is_so() {
            pass(EVERY).await;
        }
    };
    tokio::time::timeout(within, waiting).await.unwrap_or_else(|_| panic!("in vain for {within:?}: {what}"));
    uptime().saturating_sub(began)
}

/// Lets time pass: a proxy delays, and a client presents its tokens again a moment later.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}
