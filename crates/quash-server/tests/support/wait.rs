//! Waits that depend on where the tests keep their data.

use std::time::Duration;

use super::faulty_store::kind;
use super::postgres::Kind;

/// Far longer than a request to a database takes.
const ROUND_TRIPS: Duration = Duration::from_secs(1);

/// Lets all other tasks advance as far as they can without the test. A store in memory answers at once, another one
/// after a while.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    if kind() != Kind::Memory {
        tokio::time::sleep(ROUND_TRIPS).await;
    }
}

/// Stops the runtime's clock, which then jumps to the next deadline whenever all tasks are idle. `false`, after saying
/// that the rest of the test is skipped: a task that waits for another process is idle, too.
#[allow(clippy::print_stderr, clippy::allow_attributes, reason = "a skipped test says so")]
pub(crate) fn time_is_paused() -> bool {
    let is_memory = kind() == Kind::Memory;
    if is_memory {
        tokio::time::pause();
    } else {
        let thread = std::thread::current();
        eprintln!("skipped: {} from where it stops the clock", thread.name().unwrap_or_default());
    }
    is_memory
}
