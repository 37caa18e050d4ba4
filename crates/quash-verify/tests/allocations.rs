//! A check of a token that was seen before allocates nothing, whether it is let in or refused.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use quash_verify::test::TestIssuer;
use quash_verify::{Accepted, Denied, Verifier};

/// What a check says that needn't wait for anybody.
fn check(verifier: &Verifier, token: &str) -> Result<Accepted, Denied> {
    match pin!(verifier.check(token)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(checked) => checked,
        Poll::Pending => panic!("a check of a known token waits for nobody"),
    }
}

#[test]
fn a_known_token_costs_no_allocation() {
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
