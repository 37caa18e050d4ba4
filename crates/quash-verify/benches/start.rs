//! The CPU time of a verifier's start, in a process of its own each time: parts of it are spent once in a
//! process. The log is empty, and the issuer's address is http.
#![expect(clippy::print_stdout, reason = "prints its results")]

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "needs a part of it alone")]
mod support;

use std::process::Command;
use std::time::Duration;

use quash_verify::{Verifier, VerifierState};
use rustix::time::{ClockId, clock_gettime};

/// The environment's variable with the issuer's address, for the measured process.
const ADDRESS: &str = "QUASH_BENCH_ISSUER";
const RUNS: usize = 15;
/// The most that half of the starts may take.
const MOST_MICROS: u64 = 15_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    #[expect(clippy::disallowed_methods, reason = "the bench starts itself again")]
    if let Ok(address) = std::env::var(ADDRESS) {
        println!("{}", start(address).await.as_micros());
        return;
    }
    let issuer = support::Issuer::open().await;
    let program = std::env::current_exe().expect("this program");
    let mut spans = Vec::new();
    for _ in 0..RUNS {
        let (program, address) = (program.clone(), issuer.address.clone());
        let measured = tokio::task::spawn_blocking(move || {
            Command::new(program).env(ADDRESS, address).output().expect("a process")
        });
        let output = measured.await.expect("no panic").stdout;
        spans.push(String::from_utf8_lossy(&output).trim().parse::<u64>().expect("microseconds"));
    }
    spans.sort_unstable();
    assert!(spans[RUNS / 2] <= MOST_MICROS, "a start takes too long: {spans:?} microseconds");
    println!(
        "CPU of a start: median {:.1} ms, least {:.1} ms, most {:.1} ms",
        spans[RUNS / 2] as f64 / 1000.0,
        spans[0] as f64 / 1000.0,
        spans[RUNS - 1] as f64 / 1000.0
    );
}

/// Returns the CPU time of one start, up to the first lease.
async fn start(address: String) -> Duration {
    let before = cpu();
    let verifier = Verifier::builder(address).credential("qv_test").start().await.expect("a verifier");
    assert_eq!(verifier.state(), VerifierState::Fresh);
    cpu() - before
}

fn cpu() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the bench measures the CPU time of its process")]
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).expect("positive"),
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}
