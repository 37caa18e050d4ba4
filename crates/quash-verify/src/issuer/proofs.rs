//! Proofs that a node's state is complete. A node shares the log with other processes. So it decides only with a
//! state that contains everything up to a head whose read began after the request had arrived.

use std::time::Duration;

use tokio::sync::watch;

use crate::verify_error::VerifyError;

/// The proof of the published state, and the requests that wait for a newer one.
pub(crate) struct Proofs {
    /// The time at which the read began that proves the published state.
    at: watch::Sender<Duration>,
    /// The arrival of the newest request that waits.
    wanted: watch::Sender<Duration>,
    /// Set once nothing more can be proven.
    fenced: watch::Sender<bool>,
}

/// The longest wait for a proof.
const WITHIN: Duration = Duration::from_secs(5);

impl Proofs {
    pub(crate) fn new() -> Self {
        let [at, wanted] = [(); 2].map(|()| watch::Sender::new(Duration::ZERO));
        Self { at, wanted, fenced: watch::Sender::new(false) }
    }

    /// Waits until the published state is proven by a read that began at `arrived` or later, and the process's
    /// lease is current.
    pub(crate) async fn since(
        &self,
        arrived: Duration,
        is_fresh: impl Fn() -> bool,
    ) -> Result<(), VerifyError> {
        let mut proven = self.at.subscribe();
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, arrived.max(*wanted)) < arrived);
        let mut fenced = self.fenced.subscribe();
        let waiting = async {
            tokio::select! {
                biased;
                _ = fenced.wait_for(|fenced| *fenced) => false,
                proven = proven.wait_for(|at| *at >= arrived && is_fresh()) => proven.is_ok(),
            }
        };
        match tokio::time::timeout(WITHIN, waiting).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(VerifyError::Stale),
        }
    }

    /// Ends all proofs: requests that wait, and later ones, are answered at once.
    pub(crate) fn fence(&self) {
        self.fenced.send_replace(true);
    }

    /// Returns whether nothing more can be proven.
    pub(crate) fn is_fenced(&self) -> bool {
        *self.fenced.borrow()
    }

    /// Wakes the requests that wait for the proof of a published state.
    pub(crate) fn publish(&self, at: Duration) {
        self.at.send_if_modified(|proven| std::mem::replace(proven, at) != at);
    }

    /// Follows the arrival of the newest request that waits.
    pub(crate) fn wanted(&self) -> watch::Receiver<Duration> {
        self.wanted.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll, Waker};

    use quash_core::model::{Clock, Seq, Timestamp};
    use quash_core::token::{KeyRing, TokenType};
    use quash_core::watch::{Revoked, feed};

    use super::*;
    use crate::issuer::{Guard, GuardSetup, Publisher, guard, guard_of_node};
    use crate::test::TestIssuer;

    /// A clock that is set by hand, in seconds.
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_800_000_000)
        }

        fn uptime(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    type Made = fn(GuardSetup, Revoked, KeyRing) -> (Guard, Publisher);

    fn made(make: Made) -> (Arc<Hand>, Guard, Publisher, String) {
        let issuer = TestIssuer::new();
        let token = issuer.token("dana").mint().as_str().to_owned();
        let clock = Arc::new(Hand(AtomicU64::new(100)));
        let (setup, ring) = GuardSetup::of(&issuer, Arc::clone(&clock) as Arc<dyn Clock>);
        let empty = Revoked::empty(Seq::start_of(1), feed::EMPTY);
        let (guard, publisher) = make(setup, empty, ring);
        (clock, guard, publisher, token)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_decide_after_a_read_that_began_later_than_the_request() {
        let (_, guard, mut publisher, token) = made(guard_of_node);
        let wanted = publisher.proof_wanted().expect("a node");
        // A read that was under way when the request arrived.
        publisher.prove(secs(99), secs(110));
        let mut check = pin!(guard.check(&token, &[TokenType::Access]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(check.as_mut().poll(&mut context).is_pending());
        assert_eq!(*wanted.borrow(), secs(100), "it asks for a read");
        publisher.prove(secs(99), secs(111));
        assert!(check.as_mut().poll(&mut context).is_pending());
        publisher.prove(secs(100), secs(111));
        assert!(matches!(check.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
        let mut signature = pin!(guard.authenticate(&token));
        assert!(matches!(signature.as_mut().poll(&mut context), Poll::Ready(Ok(_))), "of the same second");
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_authenticate_after_a_read_that_began_later_than_the_request() {
        let (_, guard, mut publisher, token) = made(guard_of_node);
        let mut check = pin!(guard.authenticate(&token));
        let mut context = Context::from_waker(Waker::noop());
        assert!(check.as_mut().poll(&mut context).is_pending());
        publisher.prove(secs(100), secs(110));
        assert!(matches!(check.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_decide_nothing_after_their_lease() {
        let (clock, guard, mut publisher, token) = made(guard_of_node);
        let mut check = pin!(guard.check(&token, &[TokenType::Access]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(check.as_mut().poll(&mut context).is_pending());
        publisher.prove(secs(100), secs(110));
        // A pause between the proof and the decision.
        clock.0.store(110, Ordering::SeqCst);
        assert!(check.as_mut().poll(&mut context).is_pending());
        publisher.prove(secs(110), secs(110));
        assert!(check.as_mut().poll(&mut context).is_pending(), "a read without a lease");
        publisher.prove(secs(111), secs(120));
        assert!(matches!(check.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_wait_five_seconds_for_a_proof() {
        let (_, guard, _publisher, token) = made(guard_of_node);
        let mut check = pin!(guard.check(&token, &[TokenType::Access]));
        let early = tokio::time::timeout(WITHIN - Duration::from_millis(10), check.as_mut()).await;
        assert!(early.is_err(), "it waits");
        let late = tokio::time::timeout(Duration::from_millis(20), check).await;
        assert!(matches!(late, Ok(Err(VerifyError::Stale))));
    }

    #[tokio::test]
    async fn the_only_process_needs_no_proof() {
        let (_, guard, publisher, token) = made(guard);
        assert!(publisher.proof_wanted().is_none());
        assert!(guard.check(&token, &[TokenType::Access]).await.is_ok());
        assert!(guard.authenticate(&token).await.is_ok());
    }
}
