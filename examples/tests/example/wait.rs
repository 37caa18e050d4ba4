//! Waits for an answer, with a deadline.

use std::time::Duration;

use super::{Example, TERM};
use crate::support::Answer;

const EVERY: Duration = Duration::from_millis(2);
/// The number of further requests that check that a refusal is final.
const AGAIN: usize = 5;

impl Example {
    /// Waits until a token is refused, and checks that it stays refused. Until then the token may be accepted
    /// or answered 503.
    pub(crate) async fn until_refused(&self, path: &str, token: &str) -> Answer {
        let refused = self.until(401, path, token).await;
        for _ in 0..AGAIN {
            assert_eq!(self.ask(path, token).await.status, 401, "a refused token is accepted again");
        }
        refused
    }

    /// Waits until a token is answered with this status. Until then it may be accepted or answered 503.
    async fn until(&self, status: u16, path: &str, token: &str) -> Answer {
        let waiting = async {
            loop {
                let answer = self.ask(path, token).await;
                if answer.status == status {
                    return answer;
                }
                assert!(matches!(answer.status, 200 | 503), "{answer}");
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::time::timeout(TERM, waiting).await.unwrap_or_else(|_| panic!("no {status} within {TERM:?}"))
    }
}
