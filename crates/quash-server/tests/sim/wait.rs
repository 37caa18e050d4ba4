//! How simulated time passes. Nothing is waited for in truth: tokio's clock stands still while anybody has something to
//! do, and jumps when nobody has.

use std::time::Duration;

/// Lets so much of the simulated time pass.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}
