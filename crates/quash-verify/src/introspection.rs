//! Asks the issuer about single tokens (introspection): one request at a time for each token, and few in
//! total. `follow/introspect.rs` sends the requests.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hasher;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher13};

/// The issuer's answer about a token (RFC 7662 2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The token is valid.
    Active,
    /// The token isn't valid.
    Inactive,
    /// No answer came.
    Away,
}

/// Sends introspection requests to the issuer.
pub(crate) trait Introspect: Send + Sync {
    fn ask<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
}

/// The requests in progress.
pub(crate) struct Introspection {
    issuer: Arc<dyn Introspect>,
    key: [u8; 16],
    /// Each slot with the number of its waiting callers.
    slots: Mutex<HashMap<u128, (usize, Arc<Slot>)>>,
}

/// The requests about one token.
#[derive(Default)]
struct Slot {
    asked: AtomicU64,
    answer: tokio::sync::Mutex<Option<Answer>>,
}

/// The longest that one caller waits for the issuer.
const WITHIN: Duration = Duration::from_secs(2);
/// The most tokens that can be asked about at a time; checks of further tokens are denied.
const TOKENS: usize = 64;

impl Introspection {
    pub(crate) fn new(issuer: Arc<dyn Introspect>, key: [u8; 16]) -> Self {
        Self { issuer, key, slots: Mutex::default() }
    }

    /// Returns the issuer's answer about a token.
    pub(crate) async fn ask(&self, token: &str) -> Answer {
        let hash = self.hash(token);
        let Some(slot) = self.slot(hash) else { return Answer::Away };
        let _leave = SlotGuard { introspection: self, hash };
        tokio::time::timeout(WITHIN, self.ask_or_share(token, &slot)).await.unwrap_or(Answer::Away)
    }

    /// Shares only the answer to a request that was sent after this caller arrived: an older answer may miss
    /// a revocation that has been confirmed since.
    async fn ask_or_share(&self, token: &str, slot: &Slot) -> Answer {
        let on_arrival = slot.asked.load(Ordering::SeqCst);
        let mut last = slot.answer.lock().await;
        if slot.asked.load(Ordering::SeqCst) > on_arrival
            && let Some(answer) = *last
        {
            return answer;
        }
        *last = None;
        slot.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.issuer.ask(token).await;
        *last = Some(answer);
        answer
    }

    fn slot(&self, hash: u128) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= TOKENS && !slots.contains_key(&hash) {
            return None;
        }
        let (waiting, slot) = slots.entry(hash).or_default();
        *waiting += 1;
        Some(Arc::clone(slot))
    }

    fn hash(&self, token: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(token.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// Removes the slot once the last caller has left, also when that caller was cancelled.
struct SlotGuard<'a> {
    introspection: &'a Introspection,
    hash: u128,
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        let mut slots = self.introspection.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((waiting, _)) = slots.get_mut(&self.hash) {
            *waiting -= 1;
            if *waiting == 0 {
                slots.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    /// An issuer that answers only when the test lets it.
    struct Slow {
        asked: AtomicU64,
        let_go: Semaphore,
    }

    impl Introspect for Slow {
        fn ask<'a>(&'a self, _token: &'a str) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
            Box::pin(async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                match self.let_go.acquire().await {
                    Ok(permit) => permit.forget(),
                    Err(_) => return Answer::Away,
                }
                Answer::Active
            })
        }
    }

    fn introspection() -> (Arc<Slow>, Introspection) {
        let issuer = Arc::new(Slow { asked: AtomicU64::new(0), let_go: Semaphore::new(0) });
        (Arc::clone(&issuer), Introspection::new(issuer, [1; 16]))
    }

    #[tokio::test]
    async fn concurrent_introspections_share_the_next_request() {
        let (issuer, introspection) = introspection();
        let introspection = Arc::new(introspection);
        let ask = || {
            let introspection = Arc::clone(&introspection);
            tokio::spawn(async move { introspection.ask("token").await })
        };
        let asks: Vec<_> = (0..10).map(|_| ask()).collect();
        // All ten callers arrive before the first is answered.
        tokio::task::yield_now().await;
        issuer.let_go.add_permits(2);
        for ask in asks {
            assert_eq!(ask.await.expect("an answer"), Answer::Active);
        }
        assert_eq!(
            issuer.asked.load(Ordering::SeqCst),
            2,
            "one for the first caller, one for all that arrived meanwhile"
        );
        assert!(introspection.slots.lock().expect("slots").is_empty());
    }

    #[tokio::test]
    async fn introspection_times_out_and_limits_concurrent_tokens() {
        let (issuer, introspection) = introspection();
        assert_eq!(introspection.ask("token").await, Answer::Away);
        let slots: Vec<_> =
            (0..TOKENS).map(|token| introspection.slot(token as u128).expect("a free slot")).collect();
        assert_eq!(slots.len(), TOKENS);
        assert_eq!(introspection.ask("one more").await, Answer::Away);
        assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
    }
}
