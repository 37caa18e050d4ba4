//! Waiting for a state, with a deadline; and the time that somebody lets pass who is slow.

use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(2);

/// Lets time pass: an issuer is far away.
pub(crate) async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}
