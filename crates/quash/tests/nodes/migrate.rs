//! `quash migrate`, with real processes: sessions continue in PostgreSQL and back in SQLite, what was revoked
//! stays revoked, and a move that was killed can be repeated.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use super::site::{PASSWORD, Site, write};
use super::{REFRESH, log_out, me};
use crate::support::{Finished, Pair, Server, on, quash, sqlite_only};

/// The exit code for data that was moved already, or a target that isn't empty.
const CONFLICT: i32 = 5;
/// The exit code while a node runs.
const IN_USE: i32 = 3;

/// Writes the database's URL into a file of its own.
fn url_file(site: &Site) -> PathBuf {
    let path = site.data_dir("a").join("database");
    write(&path, &site.url);
    path
}

fn to_postgres(site: &Site) -> Finished {
    let file = url_file(site);
    on(&site.data_dir("a"), &["migrate", "--json", "--to-file", file.to_str().expect("UTF-8")], "")
}

fn to_sqlite(site: &Site) -> Finished {
    on(&site.data_dir("a"), &["migrate", "--json", "--to", "sqlite"], "")
}

/// A node's directory without the settings that name PostgreSQL.
fn without_settings(site: &Site) -> PathBuf {
    let dir = site.data_dir("a");
    match std::fs::remove_file(dir.join("quash.toml")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => dir,
    }
}

fn refresh(at: &Server, pair: &Pair) -> u16 {
    at.post_json(REFRESH, &json!({ "refresh": pair.refresh }), None).status
}

fn verified(server: &Server) -> u64 {
    server.run(&["audit", "verify", "--json"], "").json()["entries"].as_u64().expect("a number")
}

#[test]
fn sessions_continue_in_postgresql_and_back_in_sqlite() {
    sqlite_only!();
    let Some(site) = Site::new() else { return };
    let dir = site.data_dir("a");
    let server = Server::start_in(&dir, &[]);
    server.add_account("dana", PASSWORD);
    server.add_account("kim", PASSWORD);
    let [live, ended] = [(); 2].map(|()| server.sign_in("dana", PASSWORD));
    let revoked = server.sign_in("kim", PASSWORD);
    log_out(&server, &ended);
    assert!(server.run(&["revoke", "account", "--name", "kim"], "").status.success());
    let busy = to_postgres(&site);
    assert_eq!(busy.code(), IN_USE, "{}", busy.stderr);
    let sealed = verified(&server);
    server.terminate();

    // The password of the URL isn't taken from the command line.
    let shown = on(&dir, &["migrate", "--to", "postgres://quash:hunter2@127.0.0.1/quash"], "");
    assert_eq!(shown.code(), 2, "{}", shown.stderr);
    assert!(shown.stderr.contains("--to-file") && !shown.stderr.contains("hunter2"), "{}", shown.stderr);
    let moved = to_postgres(&site);
    let told = moved.json();
    assert!(told["audit"].as_u64() >= Some(sealed), "{told}");
    assert!(moved.stderr.contains("copying session: "), "{}", moved.stderr);
    let again = to_postgres(&site);
    assert_eq!(again.code(), CONFLICT, "{}", again.stderr);
    let refused = on(&dir, &["serve", "--listen", "127.0.0.1:0"], "");
    assert_eq!(refused.code(), CONFLICT, "{}", refused.stderr);
    let told = ["was moved to the PostgreSQL database", "storage.url_file"];
    assert!(told.iter().all(|told| refused.stderr.contains(told)), "{}", refused.stderr);

    let (a, b) = (site.start("a"), site.start("b"));
    for node in [&a, &b] {
        assert_eq!((me(node, &live), me(node, &ended), me(node, &revoked)), (200, 401, 401));
        assert_eq!((refresh(node, &ended), refresh(node, &revoked)), (401, 401));
    }
    assert!(verified(&a) >= sealed);
    let later = b.sign_in("kim", PASSWORD);
    let [stays, goes] = [(); 2].map(|()| a.sign_in("dana", PASSWORD));
    log_out(&b, &goes);
    assert_eq!(refresh(&a, &live), 200);
    let sealed = verified(&a);
    a.terminate();
    let busy = to_sqlite(&site);
    assert_eq!(busy.code(), IN_USE, "{}", busy.stderr);
    assert!(busy.stderr.contains(&format!("process {}", b.id())), "{}", busy.stderr);
    assert_eq!(me(&b, &later), 200, "a refusal disturbs no node");
    b.terminate();
    let back = to_sqlite(&site).json();
    assert!(back["kept"].as_str().is_some_and(|kept| Path::new(kept).exists()), "{back}");

    let refused = on(&dir, &["serve", "--listen", "127.0.0.1:0"], "");
    assert_eq!(refused.code(), CONFLICT, "{}", refused.stderr);
    assert!(refused.stderr.contains("was moved to"), "{}", refused.stderr);
    let server = Server::start_in(&without_settings(&site), &[]);
    for dead in [&ended, &revoked, &goes] {
        assert_eq!((me(&server, dead), refresh(&server, dead)), (401, 401));
    }
    for alive in [&live, &later, &stays] {
        assert_eq!(me(&server, alive), 200);
    }
    assert!(verified(&server) >= sealed);
    assert_eq!(refresh(&server, &later), 200);
}

