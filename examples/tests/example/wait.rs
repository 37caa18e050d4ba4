//! Waiting for an answer, with a deadline.

use std::time::Duration;

use super::{Example, TERM};
use crate::support::Answer;

const EVERY: Duration = Duration::from_millis(2);
/// How often it is asked again whether what is refused stays refused.
const AGAIN: usize = 5;

impl Example {
    /// Waits until a token is refused, which must be soon, and makes sure that it stays so. Until then it may be let in, or
    /// nobody can tell.
    pub(crate) async fn until_refused(&self, path: &str, token: &str) -> Answer {
        let refused = self.until(401, path, token).await;
        for _ in 0..AGAIN {
            assert_eq!(self.ask(path, token).await.status, 401, "what was refused is let in again");
        }
        refused
    }

    /// Waits until a token is answered so; until then it may be let in, or nobody can tell.
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
