//! The time that a client lets pass which is told to come again later.

use std::time::Duration;

/// As `Retry-After` says at least.
const LATER: Duration = Duration::from_secs(1);

/// Lets it pass.
pub(crate) fn later() {
    std::thread::sleep(LATER);
}

/// Lets a span pass: the time until the next request of a flood of so many a second.
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}
