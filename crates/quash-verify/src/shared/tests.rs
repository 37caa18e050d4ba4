//! A check that needs only the known state waits for no other task, and no task waits for a check. If one
//! did, these tests would deadlock: the halted task continues only after the other is done.

use std::pin::pin;
use std::sync::{Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use quash_core::model::Timestamp;
use quash_core::watch::feed;

use super::*;
use crate::issuer::{GuardSetup, guard};
use crate::test::TestIssuer;

/// The limit for work that nothing blocks.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reports that it has been reached, and blocks until the test continues it or drops the sender.
struct Halt {
    here: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Halt {
    fn new() -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((here, is_here), (tell, go_on)) = (mpsc::channel(), mpsc::channel());
        (Self { here, go_on }, is_here, tell)
    }

    fn block(self) {
        let _ = self.here.send(());
        let _ = self.go_on.recv();
    }
}

/// Returns the result of `work`, which runs in another thread, unless it takes too long.
fn in_time<T: Send>(
    work: impl FnOnce() -> T + Send,
    go_on: mpsc::Sender<()>,
) -> Result<T, mpsc::RecvTimeoutError> {
    thread::scope(|threads| {
        let (done, doing) = mpsc::channel();
        threads.spawn(move || done.send(work()));
        let done = doing.recv_timeout(DEADLINE);
        drop(go_on);
        done
    })
}

#[test]
fn a_halted_publication_blocks_no_check() {
    let issuer = TestIssuer::new();
    let (verifier, token) = (issuer.verifier(), issuer.token("dana").mint());
    let is_let_in = || {
        let checked = pin!(verifier.check(token.as_str())).poll(&mut Context::from_waker(Waker::noop()));
        matches!(checked, Poll::Ready(Ok(_)))
    };
    assert!(is_let_in());
    let shared = &verifier.inner.shared;
    for numbers in [&shared.cursor, &shared.known_to_exist] {
        let (halt, is_here, go_on) = Halt::new();
        thread::scope(|threads| {
            threads.spawn(|| {
                numbers.send_if_modified(|_| {
                    halt.block();
                    false
                })
            });
            is_here.recv().expect("it is in the middle");
            assert_eq!(in_time(is_let_in, go_on), Ok(true));
        });
    }
}

/// A clock that blocks its reader.
struct Halting(Mutex<Option<Halt>>);

impl Clock for Halting {
    fn now(&self) -> Timestamp {
        let halt = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(halt) = halt {
            halt.block();
        }
        Timestamp::from_secs(1_800_000_000)
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_halted_check_blocks_no_one_else() {
    let issuer = TestIssuer::new();
    let [known, new] = ["dana", "lee"].map(|user| issuer.token(user).mint());
    let clock = Arc::new(Halting(Mutex::new(None)));
    let (setup, ring) = GuardSetup::of(&issuer, Arc::clone(&clock) as Arc<dyn Clock>);
    let (guard, mut publisher) = guard(setup, Revoked::empty(Seq::start_of(1), feed::EMPTY), ring);
    let check = |text: &str| guard.check_now(text, &[TokenType::Access]).is_ok();
    assert!(check(known.as_str()));
    let (halt, is_here, go_on) = Halt::new();
    *clock.0.lock().expect("the clock") = Some(halt);
    thread::scope(|threads| {
        let halted = threads.spawn(|| check(known.as_str()));
        is_here.recv().expect("it is in the middle");
        let others = || {
            publisher.replace(Revoked::empty(Seq::start_of(1).next(), feed::EMPTY));
            (guard.cursor(), check(known.as_str()), check(new.as_str()))
        };
        assert_eq!(in_time(others, go_on), Ok((Seq::start_of(1).next(), true, true)));
        assert!(halted.join().expect("an answer"));
    });
}
