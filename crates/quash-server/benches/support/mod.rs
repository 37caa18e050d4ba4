//! Verifiers that follow a server, and the times that they need.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quash_verify::{Verifier, WhenStale};
use tokio::task::JoinSet;

/// Starts a verifier, and waits until it is FRESH.
pub(crate) async fn verifier(server: SocketAddr, credential: &str) -> Verifier {
    Verifier::builder(format!("http://{server}"))
        .credential(credential)
        .when_stale(WhenStale::Deny)
        .start_within(Duration::from_secs(60))
        .start()
        .await
        .expect("a verifier")
}

pub(crate) async fn verifiers(server: SocketAddr, credential: &str, count: usize) -> Vec<Verifier> {
    let mut verifiers = Vec::with_capacity(count);
    for _ in 0..count {
        verifiers.push(verifier(server, credential).await);
    }
    verifiers
}

/// The moments at which verifiers refuse a token.
pub(crate) struct Refusals(JoinSet<Instant>);

impl Refusals {
    /// Watches a live token.
    pub(crate) async fn watch(verifiers: &[Verifier], access: &str) -> Self {
        let mut watched = JoinSet::new();
        for verifier in verifiers {
            let guard = verifier.watch(access).await.expect("a live token");
            watched.spawn(async move {
                guard.revoked().await;
                Instant::now()
            });
        }
        Self(watched)
    }

    /// Waits for the slowest verifier.
    pub(crate) async fn last(self) -> Instant {
        self.0.join_all().await.into_iter().max().expect("verifiers")
    }
}

/// Prints the median and the 99th percentile, in milliseconds.
pub(crate) fn percentiles(name: &str, times: Vec<Duration>) {
    let [median, slow] = shares(times, [50, 99]);
    println!("figure {name} {median:.3} {slow:.3}");
}

/// The times, in milliseconds, within which these percentages lie.
pub(crate) fn shares<const N: usize>(mut times: Vec<Duration>, percentages: [usize; N]) -> [f64; N] {
    times.sort_unstable();
    percentages.map(|share| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1000.0)
}
