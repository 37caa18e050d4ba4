//! The server is killed and restarted, and its store is replaced by an older copy, while a verifier follows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::proxy::ProxyFault;
use super::site::{Site, assert_is_soon, tell};
use super::support::{rounds, sqlite_only};
use super::wait::until;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn soak_a_server_is_killed_and_restarted() {
    let mut site = Site::open(20).await;
    let live = site.sign_in();
    for _ in 0..rounds(2, 20) {
        let (one, other) = (site.sign_in(), site.sign_in());
        site.end(one);
        site.kill();
        site.start();
        // Twice in a row, with a session ended in between.
        site.end(other);
        site.kill();
        site.start();
        let took = site.catch_up(&site.pair()).await;
        assert!(site.is_refused_at_the_server());
        tell(&format!("killed twice: caught up in {took:?}"));
    }
    site.end(live);
    until("the last one is known, too", DEADLINE, || site.presented.knows_all()).await;
    let latest = site.check().await;
    tell(&format!("killed: latest let in after {latest:?}"));
}

/// Everything issued before has ended, and the verifier learns it although it was disconnected.
async fn everything_has_ended(site: Site, how: &str) {
    let took =
        until("everything that was issued before is refused", DEADLINE, || site.presented.knows_all()).await;
    assert_is_soon(took);
    assert!(site.is_refused_at_the_server());
    let session = site.sign_in();
    site.catch_up(&site.pair()).await;
    site.end(session);
    until("sessions that end from now on are refused", DEADLINE, || site.presented.knows_all()).await;
    let latest = site.check().await;
    tell(&format!("{how}: latest let in after {latest:?}, known after {took:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_is_restored_from_an_older_copy() {
    sqlite_only!();
    let mut site = Site::open(21).await;
    let (ended, _live) = (site.sign_in(), site.sign_in());
    let backup = site.beside("backup");
    let backup = backup.to_str().expect("UTF-8");
    site.run(&["backup", backup]);
    site.end(ended);
    site.sign_in();
    site.kill();
    site.presented.all_ending();
    site.run(&["restore", backup]);
    site.presented.all_ended();
    site.start();
    everything_has_ended(site, "restored").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_database_replaces_the_current_one() {
    sqlite_only!();
    let mut site = Site::open(22).await;
    let (ended, _live) = (site.sign_in(), site.sign_in());
    site.terminate();
    let (database, copy) = (site.data_dir().join("quash.db"), site.beside("copy"));
    fs::copy(&database, &copy).expect("it is ours");
    site.start();
    site.end(ended);
    site.sign_in();
    site.terminate();
    fs::copy(&copy, &database).expect("it is ours");
    site.presented.all_ending();
    site.start();
    site.presented.all_ended();
    everything_has_ended(site, "an older database").await;
}

/// Returns a site whose server starts with a store from before sessions were ended, without the file that
/// would reveal it.
async fn rolled_back_site(seed: u64) -> Site {
    let mut site = Site::open(seed).await;
    let (ended, _live) = (site.sign_in(), site.sign_in());
    site.terminate();
    let copy = site.beside("copy");
    copy_files(&site.data_dir(), &copy);
    site.start();
    site.end(ended);
    site.end(site.sign_in());
    until("both are known", DEADLINE, || site.presented.knows_all()).await;
    site.kill();
    fs::remove_dir_all(site.data_dir()).expect("it is ours");
    fs::rename(&copy, site.data_dir()).expect("it is ours");
    site.presented.all_ending();
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_verifier_detects_a_complete_rollback() {
    sqlite_only!();
    let mut site = rolled_back_site(23).await;
    site.start();
    until("the server knows that its store is older", DEADLINE, || site.server_has_ended_all()).await;
    site.presented.all_ended();
    everything_has_ended(site, "older files").await;
}

/// The log then has sequence numbers that the verifier knows, with other entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_verifier_recovers_after_an_unnoticed_rollback() {
    sqlite_only!();
    let mut site = rolled_back_site(24).await;
    site.proxy.set_fault(ProxyFault::DropAll);
    site.start();
    for _ in 0..6 {
        site.end(site.sign_in());
    }
    site.proxy.set_fault(ProxyFault::None);
    until("the server knows that its store is older", DEADLINE, || site.server_has_ended_all()).await;
    site.presented.all_ended();
    everything_has_ended(site, "older files that have gone on").await;
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is ours");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("it is ours");
        }
    }
    fs::set_permissions(to, fs::metadata(from).expect("a directory").permissions()).expect("it is ours");
}
