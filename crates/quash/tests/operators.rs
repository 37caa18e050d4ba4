//! Guarantees for operators: the owner of new files, the account that a name selects, and that lost output
//! fails a command.

use crate::support;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Finished, Server, on, quash, run, sqlite_only, store};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";
/// The number of a system user without a name.
const SERVICE: u32 = 61_234;

/// Creates a data directory of the service's user, in a place that it can reach.
fn of_service() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let data_dir = dir.path().join("data");
    fs::create_dir(&data_dir).expect("it is ours");
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).expect("it is ours");
    chown(&data_dir, Some(SERVICE), Some(SERVICE)).expect("root may");
    (dir, data_dir)
}

/// Copies the binary so that every user may run it.
fn for_everybody(dir: &TempDir) -> std::process::Command {
    let binary = dir.path().join("quash");
    fs::copy(env!("CARGO_BIN_EXE_quash"), &binary).expect("it can be copied");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = std::process::Command::new(binary);
    command.env_clear().stdin(Stdio::null()).uid(SERVICE).gid(SERVICE);
    command
}

fn owners(data_dir: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(data_dir).expect("a directory").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().expect("it is there").uid())
        })
        .collect()
}

#[test]
fn root_creates_no_files_for_another_user() {
    sqlite_only!();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give a directory to another user");
        return;
    }
    let (dir, data_dir) = of_service();
    let backup = dir.path().join("backup.db");
    let command = || for_everybody(&dir);
    let server = Server::start_with(command(), &data_dir, &[]);
    // Root may use the server, which creates the files.
    let added = server.run(&["account", "add", "dana", "--password-stdin"], PASSWORD);
    assert_eq!(added.code(), 0, "{}", added.stderr);
    let in_data_dir = data_dir.join("backup.db");
    assert_eq!(server.run(&["backup", in_data_dir.to_str().expect("UTF-8")], "").code(), 0);
    assert_eq!(server.terminate().code(), 0);
    fs::rename(&in_data_dir, &backup).expect("root may");
    let path = backup.to_str().expect("UTF-8");
    for args in [
        &["restore", path][..],
        &["revoke", "everything", "--yes"],
        &["account", "deactivate", "dana"],
        &["account", "add", "eve"],
        &["audit", "export"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let before = owners(&data_dir);
        let refused = on(&data_dir, args, "");
        assert_eq!(refused.code(), 1, "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("sudo -u '#61234' quash"), "{args:?}: {}", refused.stderr);
        assert_eq!(owners(&data_dir), before, "{args:?}");
    }
    // The directory of a volume may belong to root, if the database in it belongs to the service.
    chown(&data_dir, Some(0), Some(0)).expect("root may");
    assert_eq!(on(&data_dir, &["revoke", "everything", "--yes"], "").code(), 1);
    chown(&data_dir, Some(SERVICE), Some(SERVICE)).expect("root may");
    let mut restore = command();
    restore.args(["restore", path, "--data-dir"]).arg(&data_dir);
    let restored = run(restore, "");
    assert_eq!(restored.code(), 0, "{}", restored.stderr);
    assert!(owners(&data_dir).iter().all(|(_, owner)| *owner == SERVICE), "{:?}", owners(&data_dir));
    let server = Server::start_with(command(), &data_dir, &[]);
    server.sign_in("dana", PASSWORD);
}

#[test]
fn group_volumes_require_the_setting() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    assert_eq!(on(&data_dir, &["account", "add", "dana", "--password-stdin"], PASSWORD).code(), 0);
    // The modes that the kubelet sets on a volume with fsGroup, at each mount.
    for entry in fs::read_dir(&data_dir).expect("a directory") {
        fs::set_permissions(entry.expect("an entry").path(), fs::Permissions::from_mode(0o660))
            .expect("it is ours");
    }
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o2770)).expect("it is ours");
    let refused = on(&data_dir, &["serve"], "");
    assert_eq!(
        (refused.code(), refused.stderr.contains("storage.group_access = true")),
        (1, true),
        "{}",
        refused.stderr
    );
    let server = Server::start_in(&data_dir, &["--set", "storage.group_access=true"]);
    server.sign_in("dana", PASSWORD);
}

