//! The server's clock jumps by a week, forward and back, while a verifier with a steady clock follows it.
//! Ended sessions stay ended. Needs libfaketime; without it, the tests print that they were skipped. The
//! server's uptime isn't faked. `quash-service/src/use_cases/operation/upkeep/tests.rs` tests upkeep with
//! such a clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quash_verify::{VerifierState, VerifyError};

use super::site::Site;
use super::support::{Pair, quash};
use super::wait::until;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// The offset of an unchanged clock, in libfaketime's format.
const NOW: &str = "+0";
const WEEKS: [&str; 2] = ["+7d", "-7d"];

/// A server whose clock is off by the offset in a file.
struct Clock {
    library: PathBuf,
    dir: tempfile::TempDir,
}

impl Clock {
    /// Prints a note and returns `None` if libfaketime is missing.
    #[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
    fn right() -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
        let library =
            folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
        let Some(library) = library else {
            eprintln!("skipped: this test needs libfaketime");
            return None;
        };
        let clock = Self { library, dir: tempfile::tempdir().expect("a temporary directory") };
        clock.set(NOW);
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    fn set(&self, offset: &str) {
        // The rename keeps libfaketime from reading a partial file.
        let new = self.dir.path().join("new");
        fs::write(&new, offset).expect("it is ours");
        fs::rename(new, self.file()).expect("it is ours");
    }

    fn command(&self) -> Command {
        let mut command = quash();
        let preload: &Path = &self.library;
        command.env("LD_PRELOAD", preload).env("FAKETIME_TIMESTAMP_FILE", self.file());
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }
}

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
    let Some(clock) = Clock::right() else { return };
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
    let Some(clock) = Clock::right() else { return };
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
