//! Asks the issuer about single tokens (introspection): one request at a time for each token, and few in
//! total. `follow/introspect.rs` sends the requests.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hasher;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::Clock;
use quash_core::watch::Named;
use siphasher::sip128::{Hasher128, SipHasher13};

/// The issuer's answer about a token (RFC 7662 2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The token is valid.
    Active,
    /// The token isn't valid.
    Inactive,
    /// The issuer's answer says nothing about the token, for example because it is overloaded.
    Unavailable,
    /// No answer came.
    Silent,
}

/// A question to the issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question<'a> {
    /// Whether a token is valid.
    Token(&'a str),
    /// Whether a name is revoked: the body of the request.
    Name(&'a str),
}

/// The body of a question about names.
pub(crate) fn question(named: &Named<'_>) -> String {
    let Named { namespace, session, token, subject, position, issued_at, expires_at } = *named;
    serde_json::json!({
        "namespace": namespace, "session": session, "token": token, "subject": subject,
        "position": position, "issued_at": issued_at, "expires_at": expires_at,
    })
    .to_string()
}

/// Sends introspection requests to the issuer.
pub(crate) trait Introspect: Send + Sync {
    fn ask<'a>(&'a self, question: Question<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;
}

/// The requests in progress.
pub(crate) struct Introspection {
    issuer: Arc<dyn Introspect>,
    clock: Arc<dyn Clock>,
    /// The number of answers of any kind that have come from the issuer.
    answers: Arc<AtomicU64>,
    /// Set after a request without an answer.
    silence: Mutex<Option<Silence>>,
    key: [u8; 16],
    /// Each slot with the number of its waiting callers.
    slots: Mutex<HashMap<u128, (usize, Arc<Slot>)>>,
}

/// The last request without an answer.
#[derive(Clone, Copy)]
struct Silence {
    /// The uptime at which the request was given up.
    since: Duration,
    /// The number of answers until then.
    answers: u64,
}

/// The requests about one token.
#[derive(Default)]
struct Slot {
    asked: AtomicU64,
    answer: tokio::sync::Mutex<Option<Answer>>,
}

/// The longest that one caller waits for the issuer.
const WITHIN: Duration = Duration::from_secs(2);
/// The time for which the issuer isn't asked after a request without an answer, unless it answers something.
/// Otherwise each request to an application with few threads would wait for an issuer that doesn't answer.
const SILENT_FOR: Duration = Duration::from_secs(1);
/// The most tokens that can be asked about at a time; checks of further tokens are denied.
const TOKENS: usize = 64;

impl Introspection {
    pub(crate) fn new(
        issuer: Arc<dyn Introspect>,
        clock: Arc<dyn Clock>,
        answers: Arc<AtomicU64>,
        key: [u8; 16],
    ) -> Self {
        Self { issuer, clock, answers, silence: Mutex::default(), key, slots: Mutex::default() }
    }

    /// Returns the issuer's answer.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Answer {
        if self.is_silent() {
            return Answer::Silent;
        }
        let hash = self.hash(question);
        let Some(slot) = self.slot(hash) else { return Answer::Unavailable };
        let _leave = SlotGuard { introspection: self, hash };
        let answer =
            tokio::time::timeout(WITHIN, self.ask_or_share(question, &slot)).await.unwrap_or(Answer::Silent);
        if answer == Answer::Silent && !self.is_silent() {
            let (since, answers) = (self.clock.uptime(), self.answers.load(Ordering::SeqCst));
            *self.silence() = Some(Silence { since, answers });
        }
        answer
    }

    /// Returns whether the issuer has left a request without an answer a moment ago, and any other since.
    fn is_silent(&self) -> bool {
        self.silence().is_some_and(|silence| {
            self.clock.uptime().saturating_sub(silence.since) < SILENT_FOR
                && self.answers.load(Ordering::SeqCst) == silence.answers
        })
    }

    fn silence(&self) -> MutexGuard<'_, Option<Silence>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shares only the answer to a request that was sent after this caller arrived: an older answer may miss
    /// a revocation that has been confirmed since.
    async fn ask_or_share(&self, question: Question<'_>, slot: &Slot) -> Answer {
        let on_arrival = slot.asked.load(Ordering::SeqCst);
        let mut last = slot.answer.lock().await;
        if slot.asked.load(Ordering::SeqCst) > on_arrival
            && let Some(answer) = *last
        {
            return answer;
        }
        *last = None;
        // Another request may have been given up while this one waited for its turn.
        if self.is_silent() {
            return Answer::Silent;
        }
        slot.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.issuer.ask(question).await;
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

    fn hash(&self, question: Question<'_>) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        let (kind, text) = match question {
            Question::Token(token) => (0, token),
            Question::Name(body) => (1, body),
        };
        hasher.write(&[kind]);
        hasher.write(text.as_bytes());
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
    use quash_core::model::Timestamp;
    use tokio::sync::Semaphore;

    /// An issuer that answers only when the test lets it.
    struct Slow {
        asked: AtomicU64,
        let_go: Semaphore,
    }

    impl Introspect for Slow {
        fn ask<'a>(&'a self, _: Question<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
            Box::pin(async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                match self.let_go.acquire().await {
                    Ok(permit) => permit.forget(),
                    Err(_) => return Answer::Unavailable,
                }
                Answer::Active
            })
        }
    }

    fn introspection() -> (Arc<Slow>, Introspection) {
        let issuer = Arc::new(Slow { asked: AtomicU64::new(0), let_go: Semaphore::new(0) });
        let (clock, answers) = (Arc::new(TestClock::default()), Arc::default());
        (Arc::clone(&issuer), Introspection::new(issuer, clock, answers, [1; 16]))
    }

    #[tokio::test]
    async fn concurrent_introspections_share_the_next_request() {
        let (issuer, introspection) = introspection();
        let introspection = Arc::new(introspection);
        let ask = || {
            let introspection = Arc::clone(&introspection);
            tokio::spawn(async move { introspection.ask(Question::Token("token")).await })
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

    /// A clock that a test moves.
    #[derive(Default)]
    struct TestClock(AtomicU64);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(0)
        }

        fn uptime(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_silence_further_requests_fail_at_once() {
        let issuer = Arc::new(Slow { asked: AtomicU64::new(0), let_go: Semaphore::new(0) });
        let (clock, answers) = (Arc::new(TestClock::default()), Arc::<AtomicU64>::default());
        let introspection = Introspection::new(
            Arc::clone(&issuer) as Arc<dyn Introspect>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&answers),
            [1; 16],
        );
        let asked = || issuer.asked.load(Ordering::SeqCst);
        // All three wait for the same two seconds; the second and the third are about one token.
        let all = tokio::join!(
            introspection.ask(Question::Token("a")),
            introspection.ask(Question::Token("b")),
            introspection.ask(Question::Token("b"))
        );
        assert_eq!((all, asked()), ((Answer::Silent, Answer::Silent, Answer::Silent), 2));
        clock.0.store(999, Ordering::SeqCst);
        assert_eq!(
            (introspection.ask(Question::Token("a")).await, asked()),
            (Answer::Silent, 2),
            "without a request"
        );
        issuer.let_go.add_permits(2);
        answers.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            (introspection.ask(Question::Token("a")).await, asked()),
            (Answer::Active, 3),
            "it has answered something"
        );
        issuer.let_go.forget_permits(1);
        assert_eq!(introspection.ask(Question::Token("a")).await, Answer::Silent);
        issuer.let_go.add_permits(1);
        clock.0.store(1998, Ordering::SeqCst);
        assert_eq!((introspection.ask(Question::Token("a")).await, asked()), (Answer::Silent, 4));
        clock.0.store(1999, Ordering::SeqCst);
        assert_eq!(
            (introspection.ask(Question::Token("a")).await, asked()),
            (Answer::Active, 5),
            "a second is over"
        );
    }

    #[tokio::test]
    async fn introspection_times_out_and_limits_concurrent_tokens() {
        let (issuer, introspection) = introspection();
        assert_eq!(introspection.ask(Question::Token("token")).await, Answer::Silent);
        *introspection.silence() = None;
        let slots: Vec<_> =
            (0..TOKENS).map(|token| introspection.slot(token as u128).expect("a free slot")).collect();
        assert_eq!(slots.len(), TOKENS);
        assert_eq!(introspection.ask(Question::Token("one more")).await, Answer::Unavailable);
        assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
    }
}