#[test]
fn members_of_a_group_share_the_files_of_commands() {
    sqlite_only!();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run processes of two users");
        return;
    }
    let (dir, data_dir) = of_service();
    let backup = dir.path().join("backup.db");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o2770)).expect("it is ours");
    let run_as = |user: u32, args: &[&str]| {
        let mut command = for_everybody(&dir);
        command
            .uid(user)
            .env("QUASH_STORAGE_GROUP_ACCESS", "true")
            .arg("--data-dir")
            .arg(&data_dir)
            .args(args);
        let finished = run(command, "");
        assert_eq!(finished.code(), 0, "{user} {args:?}: {}", finished.stderr);
    };
    run_as(SERVICE, &["account", "add", "dana"]);
    let path = backup.to_str().expect("UTF-8");
    for args in [&["revoke", "everything", "--yes"][..], &["backup", path], &["restore", path]] {
        run_as(SERVICE + 1, args);
        for entry in fs::read_dir(&data_dir).expect("a directory") {
            let entry = entry.expect("an entry");
            let (name, found) = (entry.file_name(), entry.metadata().expect("it is there"));
            assert_eq!((found.mode() & 0o777, found.gid()), (0o660, SERVICE), "{name:?} after {args:?}");
        }
        run_as(SERVICE, &["audit", "verify"]);
        let mut command = for_everybody(&dir);
        command.env("QUASH_STORAGE_GROUP_ACCESS", "true");
        assert_eq!(Server::start_with(command, &data_dir, &[]).terminate().code(), 0);
    }
    assert_eq!(fs::metadata(&backup).expect("it is there").mode() & 0o777, 0o600);
}

#[test]
fn kubernetes_service_links_are_ignored_with_one_warning() {
    let mut command = quash();
    command.envs([
        ("QUASH_PORT", "tcp://10.96.0.17:8000"),
        ("QUASH_SERVICE_HOST", "10.96.0.17"),
        ("QUASH_SERVICE_PORT", "8000"),
        ("QUASH_TOKENS_PORT", "tcp://10.96.0.18:8000"),
        ("QUASH_TOKENS_ISSUER", "https://auth.example"),
    ]);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start_with(command, &dir.path().join("data"), &[]);
    assert_eq!(server.get("/livez", None).status, 200);
    let finished = server.terminate();
    assert_eq!(finished.stderr.matches("Kubernetes").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("ignored 4 environment variables"), "{}", finished.stderr);
}

#[test]
fn names_never_select_another_account() {
    let server = Server::start(&["--set", "accounts.numeric_names=true"]);
    let add = |args: &[&str]| server.run(&[&["account", "add", "--password-stdin"], args].concat(), PASSWORD);
    assert_eq!(add(&["victim", "--subject", "17"]).code(), 0);
    assert_eq!(add(&["other", "--subject", "school-4", "--email", "o@example.org", "--verified"]).code(), 0);
    assert_eq!(add(&["mallory"]).code(), 0);
    let pair = server.sign_in("mallory", PASSWORD);
    let uuid = "01A20AF0-6b5c-7a69-b6b4-905ed54a13a4";
    let body = |name: &str| json!({ "username": name, "password": PASSWORD });
    let patch = |name: &str| {
        let authorization = format!("Bearer {}", pair.access);
        let headers = [("Content-Type", "application/json"), ("Authorization", authorization.as_str())];
        support::request(server.address, "PATCH", "/v1/me", &headers, body(name).to_string().as_bytes())
            .expect("an answer")
    };
    for name in [uuid, "{01a20af06b5c7a69b6b4905ed54a13a4}"] {
        assert_eq!(patch(name).status, 400, "{name}");
        assert_eq!(server.run(&["account", "set", "mallory", "--username", name], "").code(), 2, "{name}");
        assert_eq!(add(&[name]).code(), 2, "{name}");
    }
    // Both exist as subjects.
    for name in ["17", "school-4", "School-4"] {
        let answer = patch(name);
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (409, Some("name_taken")),
            "{name}: {}",
            answer.text
        );
        assert_eq!(server.run(&["account", "set", "mallory", "--username", name], "").code(), 5, "{name}");
        assert_eq!(add(&[name]).code(), 5, "{name}");
    }
    assert_eq!(add(&["late", "--subject", "victim"]).code(), 5, "nor may a subject be another's name");
    assert_eq!(server.run(&["account", "show", "17", "--json"], "").json()["name"], "victim");
    assert_eq!(patch("18").status, 200, "with the setting, and as long as there is no such subject");
}

