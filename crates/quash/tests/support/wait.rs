//! The pauses of a client that gets a `Retry-After`.

use std::time::Duration;

/// The shortest `Retry-After`.
const LATER: Duration = Duration::from_secs(1);

/// The pause between two questions, and their number.
const SHORT: Duration = Duration::from_millis(50);
const TRIES: usize = 1_200;

/// Waits for the shortest `Retry-After`.
pub(crate) fn later() {
    std::thread::sleep(LATER);
}

/// Repeats a question until it has an answer, for as long as that may take on a busy machine.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    (0..TRIES).find_map(|_| {
        let found = ask();
        if found.is_none() {
            std::thread::sleep(SHORT);
        }
        found
    })
}

/// Asks each second whether it is so, so many times at most. Returns whether it was.
pub(crate) fn within(seconds: usize, mut is_so: impl FnMut() -> bool) -> bool {
    (0..seconds).any(|_| {
        let is_so = is_so();
        if !is_so {
            later();
        }
        is_so
    })
}

/// Waits until the next request of a flood with a fixed rate.
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}
