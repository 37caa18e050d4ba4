//! The command line: exit codes, output and files of the built binary.

use crate::support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::{Server, on, quash, run, sqlite_only};

const PASSWORD: &str = "a password of dana's";
/// The hash of "correct horse battery staple" by Django 5.2.19 at a low cost.
const DJANGO_HASH: &str =
    "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn accounts_can_be_added_and_listed_offline() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let added = on(
        &data_dir,
        &[
            "account",
            "add",
            "Dana",
            "--email",
            "d@example.org",
            "--verified",
            "--subject",
            "7",
            "--password-stdin",
            "--json",
        ],
        PASSWORD,
    );
    assert!(added.stderr.contains("made the master key"), "{}", added.stderr);
    let added = added.json();
    assert_eq!(
        (&added["name"], &added["subject"], &added["state"]),
        (&json!("Dana"), &json!("7"), &json!("active"))
    );
    assert_eq!((&added["password_usable"], &added["email"]), (&json!(true), &json!("d@example.org")));
    let unverified =
        on(&data_dir, &["account", "add", "eve", "--email", "e@example.org", "--json"], "").json();
    assert_eq!((&unverified["state"], &unverified["password_usable"]), (&json!("unverified"), &json!(false)));
    let page = on(&data_dir, &["account", "list", "--limit", "1", "--json"], "").json();
    assert_eq!((page["accounts"].as_array().map(Vec::len), &page["next"]), (Some(1), &json!("Dana")));
    let page = on(&data_dir, &["account", "list", "--after", "DANA", "--json"], "").json();
    assert_eq!((&page["accounts"][0]["name"], &page["next"]), (&json!("eve"), &json!(null)));
    for name in ["DANA", "7"] {
        assert_eq!(on(&data_dir, &["account", "show", name, "--json"], "").json(), added, "{name}");
    }
    let table = on(&data_dir, &["account", "list"], "");
    assert!(
        table.stdout.starts_with("NAME  SUBJECT") && table.stdout.contains("unverified"),
        "{}",
        table.stdout
    );
    assert_eq!(on(&data_dir, &["account", "add", "dana"], "").code(), 5, "the name is taken");
    assert_eq!(on(&data_dir, &["account", "show", "nobody"], "").code(), 4);
    assert_eq!(on(&data_dir, &["session", "list", "nobody"], "").code(), 4);
    assert!(support::store::is_postgres() || data_dir.join("quash.db").exists());
}

#[test]
fn invalid_accounts_are_usage_errors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    for (args, stdin, message) in [
        (&["account", "add", " "][..], "", "the name is empty"),
        (&["account", "add", "a\u{200b}b"], "", "invisible"),
        (&["account", "add", "dana", "--email", "nowhere"], "", "is not an e-mail address"),
        (&["account", "add", "dana", "--subject", ""], "", "the subject is empty"),
        (&["account", "add", "dana", "--verified"], "", "--email"),
        (&["account", "add", "dana", "--password-stdin"], "", "no password on standard input"),
        (&["account", "add", "dana", "--password-stdin"], "\nsecond line", "no password on standard input"),
        (&["account", "add", "dana", "--password-stdin"], "1234567\n", "fewer than 8"),
        (&["account", "add", "dana", "--password-stdin"], "baseball\n", "easy to guess"),
        (&["account", "add", "dana", "--password-stdin"], "dana-2026\n", "own name"),
        (&["account", "add", "dana", "--password-stdin"], &"x".repeat(1025), "more than 1024"),
        (&["account", "add", "dana", "--password-hash-stdin"], "\n", "no password hash on standard input"),
        (
            &["account", "add", "dana", "--password-hash-stdin"],
            PASSWORD,
            "the password hash is of no known format; known formats are pbkdf2",
        ),
        (
            &["account", "add", "dana", "--password-hash-stdin"],
            "pbkdf2_sha256$10000001$salt$x",
            "more than 10000000 iterations",
        ),
        (
            &["account", "add", "dana", "--password-hash-stdin"],
            &DJANGO_HASH[..80],
            "is not a valid pbkdf2_sha256 hash",
        ),
        (&["account", "add", "dana", "--password-hash-stdin"], &"x".repeat(5000), "is longer than 512 bytes"),
        (
            &["account", "add", "dana", "--password-hash-stdin", "--password-stdin"],
            DJANGO_HASH,
            "cannot be used with",
        ),
        (&["account", "list", "--limit", "201"], "", "--limit"),
    ] {
        let finished = on(&data_dir, args, stdin);
        assert_eq!(finished.code(), 2, "{args:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(message), "{args:?}: {}", finished.stderr);
        assert!(
            !finished.stderr.contains(PASSWORD) && !finished.stderr.contains("uqZlmSo"),
            "{args:?}: {}",
            finished.stderr
        );
    }
    assert_eq!(on(&data_dir, &["account", "list", "--json"], "").json()["accounts"], json!([]));
}