#[test]
fn numeric_names_require_the_setting() {
    sqlite_only!();
    let server = Server::start(&[]);
    let refused = server.run(&["account", "add", "17"], "");
    assert_eq!(
        (refused.code(), refused.stderr.contains("accounts.numeric_names")),
        (2, true),
        "{}",
        refused.stderr
    );
    server.add_account("dana", PASSWORD);
    let refused = server.run(&["account", "set", "dana", "--username", "\u{ff11}\u{ff17}"], "");
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
}

/// Creates an account whose name is another's subject, as from before names were checked.
fn with_two_meanings(data_dir: &Path) -> Finished {
    let set = ["--set", "accounts.numeric_names=true"];
    let add = |args: &[&str]| on(data_dir, &[&["account", "add"], args, &set].concat(), "");
    assert_eq!(add(&["17"]).code(), 0);
    assert_eq!(add(&["victim", "--subject", "x17"]).code(), 0);
    let database = rusqlite::Connection::open(data_dir.join("quash.db")).expect("a database");
    assert_eq!(database.execute("UPDATE account SET subject = '17' WHERE subject = 'x17'", []), Ok(1));
    drop(database);
    on(data_dir, &["account", "list", "--json"], "")
}

#[test]
fn ambiguous_account_arguments_are_refused() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let listed = with_two_meanings(&data_dir).json();
    assert_eq!(listed["accounts"].as_array().map(Vec::len), Some(2));
    let server = Server::start_in(&data_dir, &[]);
    for args in [
        &["account", "show", "17"][..],
        &["account", "set", "17", "--username", "dana"],
        &["account", "deactivate", "17"],
        &["account", "delete", "17", "--yes"],
        &["account", "lock", "17"],
        &["account", "require-reset", "17"],
        &["session", "list", "17"],
        &["revoke", "account", "17"],
        &["audit", "list", "--account", "17"],
    ] {
        let refused = server.run(args, "");
        assert_eq!(refused.code(), 2, "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("--name 17 or --subject 17"), "{args:?}: {}", refused.stderr);
    }
    let show = |flag: &str| server.run(&["account", "show", flag, "17", "--json"], "").json();
    assert_eq!((&show("--name")["name"], &show("--subject")["name"]), (&json!("17"), &json!("victim")));
    assert_eq!(
        server.run(&["account", "deactivate", "--subject", "17", "--json"], "").json()["name"],
        "victim"
    );
    assert_eq!(
        server.run(&["account", "set", "--name", "17", "--username", "dana", "--json"], "").json()["name"],
        "dana"
    );
    assert_eq!(
        server.run(&["account", "show", "17", "--json"], "").json()["name"],
        "victim",
        "now it means one"
    );
    assert_eq!(server.run(&["account", "show", "17", "--name", "17"], "").code(), 2, "one of them");
    assert_eq!(server.run(&["account", "show"], "").code(), 2);
}

#[test]
fn accounts_are_found_by_address() {
    let server = Server::start(&[]);
    let added = server.run(&["account", "add", "dana", "--email", "Dana@example.org", "--verified"], "");
    assert_eq!(added.code(), 0, "{}", added.stderr);
    assert_eq!(
        server.run(&["account", "show", "--email", "dana@example.org", "--json"], "").json()["name"],
        "dana"
    );
    assert_eq!(server.run(&["revoke", "account", "--email", "dana@example.org"], "").code(), 0);
    assert_eq!(server.run(&["audit", "list", "--email", "dana@example.org"], "").code(), 0);
    assert_eq!(server.run(&["account", "show", "--email", "nobody@example.org"], "").code(), 4);
    assert_eq!(
        server.run(&["account", "show", "dana@example.org"], "").code(),
        4,
        "an address alone is no name"
    );
}

