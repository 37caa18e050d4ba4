//! The pauses of a client that gets a `Retry-After`.

use std::time::Duration;

/// The shortest `Retry-After`.
const LATER: Duration = Duration::from_secs(1);

/// Waits for the shortest `Retry-After`.
pub(crate) fn later() {
    std::thread::sleep(LATER);
}

/// Waits until the next request of a flood with a fixed rate.
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}
