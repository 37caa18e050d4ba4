//! `quash config`: its output and exit codes, and that it creates no files.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;
use support::{on, quash, run};
use tempfile::TempDir;

/// Creates a data directory with this settings file.
fn dir(file: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("quash.toml"), file).expect("it is ours");
    dir
}

fn config(dir: &TempDir, args: &[&str]) -> Command {
    let mut command = quash();
    command.arg("config").args(args).arg("--data-dir").arg(dir.path());
    command
}

#[test]
fn check_prints_ok_and_the_file() {
    let full = dir("[rotation]\ngrace = \"1m\"\n");
    let path = full.path().join("quash.toml").display().to_string();
    let checked = run(config(&full, &["check"]), "");
    assert_eq!((checked.code(), checked.stdout), (0, format!("ok: the settings file is {path}\n")));
    assert_eq!(run(config(&full, &["check", "--json"]), "").json(), json!({ "ok": true, "file": path }));
    let empty = tempfile::tempdir().expect("a temporary directory");
    let data_dir = empty.path().join("none");
    let checked = on(&data_dir, &["config", "check"], "");
    assert_eq!((checked.code(), checked.stdout.as_str()), (0, "ok: there is no settings file\n"));
    assert_eq!(on(&data_dir, &["config", "check", "--json"], "").json(), json!({ "ok": true, "file": null }));
    assert!(!data_dir.exists(), "looking makes nothing");
}

#[test]
fn settings_of_the_examples_are_valid() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/nodes/quash.toml");
    let text = fs::read_to_string(example).expect("an example");
    let checked = run(config(&dir(&text), &["check"]), "");
    assert_eq!(checked.code(), 0, "{}", checked.stderr);
}

#[test]
fn check_prints_one_fault_a_line() {
    let dir = dir("[rotation]\ngrace = \"6m\"\n[log]\nlevel = \"loud\"\n");
    let mut command = config(&dir, &["check", "--set", "colour=red"]);
    command.env("QUASH_LOG_FORMT", "json");
    let checked = run(command, "");
    let lines: Vec<&str> = checked.stderr.lines().collect();
    assert_eq!(
        (checked.code(), lines.len(), lines[0]),
        (2, 5, "error: the settings have 4 faults"),
        "{}",
        checked.stderr
    );
    assert!(
        lines[1].contains("quash.toml:2: rotation.grace = \"6m\" is longer than 5m; write one whole number"),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains("quash.toml:4: log.level = \"loud\""), "{}", lines[2]);
    assert!(
        lines[3].starts_with(" environment variable QUASH_LOG_FORMT: ")
            && lines[3].ends_with("did you mean QUASH_LOG_FORMAT?"),
        "{}",
        lines[3]
    );
    assert!(lines[4].starts_with(" flag --set: colour isn't a setting"), "{}", lines[4]);
    let one = run(config(&dir, &["check", "--json", "--set", "log.level=info"]), "");
    let told: serde_json::Value = serde_json::from_str(&one.stderr).expect("JSON");
    let error = &told["error"];
    assert_eq!((one.code(), &error["kind"], &error["exit_code"]), (2, &json!("usage"), &json!(2)));
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| message.contains("rotation.grace") && message.contains("quash.toml:2)")),
        "{told}"
    );
    assert_eq!(error["findings"].as_array().map(Vec::len), Some(1));
    assert_eq!(error["findings"][0]["hint"], error["hint"]);
}

#[test]
fn show_prints_the_settings_in_force() {
    let dir = dir("[tokens]\nissuer = \"https://auth.example\"\n");
    let path = dir.path().join("quash.toml").display().to_string();
    let plain = run(config(&dir, &["show"]), "");
    assert!(
        plain.stdout.starts_with("[tokens]\nalgorithm = \"EdDSA\"\n") && !plain.stdout.contains("# default"),
        "{}",
        plain.stdout
    );
    let shown = run(config(&dir, &["show", "--origin", "--set", "tokens.leeway=1s"]), "");
    for line in [
        format!("issuer = \"https://auth.example\"  # file {path}:2"),
        "leeway = \"1s\"  # flag --set".into(),
        "compat = \"standard\"  # default".into(),
    ] {
        assert!(shown.stdout.lines().any(|found| found == line), "{line} isn't in {}", shown.stdout);
    }
    let json = run(config(&dir, &["show", "--json"]), "").json();
    assert_eq!(
        json["tokens"]["issuer"],
        json!({ "value": "https://auth.example", "origin": format!("file {path}:2") })
    );
    assert_eq!(run(config(&dir, &["show", "--set", "tokens.leeway=6m"]), "").code(), 2);
}