#[test]
fn accounts_can_be_added_with_django_hashes() {
    let server = Server::start(&[]);
    for (name, line) in [
        ("unix", format!("{DJANGO_HASH}\nnot this")),
        ("windows", format!("{DJANGO_HASH}\r\n")),
        ("bare", DJANGO_HASH.into()),
    ] {
        let added = server.run(&["account", "add", name, "--password-hash-stdin", "--json"], &line);
        assert_eq!(added.json()["password_usable"], json!(true), "{name}");
        // The second sign-in uses quash's own hash.
        for _ in 0..2 {
            server.sign_in(name, "correct horse battery staple");
        }
    }
    let unusable = server.run(
        &["account", "add", "invited", "--password-hash-stdin", "--json"],
        "!lQYRNI4t2L3HkKuLrMGnna9lyDYzvVuVfWc3Pm22",
    );
    assert_eq!(unusable.json()["password_usable"], json!(false));
}

#[test]
fn passwords_are_read_unchanged() {
    let server = Server::start(&[]);
    for (name, line, password) in [
        ("unix", "  blanks stay  \nnot this", "  blanks stay  "),
        ("windows", "a line end of two\r\n", "a line end of two"),
        ("bare", "no line end\r", "no line end\r"),
        ("longest", &"ü".repeat(1024), &"ü".repeat(1024)),
    ] {
        server.add_account(name, line);
        server.sign_in(name, password);
    }
    let zeros = server
        .run(&["account", "add", "zeros", "--password-stdin", "--json"], "zeros \u{0} in \u{0} between");
    assert_eq!(zeros.json()["password_usable"], json!(true));
}

#[test]
fn read_commands_create_no_files() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let empty = if support::store::is_postgres() { "no server was ever started" } else { "no quash in" };
    for (data_dir, message) in
        [(dir.path().join("none"), "no data directory"), (dir.path().to_owned(), empty)]
    {
        for args in [
            &["account", "list"][..],
            &["session", "end", "0192f0c1a2b3743394d5e6f708192a3b"],
            &["revoke", "everything", "--yes"],
        ] {
            let finished = on(&data_dir, args, "");
            assert_eq!(finished.code(), 4, "{args:?}: {}", finished.stderr);
            assert!(finished.stderr.contains(message), "{}", finished.stderr);
        }
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it is ours").count(), 0);
}

#[test]
fn commands_reach_the_running_server() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let pair = server.sign_in("dana", PASSWORD);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200);
    let sessions = server.run(&["session", "list", "dana", "--json"], "").json();
    let sid = sessions["sessions"][0]["sid"].as_str().expect("one session").to_owned();
    assert_eq!(sessions["sessions"][0]["state"], "live");
    let live = server.run(&["token", "inspect", "-", "--json"], &pair.access).json();
    assert_eq!(
        (&live["signature_good"], &live["standing"], &live["claims"]["sid"]),
        (&json!(true), &json!("live"), &json!(sid))
    );

    let ended = server.run(&["session", "end", &sid, "--json"], "").json();
    assert_eq!(
        (&ended["scope"], &ended["target"], ended["seq"].is_u64()),
        (&json!("session"), &json!(sid), true)
    );
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 401, "at the very next request");
    for token in [&pair.access, &pair.refresh] {
        let dead = server.run(&["token", "inspect", "-", "--json"], token).json();
        let revoked = &dead["revoked"];
        assert_eq!(
            (&dead["standing"], &revoked["scope"], &revoked["reason"]),
            (&json!("revoked"), &json!("session"), &json!("ended"))
        );
        assert_eq!((&revoked["by"], &revoked["seq"]), (&json!("operator"), &ended["seq"]));
        assert!(revoked["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{revoked}");
    }
    let again = server.run(&["revoke", "session", &sid, "--json"], "");
    assert_eq!(again.code(), 5);
    assert!(again.stderr.contains("\"exit_code\":5"), "{}", again.stderr);
    assert_eq!(server.run(&["session", "end", "0192f0c1a2b3743394d5e6f708192a3b"], "").code(), 4);
    assert_eq!(server.run(&["session", "end", "no-id"], "").code(), 2);
}

#[test]
fn revoking_an_account_and_everything() {
    let server = Server::start(&[]);
    for name in ["dana", "eve"] {
        server.add_account(name, PASSWORD);
    }
    let (dana, eve) = (server.sign_in("dana", PASSWORD), server.sign_in("eve", PASSWORD));
    let first = server.run(&["revoke", "account", "dana", "--json"], "").json();
    assert_eq!(server.get("/v1/me", Some(&dana.access)).status, 401);
    assert_eq!(server.get("/v1/me", Some(&eve.access)).status, 200, "only hers");
    let refused = server.run(&["revoke", "everything"], "");
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(server.get("/v1/me", Some(&eve.access)).status, 200, "nothing happened");
    let second = server.run(&["revoke", "everything", "--yes", "--json"], "").json();
    assert!(second["seq"].as_u64() > first["seq"].as_u64());
    assert_eq!(server.get("/v1/me", Some(&eve.access)).status, 401);
    assert_eq!(server.post_json("/api/token/refresh/", &json!({ "refresh": eve.refresh }), None).status, 401);
    let eve = server.sign_in("eve", PASSWORD);
    assert_eq!(server.get("/v1/me", Some(&eve.access)).status, 200, "who signs in again is in");
}

