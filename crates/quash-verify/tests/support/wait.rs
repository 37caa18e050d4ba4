//! Waits for a condition with a deadline, and delays an answer.

use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(2);

/// Delays an answer, like that of a distant issuer.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("timed out waiting: {what}"));
}