/// Runs a command whose output goes to a full disk.
fn into_full(server: &Server, args: &[&str], stdin: &str) -> Finished {
    let mut command = server.command(args);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    command.stdout(File::options().write(true).open("/dev/full").expect("a full device"));
    let mut child = command.spawn().expect("the binary starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("it is piped"), stdin.as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    Finished {
        status: output.status,
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn lost_output_fails_every_command() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let pair = server.sign_in("dana", PASSWORD);
    let backup = server.data_dir.join("backup.db");
    for (args, stdin, hint) in [
        (&["account", "add", "eve"][..], "", ""),
        (&["account", "list"], "", ""),
        (&["account", "show", "dana"], "", ""),
        (&["account", "set", "dana", "--email", "d@example.org"], "", ""),
        (&["account", "one-time-password", "dana"], "", "run the command again"),
        (&["session", "list", "dana"], "", ""),
        (&["audit", "list"], "", ""),
        (&["audit", "tail"], "", ""),
        (&["audit", "tail", "--follow"], "", ""),
        (&["audit", "export"], "", ""),
        (&["audit", "verify"], "", ""),
        (&["backup", backup.to_str().expect("UTF-8")], "", ""),
        (&["policy", "show"], "", ""),
        (&["key", "list"], "", ""),
        (
            &["client", "add", "shop", "--right", "introspect"],
            "",
            "`quash client remove shop` and `quash client add shop`",
        ),
        (&["client", "list"], "", ""),
        (&["verifier", "add", "node"], "", "`quash verifier remove node` and `quash verifier add node`"),
        (&["token", "inspect", "-"], &pair.access, ""),
        (&["config", "show"], "", ""),
        (&["config", "init"], "", ""),
        (&["config", "schema"], "", ""),
        (&["completions", "bash"], "", ""),
        (&["man"], "", ""),
        (&["--help"], "", ""),
        (&["account", "--help"], "", ""),
        (&["--version"], "", ""),
    ] {
        if args.contains(&"backup") && store::is_postgres() {
            continue;
        }
        for json in [&[][..], &["--json"]] {
            if !json.is_empty()
                && (!hint.is_empty()
                    || ["add", "backup"].iter().any(|word| args.contains(word))
                    || args.len() < 2)
            {
                continue;
            }
            let failed = into_full(&server, &[args, json].concat(), stdin);
            assert_eq!(failed.code(), 1, "{args:?}: {}", failed.stderr);
            assert!(
                failed.stderr.contains("standard output can't be written"),
                "{args:?}: {}",
                failed.stderr
            );
            assert!(failed.stderr.contains(hint), "{args:?}: {}", failed.stderr);
        }
    }
}

#[test]
fn closed_pipes_are_not_errors() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    for args in [&["audit", "tail", "--follow"][..], &["audit", "export"], &["policy", "show"], &["--help"]] {
        let mut child = server
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{args:?}"
        );
    }
}

#[test]
fn audit_export_works_without_a_server() {
    sqlite_only!();
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let data_dir = server.data_dir.clone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let copy = dir.path().join("data");
    let mut server = Some(server);
    let run = |server: &mut Option<Server>, args: &[&str]| match server {
        Some(server) => server.run(args, ""),
        None => on(&copy, args, ""),
    };
    let with = run(&mut server, &["audit", "export"]);
    // The server's own directory is removed with it.
    fs::create_dir(&copy).expect("it is ours");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let backup = copy.join("quash.db");
    assert_eq!(run(&mut server, &["backup", backup.to_str().expect("UTF-8")]).code(), 0);
    fs::copy(data_dir.join("master.key"), copy.join("master.key")).expect("it is ours");
    drop(server.take());
    let tail = run(&mut server, &["audit", "tail", "--entries", "1", "--json"]);
    assert_eq!(tail.json()["event"], "account_added", "{}", tail.stderr);
    let without = run(&mut server, &["audit", "export"]);
    assert_eq!((without.code(), without.stderr.as_str()), (0, ""), "{}", without.stderr);
    let last = |finished: &Finished| {
        serde_json::from_str::<Value>(finished.stdout.lines().last().unwrap_or_default()).expect("JSON")
    };
    assert!(last(&without)["seal"].is_object() && last(&with)["seal"].is_object(), "{}", without.stdout);
    let follow = run(&mut server, &["audit", "tail", "--follow"]);
    assert_eq!(
        (follow.code(), follow.stdout.lines().count()),
        (75, without.stdout.lines().count() - 1),
        "{}",
        follow.stderr
    );
    // It also prompts twice.
    let waited = run(&mut server, &["revoke", "everything", "--yes", "--wait"]);
    assert_eq!(waited.code(), 0, "{}", waited.stderr);
}

#[test]
fn a_name_like_help_fails_a_script() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let lost = on(&data_dir, &["account", "add", "--help", "--subject", "17", "--password-hash-stdin"], "");
    assert_eq!((lost.code(), lost.stderr.contains("nothing was done")), (2, true), "{}", lost.stderr);
    let mut help = quash();
    help.args(["account", "add", "--help"]);
    assert_eq!(run(help, "").code(), 0);
    let mut add = quash();
    add.arg("--data-dir").arg(&data_dir).args([
        "account",
        "add",
        "--subject",
        "17",
        "--json",
        "--",
        "--help",
    ]);
    store::choose(&mut add, &data_dir, &[]);
    assert_eq!(run(add, "").json()["name"], "--help");
}

