//! A check of a token seen before allocates nothing: accepted or refused, alone or during other work.

use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};

use quash_verify::test::TestIssuer;
use quash_verify::{Accepted, Verifier, VerifyError};

/// Returns the result of a check, which must not wait.
fn check(verifier: &Verifier, token: &str) -> Result<Accepted, VerifyError> {
    match pin!(verifier.check(token)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(checked) => checked,
        Poll::Pending => panic!("a check of a known token must not wait"),
    }
}

#[test]
fn checks_of_known_tokens_do_not_allocate() {
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier();
    let (live, revoked) = (issuer.token("dana").mint(), issuer.token("lee").mint());
    for number in 0..10_000 {
        issuer.revoke_subject(&number.to_string());
    }
    issuer.revoke_session(revoked.session());
    assert!(check(&verifier, live.as_str()).is_ok());
    assert!(check(&verifier, revoked.as_str()).is_err());
    let spent = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert!(check(&verifier, live.as_str()).is_ok());
            assert!(check(&verifier, revoked.as_str()).is_err());
        }
    });
    assert_eq!((spent.count_total, spent.bytes_total), (0, 0));
    let seen = allocation_counter::measure(|| drop(std::hint::black_box(vec![0_u8; 64])));
    assert_eq!(seen.count_total, 1, "the counter counts");
}

#[test]
fn concurrent_checks_of_known_tokens_do_not_allocate() {
    const OTHERS: usize = 500;
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier();
    let (live, revoked) = (issuer.token("dana").mint(), issuer.token("lee").mint());
    issuer.revoke_session(revoked.session());
    let others: Vec<_> = (0..OTHERS).map(|user| issuer.token(&user.to_string()).mint()).collect();
    let check_both = || {
        assert!(check(&verifier, live.as_str()).is_ok());
        assert!(check(&verifier, revoked.as_str()).is_err());
    };
    check_both();
    let meet = Barrier::new(3);
    std::thread::scope(|threads| {
        let checking = [(); 2].map(|()| {
            threads.spawn(|| {
                // A thread's first check creates the thread's record in `ArcSwap`.
                check_both();
                meet.wait();
                allocation_counter::measure(|| (0..20_000).for_each(|_| check_both())).count_total
            })
        });
        meet.wait();
        for other in &others {
            assert!(check(&verifier, other.as_str()).is_ok());
            issuer.revoke_session(other.session());
        }
        let spent = checking.map(|thread| thread.join().expect("it has checked"));
        assert_eq!(spent, [0, 0]);
    });
    assert_eq!(verifier.metrics().entries, OTHERS + 1);
}
