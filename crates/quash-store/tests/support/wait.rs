//! Waits for what a store does by itself.

use std::time::Duration;

const SHORT: Duration = Duration::from_millis(100);
const TRIES: usize = 600;

/// Waits until something is so, for as long as that may take on a busy machine.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..TRIES {
        if is_so() {
            return;
        }
        tokio::time::sleep(SHORT).await;
    }
}
