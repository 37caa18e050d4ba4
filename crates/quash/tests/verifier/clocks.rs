//! The server's clock jumps by a week, forward and back, while a verifier with a steady clock follows it.
//! Ended sessions stay ended. Needs libfaketime; without it, the tests print that they were skipped. The
//! server's uptime isn't faked. `quash-service/src/use_cases/operation/upkeep/tests.rs` tests upkeep with
//! such a clock.

use std::time::Duration;

use quash_verify::{VerifierState, VerifyError};

use super::site::Site;
use super::support::Pair;
use super::support::faketime::{FakeClock, NOW};
use super::wait::until;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
const WEEKS: [&str; 2] = ["+7d", "-7d"];

/// Asserts that ended sessions are refused by the verifier, by a new verifier, and by the server.
async fn all_stay_ended(site: &Site, ended: &[Pair]) {
    until("they are known", DEADLINE, || site.presented.knows_all()).await;
    until("it is fresh", DEADLINE, || site.verifier.state() == VerifierState::Fresh).await;
    let another = site.another_verifier().await;
    for Pair { access, .. } in ended {
        assert!(matches!(another.check(access).await, Err(VerifyError::Refused(_))));
    }
    assert!(site.is_refused_at_the_server());
}

/// Returns the difference between the server's clock and that of this process, in days.
fn days_off(site: &Site) -> i64 {
    let minted = super::support::claims(&site.pair().access)["iat"].as_i64().expect("a time");
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let off = minted - i64::try_from(now).expect("a time");
    (off + off.signum() * 3600) / 86_400
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_running_server_survives_clock_jumps() {
    let Some(clock) = FakeClock::right() else { return };
    let site = Site::open_with(clock.command(), 30).await;
    let mut ended = Vec::new();
    for (offset, days) in WEEKS.into_iter().zip([7, -7]) {
        let (before, after) = (site.sign_in(), site.sign_in());
        ended.push(site.end(before));
        clock.set(offset);
        assert_eq!(days_off(&site), days);
        ended.push(site.end_all_of_dana(after));
        all_stay_ended(&site, &ended).await;
        clock.set(NOW);
        assert_eq!(days_off(&site), 0);
        all_stay_ended(&site, &ended).await;
        site.catch_up(&site.pair()).await;
    }
    site.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restarted_server_survives_clock_jumps() {
    let Some(clock) = FakeClock::right() else { return };
    let mut site = Site::open_with(clock.command(), 31).await;
    let mut ended = Vec::new();
    for (offset, days) in WEEKS.into_iter().zip([7, -7]) {
        let (before, after) = (site.sign_in(), site.sign_in());
        ended.push(site.end(before));
        site.kill();
        clock.set(offset);
        site.start_with(clock.command());
        assert_eq!(days_off(&site), days);
        ended.push(site.end_all_of_dana(after));
        all_stay_ended(&site, &ended).await;
        site.kill();
        clock.set(NOW);
        site.start_with(clock.command());
        assert_eq!(days_off(&site), 0);
        all_stay_ended(&site, &ended).await;
        site.catch_up(&site.pair()).await;
    }
    site.check().await;
}
