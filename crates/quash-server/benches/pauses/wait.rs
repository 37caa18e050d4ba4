//! Pauses between the requests of a benchmark.

use std::time::Duration;

/// Waits until the next request is due.
pub(crate) async fn until_next(span: Duration) {
    tokio::time::sleep(span).await;
}