#[test]
fn batch_import_reports_each_skipped_account() {
    let server = Server::start(&[]);
    let hash = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";
    let lines = [
        json!({ "name": "dana", "subject": "1", "email": "d@example.org", "verified": true, "password_hash": hash, "claims": { "role": "x" } }),
        json!({ "name": "-rf", "subject": "2", "password_hash": "" }),
        json!({ "name": "gone", "subject": "3", "password_hash": "!unusable", "deactivated": true }),
        json!({ "name": "DANA", "subject": "4" }),
        json!({ "name": "kim", "subject": "5", "email": "D@example.org" }),
        json!({ "name": "17", "subject": "6" }),
        json!({ "name": "old", "subject": "7", "password_hash": "md5$salt$0cc175b9c0f1b6a831c399e269772661" }),
        json!({ "name": "odd", "subject": "8", "claims": { "sid": "x" } }),
        json!({ "name": "root", "subject": "9", "email": "root@localhost", "verified": true }),
    ];
    let many = (100..400)
        .map(|n| json!({ "name": format!("user{n}"), "subject": n.to_string(), "password_hash": hash }));
    let text: String = lines.into_iter().chain(many).map(|line| format!("{line}\n")).collect();
    let done = server.run(&["account", "add", "--batch-stdin", "--json"], &format!("{text}\n{{}}\n"));
    let outcome: Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(
        (done.code(), &outcome["added"], &outcome["present"]),
        (1, &json!(304), &json!(0)),
        "{}",
        done.stderr
    );
    let skipped: Vec<_> = outcome["skipped"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|skipped| skipped["line"].as_u64())
        .collect();
    assert_eq!(skipped, [4, 5, 6, 7, 8, 311].map(Some));
    let reason = "no mail can be sent to the e-mail address";
    assert_eq!(outcome["warnings"], json!([{ "line": 9, "name": "root", "reason": reason }]));
    assert!(done.stderr.contains(&format!("line 9 (root): {reason}")), "{}", done.stderr);
    assert!(
        done.stderr.contains("skipped line 7 (old): the password hash") && !done.stderr.contains("0cc175"),
        "{}",
        done.stderr
    );
    server.sign_in("user399", PASSWORD);
    let show = |name: &str| server.run(&["account", "show", "--name", name, "--json"], "").json();
    assert_eq!((&show("dana")["claims"]["role"], &show("dana")["state"]), (&json!("x"), &json!("active")));
    assert_eq!(
        (&show("-rf")["password_usable"], &show("gone")["state"]),
        (&json!(false), &json!("deactivated"))
    );
    let again = server.run(&["account", "add", "--batch-stdin"], &text);
    assert_eq!(again.stdout, "0 accounts added, 304 existed already, 5 skipped\n");
    let long = server.run(&["account", "add", "--batch-stdin"], &"x".repeat(16 * 1024 + 1));
    assert_eq!((long.code(), long.stderr.contains("longer than 16384")), (2, true), "{}", long.stderr);
    assert_eq!(server.run(&["account", "add"], "").code(), 2);
}

#[test]
fn messages_name_the_account_and_session_count() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let three_times = || (0..3).for_each(|_| drop(server.sign_in("dana", PASSWORD)));
    three_times();
    let said = server.run(&["revoke", "account", "dana"], "").stdout;
    assert!(
        said.starts_with("account dana (") && said.contains("): 3 sessions ended, effective since "),
        "{said}"
    );
    assert!(!said.contains("seq"), "{said}");
    three_times();
    let said = server.run(&["account", "deactivate", "dana"], "").stdout;
    assert!(said.contains("3 sessions ended, effective since ") && !said.contains("seq"), "{said}");
    let again = server.run(&["revoke", "account", "dana", "--verbose"], "").stdout;
    assert!(again.contains("no live session") && again.contains(", seq "), "{again}");
    let table = server.run(&["audit", "list"], "").stdout;
    assert!(
        table.lines().next().is_some_and(|head| head.contains("ACCOUNT") && head.contains("SUBJECT")),
        "{table}"
    );
    assert!(table.lines().skip(1).any(|line| line.contains("signed_in") && line.contains("dana")), "{table}");
    let tail = server.run(&["audit", "tail", "--entries", "1"], "").stdout;
    assert!(tail.contains("  dana ("), "{tail}");
}
