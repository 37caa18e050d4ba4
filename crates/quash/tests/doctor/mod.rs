//! `quash doctor`: each file here breaks conditions of a real installation, and the doctor finds exactly these.

mod files;
mod mails;
mod public;
mod settings;
mod site;
mod store;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Finished, Server, quash_on, run, sqlite_only};

/// Checks whose outcome depends on the machine that runs the tests.
const OF_THE_MACHINE: [&str; 3] = ["disk_space", "file_system", "password_cost"];

/// The findings of a run, each with its level.
type Found = BTreeMap<String, String>;

/// Runs the doctor on a data directory.
fn doctor(data_dir: &Path, args: &[&str]) -> Finished {
    run(quash_on(data_dir, &[&["doctor", "--json"], args].concat()), "")
}

/// The findings of a finished run, without those of the machine.
#[track_caller]
fn found(finished: &Finished) -> Found {
    assert!([0, 8, 9].contains(&finished.code()), "{}", finished.stderr);
    let findings: Vec<Value> = serde_json::from_str(&finished.stdout).expect("a list");
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or_default().to_owned();
    let found = findings.iter().filter(|finding| !["ok", "skipped"].contains(&&*text(finding, "level")));
    found
        .map(|finding| (text(finding, "check"), text(finding, "level")))
        .filter(|(check, _)| !OF_THE_MACHINE.contains(&check.as_str()))
        .collect()
}

/// What a test expects to be found.
fn these(expected: &[(&str, &str)]) -> Found {
    expected.iter().map(|(check, level)| ((*check).to_owned(), (*level).to_owned())).collect()
}

/// Writes a backup to a directory outside of the data directory, so that none is missing.
fn back_up(data_dir: &Path, to: &Path) {
    let path = to.join("1.db");
    let written = run(quash_on(data_dir, &["backup", path.to_str().expect("UTF-8")]), "");
    assert_eq!(written.code(), 0, "{}", written.stderr);
}

/// Makes a data directory with a backup, and no running server.
fn installed(dir: &Path) -> std::path::PathBuf {
    let data_dir = dir.join("data");
    assert_eq!(Server::start_in(&data_dir, &[]).terminate().code(), 0);
    back_up(&data_dir, dir);
    data_dir
}

#[test]
fn healthy_installations_have_no_findings() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start_in(&dir.path().join("data"), &[]);
    assert_eq!(found(&doctor(&server.data_dir, &[])), these(&[("backup_age", "warning")]));
    back_up(&server.data_dir, dir.path());
    let healthy = doctor(&server.data_dir, &[]);
    assert_eq!(found(&healthy), these(&[]));
    let findings: Vec<Value> = serde_json::from_str(&healthy.stdout).expect("a list");
    assert!(findings.len() >= 30, "{}", findings.len());
    assert!(findings.iter().all(|finding| finding["finding"].is_string() == finding["reason"].is_string()));
    let data_dir = server.data_dir.clone();
    assert_eq!(server.terminate().code(), 0);
    assert_eq!(found(&doctor(&data_dir, &[])), these(&[("server", "note")]));
}

#[test]
fn texts_have_reason_and_remedy_and_exit_codes_differ() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    let text = |args: &[&str]| run(quash_on(&data_dir, &[&["doctor"], args].concat()), "");
    let noted = text(&[]);
    assert!(
        noted.stdout.contains("note server: no server runs on this data directory\n  reason: "),
        "{}",
        noted.stdout
    );
    assert!(noted.stdout.contains("\n  remedy: start it with `quash serve`"), "{}", noted.stdout);
    assert!(noted.stdout.contains(" checks: ok "), "{}", noted.stdout);
    let warned = text(&["--set", "sessions.absolute_lifetime=none"]);
    assert_eq!(warned.code(), 8, "{}", warned.stdout);
    let failed = text(&["--set", "tokens.refresh_token_lifetime=5m"]);
    assert_eq!(failed.code(), 9, "{}", failed.stdout);
    assert!(failed.stdout.starts_with("problem lifetime_order: "), "{}", failed.stdout);
}

#[test]
fn nothing_to_check_is_an_error() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = doctor(&dir.path().join("nowhere"), &[]);
    assert_eq!(missing.code(), 4, "{}", missing.stderr);
    let empty = doctor(dir.path(), &[]);
    assert_eq!(empty.code(), 4, "{}", empty.stderr);
    let wrong = doctor(dir.path(), &["--set", "tokens.algorithm=none"]);
    assert_eq!(wrong.code(), 2, "{}", wrong.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "nothing was made");
}
