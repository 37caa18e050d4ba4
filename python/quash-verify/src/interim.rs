//! Decisions without waiting, and the wait for the start, made from the verifier's public futures.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quash_verify::{Accepted, Denied, Fault, StartError, Verifier, VerifierState, WhenStale};

pub(crate) fn check_now(
    follower: &crate::follower::Follower,
    token: &str,
    when_stale: WhenStale,
) -> Option<Result<Accepted, Denied>> {
    if follower.verifier().state() == VerifierState::Boot {
        return None;
    }
    let _entered = follower.handle().enter();
    let check = pin!(follower.verifier().check_when_stale(token, when_stale));
    match check.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(decided) => Some(decided),
        Poll::Pending => None,
    }
}

pub(crate) async fn settled(verifier: &Verifier, within: Duration) -> Result<(), StartError> {
    let wait = async {
        while matches!(verifier.state(), VerifierState::Boot | VerifierState::Stale) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(within, wait).await {
        Err(_) if verifier.state() == VerifierState::Boot => Err(StartError::Away(Fault::Silent)),
        _ => Ok(()),
    }
}
