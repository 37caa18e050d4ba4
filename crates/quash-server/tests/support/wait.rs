//! Waits that depend on where the tests keep their data.

use super::faulty_store::{FaultyStore, kind};
use super::postgres::Kind;

/// Lets all other tasks advance as far as they can without the test: until they wait for something else than the store.
pub(crate) async fn settle(store: &FaultyStore) {
    let mut calls = None;
    loop {
        let before = calls.replace(store.idle().await);
        if before == calls {
            return;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether the tests keep their data in memory, where a request takes no time.
pub(crate) fn is_in_memory() -> bool {
    kind() == Kind::Memory
}

/// Stops the runtime's clock, which then jumps to the next deadline whenever all tasks are idle. `false`, after saying
/// that the rest of the test is skipped: a task that waits for another process is idle, too.
#[allow(clippy::print_stderr, clippy::allow_attributes, reason = "a skipped test says so")]
pub(crate) fn time_is_paused() -> bool {
    let is_memory = is_in_memory();
    if is_memory {
        tokio::time::pause();
    } else {
        let thread = std::thread::current();
        eprintln!("skipped: {} from where it stops the clock", thread.name().unwrap_or_default());
    }
    is_memory
}