/// Kills a move when it has written this many lines, and returns whether it was killed before it ended.
fn killed_after(lines: usize, dir: &Path, args: &[&str]) -> bool {
    let mut command = quash();
    command.arg("migrate").args(args).arg("--data-dir").arg(dir);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let found = stderr.lines().map_while(Result::ok).take(lines).count();
    let _ = child.kill();
    let status = child.wait().expect("it can be waited for");
    found == lines && status.code().is_none()
}

#[test]
fn a_move_that_was_killed_can_be_repeated() {
    sqlite_only!();
    let Some(site) = Site::new() else { return };
    let dir = site.data_dir("a");
    let server = Server::start_in(&dir, &[]);
    server.add_account("dana", PASSWORD);
    let [live, ended] = [(); 2].map(|()| server.sign_in("dana", PASSWORD));
    log_out(&server, &ended);
    server.terminate();
    let file = url_file(&site);
    let args = ["--to-file", file.to_str().expect("UTF-8")];
    let mut kills = 0;
    while killed_after(kills + 1, &dir, &args) {
        kills += 1;
    }
    assert!(kills > 20, "{kills}");
    let done = to_postgres(&site);
    assert!([0, CONFLICT].contains(&done.code()), "{}", done.stderr);
    let a = site.start("a");
    assert_eq!((me(&a, &live), me(&a, &ended)), (200, 401));
    verified(&a);
    let after = a.sign_in("dana", PASSWORD);
    a.terminate();

    let mut kills = 0;
    while killed_after(kills + 1, &dir, &["--to", "sqlite"]) {
        kills += 1;
    }
    assert!(kills > 20, "{kills}");
    let done = to_sqlite(&site);
    assert!([0, CONFLICT].contains(&done.code()), "{}", done.stderr);
    let server = Server::start_in(&without_settings(&site), &[]);
    assert_eq!((me(&server, &live), me(&server, &ended), me(&server, &after)), (200, 401, 200));
    verified(&server);
}

#[test]
fn what_can_not_be_moved_says_why() {
    sqlite_only!();
    let Some(site) = Site::new() else { return };
    let a = site.start("a");
    a.add_account("dana", PASSWORD);
    a.terminate();
    // Another installation.
    let other = tempfile::tempdir().expect("a temporary directory");
    let dir = other.path().join("data");
    Server::start_in(&dir, &[]).terminate();
    let file = url_file(&site);
    let args = ["migrate", "--to-file", file.to_str().expect("UTF-8")];
    let refused = on(&dir, &args, "");
    assert_eq!(refused.code(), CONFLICT, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("isn't empty") && refused.stderr.contains("empty database"),
        "{}",
        refused.stderr
    );
    drop(Server::start_in(&dir, &[]));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let refused = on(&dir, &args, "");
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("other users can access"), "{}", refused.stderr);
    for args in [["migrate", "--to", "sqlite"], ["migrate", "--to", "postgres"], ["migrate", "--to", "mysql"]]
    {
        assert_eq!(on(&dir, &args, "").code(), 2, "{args:?}");
    }
}
