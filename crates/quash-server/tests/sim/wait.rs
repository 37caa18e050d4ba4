//! Simulated time without real waiting: tokio's clock stops while any task has work, and jumps when all are
//! idle.

use std::time::Duration;

/// Waits for this much simulated time.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}