#[test]
fn offline_revocations_hold_for_the_next_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["account", "add", "dana", "--password-stdin"], PASSWORD).code(), 0);
    let server = Server::start_in(&data_dir, &[]);
    let pair = server.sign_in("dana", PASSWORD);
    assert_eq!(server.terminate().code(), 0);
    assert_eq!(on(&data_dir, &["revoke", "account", "dana"], "").code(), 0);
    let server = Server::start_in(&data_dir, &[]);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 401);
}

#[test]
fn a_token_on_the_command_line_is_refused() {
    let server = Server::start(&[]);
    let refused = server.run(&["token", "inspect", "eyJ.a.token"], "");
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr.contains("history") && !refused.stderr.contains("eyJ"), "{}", refused.stderr);
    assert_eq!(server.run(&["token", "inspect", "-"], "\n").code(), 2, "no token at all");
    for token in ["x", "a.b.c", &"x".repeat(20_000)] {
        let seen = server.run(&["token", "inspect", "-", "--json"], token).json();
        assert_eq!((&seen["signature_good"], &seen["standing"]), (&json!(false), &json!("refused")));
    }
}

#[test]
fn files_are_for_their_owner_only() {
    sqlite_only!();
    let server = Server::start(&[]);
    assert_eq!(mode(&server.data_dir), 0o700);
    for entry in fs::read_dir(&server.data_dir).expect("it is ours") {
        let path = entry.expect("it is readable").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    for name in ["master.key", "quash.db", "control.sock"] {
        assert!(server.data_dir.join(name).exists(), "{name}");
    }
}

#[test]
fn missing_or_readable_master_keys_stop_the_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["account", "add", "dana"], "").code(), 0);
    let key = data_dir.join("master.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let refused = on(&data_dir, &["serve"], "");
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    fs::remove_file(&key).expect("it is ours");
    let refused = on(&data_dir, &["serve"], "");
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("is missing") && !key.exists(), "{}", refused.stderr);
    fs::write(&key, "0".repeat(64)).expect("it is ours");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let kept = ["audit.seal", "epoch"].map(|name| fs::read(data_dir.join(name)).expect("it is there"));
    let refused = on(&data_dir, &["serve"], "");
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("another master key"), "{}", refused.stderr);
    // With another key, the seal of the audit would look forged.
    assert!(!refused.stderr.contains("audit"), "{}", refused.stderr);
    assert_eq!(["audit.seal", "epoch"].map(|name| fs::read(data_dir.join(name)).expect("it is there")), kept);
}

#[test]
fn the_demo_succeeds_and_cleans_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = quash();
    command.arg("demo").env("TMPDIR", dir.path());
    let demo = run(command, "");
    assert_eq!(demo.code(), 0, "{}{}", demo.stdout, demo.stderr);
    assert!(demo.stdout.contains("GET /v1/me -> 401") && demo.stdout.contains(" ms"), "{}", demo.stdout);
    assert_eq!(fs::read_dir(dir.path()).expect("it is ours").count(), 0);
    let mut command = quash();
    command.args(["demo", "--json"]).env("TMPDIR", dir.path());
    assert!(run(command, "").json()["delay_ms"].is_f64());
}

#[test]
fn an_interrupted_demo_cleans_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut interrupted = 0;
    // On a busy machine, a demo may succeed before it gets the signal.
    for signal in [Signal::INT, Signal::TERM].into_iter().cycle().take(20) {
        let mut command = quash();
        command.arg("demo").env("TMPDIR", dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut demo = command.spawn().expect("it starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(demo.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("it prints the address");
        kill_process(Pid::from_child(&demo), signal).expect("it runs");
        let ended = demo.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(fs::read_dir(dir.path()).expect("it is ours").count(), 0, "{stderr}");
        if ended.status.code() != Some(0) {
            assert_eq!(ended.status.code(), Some(1), "{signal:?}: {stderr}");
            assert!(stderr.starts_with("error: interrupted by SIG"), "{stderr}");
            interrupted += 1;
        }
        if interrupted == 4 {
            return;
        }
    }
    panic!("only {interrupted} demos were interrupted");
}

#[test]
fn help_lists_the_exit_codes() {
    let mut command = quash();
    command.arg("--help");
    let help = run(command, "");
    assert_eq!(help.code(), 0);
    assert!(
        help.stdout.contains("   7  success, but not every verifier has confirmed it"),
        "{}",
        help.stdout
    );
    assert!(
        help.stdout.contains("Exit codes:") && help.stdout.contains("75  temporarily unavailable"),
        "{}",
        help.stdout
    );
    let mut command = quash();
    command.arg("srve");
    assert_eq!(run(command, "").code(), 2);
}