#[test]
fn wrong_urls_of_databases_are_refused_by_check_as_by_serve() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let file = dir.path().join("url");
    for (url, fault) in [
        ("mysql://db/quash", "doesn't begin with postgres://"),
        ("postgres://quash@:5432/quash", "names an empty host"),
        ("postgres://db:0/quash", "names the port 0"),
        ("postgres://db/quash?sslcert=a.pem", "has a parameter that quash doesn't know"),
        (
            "postgres://db/quash?sslrootcert=/nowhere/ca.pem",
            "sslrootcert=/nowhere/ca.pem, which can't be read",
        ),
    ] {
        fs::write(&file, url).expect("it is ours");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let set = format!("storage.url_file={}", file.display());
        let refused = [&["config", "check"][..], &["serve"]].map(|command| {
            let refused = on(&data_dir, &[command, &["--set", &set]].concat(), "");
            assert_eq!(refused.code(), 2, "{url}: {}", refused.stderr);
            refused.stderr
        });
        assert!(refused[0].contains(fault) && refused[0].contains("hint: "), "{url}: {}", refused[0]);
        assert_eq!(refused[0], refused[1]);
    }
    assert!(!data_dir.exists());
}

#[test]
fn check_refuses_what_serve_refuses() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let settings = dir.path().join("quash.toml");
    fs::write(&settings, "[http]\ntls_cert = \"none.pem\"\ntls_key = \"none.pem\"\n").expect("it is ours");
    for command in [&["config", "check"][..], &["serve"]] {
        let refused = on(dir.path(), command, "");
        assert_eq!(
            (refused.code(), refused.stderr.contains("none.pem")),
            (2, true),
            "{command:?}: {}",
            refused.stderr
        );
    }
    let both = on(dir.path(), &["config", "check", "--set", "log.level=loud"], "");
    assert!(
        both.stderr.contains("2 faults") && both.stderr.contains("quash.toml:3: http.tls_key"),
        "{}",
        both.stderr
    );
    fs::write(&settings, "").expect("it is ours");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("it is ours");
    let long = dir.path().join("x".repeat(120));
    for (path, reason) in [
        (&dir.path().join("none/quash.sock"), "is in a directory that can't be used"),
        (&file, "isn't a socket"),
        (&file.join("quash.sock"), "is below something that isn't a directory"),
        (&long, "is too long for a socket"),
    ] {
        let listen = format!("http.listen=unix:{}", path.display());
        let refused = on(dir.path(), &["config", "check", "--set", &listen], "");
        assert_eq!((refused.code(), refused.stderr.contains(reason)), (2, true), "{}", refused.stderr);
        assert_ne!(on(dir.path(), &["serve", "--set", &listen], "").code(), 0);
    }
    let listen = format!("http.listen=unix:{}", dir.path().join("quash.sock").display());
    assert_eq!(on(dir.path(), &["config", "check", "--set", &listen], "").code(), 0);
    // An unreadable file is an error, not a missing file. Even root can't read a link to itself.
    fs::remove_file(&settings).expect("it is ours");
    std::os::unix::fs::symlink("quash.toml", &settings).expect("it is ours");
    let refused = on(dir.path(), &["config", "check"], "");
    assert_eq!((refused.code(), refused.stderr.contains("can't be read")), (2, true), "{}", refused.stderr);
    fs::remove_file(&settings).expect("it is ours");
    assert_eq!(on(dir.path(), &["config", "check"], "").stdout, "ok: there is no settings file\n");
}

#[test]
fn init_and_schema_ignore_the_settings() {
    let dir = dir("this is no TOML");
    for args in [&["init"][..], &["init", "--minimal"], &["schema"]] {
        let mut command = config(&dir, args);
        command.env("QUASH_COLOUR", "red");
        let printed = run(command, "");
        assert_eq!((printed.code(), printed.stderr.as_str()), (0, ""), "{args:?}");
        assert!(printed.stdout.len() > 500, "{}", printed.stdout);
        assert!(run(config(&dir, &[args, &["--json"]].concat()), "").json().is_object());
    }
    assert_eq!(fs::read_to_string(dir.path().join("quash.toml")).expect("it is ours"), "this is no TOML");
    assert_eq!(fs::read_dir(dir.path()).expect("it is ours").count(), 1);
    let minimal = run(config(&dir, &["init", "--minimal"]), "").stdout;
    fs::write(dir.path().join("quash.toml"), minimal).expect("it is ours");
    assert_eq!(run(config(&dir, &["check"]), "").code(), 0);
}
