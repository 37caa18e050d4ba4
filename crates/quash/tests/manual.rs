//! `quash completions`, `quash man` and `quash password-cost`: their output, and that a real shell accepts
//! the script.

use crate::support;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use support::{Finished, quash, run};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// Runs a command with invalid settings, which it must not read.
fn printed(args: &[&str]) -> Finished {
    let mut command = quash();
    command.args(args).env("QUASH_COLOUR", "red");
    run(command, "")
}

#[test]
fn password_cost_proposes_valid_settings() {
    let measured = printed(&["password-cost", "--target", "2s", "--json"]).json();
    assert_eq!(measured["measured"].as_array().map(Vec::len), Some(7));
    // The result depends on the machine, but some parameters fit into two seconds.
    let proposed = &measured["proposed"];
    let mut command = quash();
    for name in ["memory_mib", "passes", "lanes"] {
        command.arg("--set").arg(format!("passwords.argon2_{name}={}", proposed[name]));
    }
    command.args(["config", "check"]);
    let checked = run(command, "");
    assert_eq!(checked.code(), 0, "{}", checked.stderr);
    let refused = printed(&["password-cost", "--target", "3s"]);
    assert_eq!((refused.code(), refused.stdout.as_str()), (2, ""));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in SHELLS {
        let script = printed(&["completions", shell]);
        assert_eq!((script.code(), script.stderr.as_str()), (0, ""), "{shell}");
        for word in ["verify", "max-lifetime"] {
            assert!(script.stdout.contains(word), "the script for {shell} lacks {word}");
        }
        let json = printed(&["completions", shell, "--json"]).json();
        assert_eq!(json["script"].as_str().map(str::trim_end), Some(script.stdout.trim_end()), "{shell}");
    }
    let unknown = printed(&["completions", "cmd"]);
    assert_eq!(unknown.code(), 2);
    assert!(SHELLS.iter().all(|shell| unknown.stderr.contains(shell)), "{}", unknown.stderr);
}

/// A script that prints bash's completions for the last of these words.
const ASK: &str = r#"
source "$1"; shift
[[ $(complete -p quash) == *"-F _quash quash" ]] || exit 9
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_quash quash "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_what_is_typed() {
    if !has_bash() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let script = dir.path().join("quash.bash");
    fs::write(&script, printed(&["completions", "bash"]).stdout).expect("it is ours");
    let mut checked = Command::new("bash");
    checked.arg("-n").arg(&script);
    let checked = run(checked, "");
    assert_eq!((checked.code(), checked.stderr.as_str()), (0, ""));
    for (typed, offered) in [
        ("token ver", "verify"),
        ("key ", "list"),
        ("token verify - --max", "--max-lifetime"),
        ("token verify - --type s", "sliding"),
        ("completions z", "zsh"),
        ("account list --data", "--data-dir"),
    ] {
        assert!(
            offers(&script, typed).lines().any(|offer| offer == offered),
            "{typed}: {}",
            offers(&script, typed)
        );
    }
    assert_eq!(offers(&script, "token ver"), "verify\n", "and nothing else");
}

fn offers(script: &Path, typed: &str) -> String {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", ASK, "bash"]).arg(script).arg("quash").args(typed.split(' '));
    let answer = run(bash, "");
    assert_eq!((answer.code(), answer.stderr.as_str()), (0, ""), "{typed}");
    answer.stdout
}

#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn has_bash() -> bool {
    match Command::new("bash").arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: this test needs bash");
            false
        }
        found => found.expect("bash starts").status.success(),
    }
}

#[test]
fn manual_pages_are_printed_and_world_readable() {
    let main = printed(&["man"]);
    assert_eq!((main.code(), main.stderr.as_str()), (0, ""));
    assert!(
        main.stdout.contains(".TH QUASH 1 ") && main.stdout.contains(r"quash\-token(1)"),
        "{}",
        main.stdout
    );
    let json = printed(&["man", "--json"]).json();
    assert_eq!(json["page"].as_str().map(str::trim_end), Some(main.stdout.trim_end()));

    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().display().to_string();
    let written = printed(&["man", "--out", &path, "--json"]).json();
    let written: Vec<_> = written["written"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect();
    assert!(
        ["quash.1", "quash-serve.1", "quash-token.1", "quash-token-verify.1"]
            .iter()
            .all(|name| written.contains(name)),
        "{written:?}"
    );
    assert!(!written.iter().any(|name| name.contains("help")), "{written:?}");
    assert_eq!(fs::read_dir(dir.path()).expect("it is ours").count(), written.len());
    for name in &written {
        let page = dir.path().join(name);
        assert_eq!(fs::metadata(&page).expect("it is there").permissions().mode() & 0o7777, 0o644, "{name}");
    }
    assert_eq!(
        fs::read_to_string(dir.path().join("quash.1")).expect("it is there").trim_end(),
        main.stdout.trim_end()
    );
    let again = printed(&["man", "--out", &path]);
    assert_eq!(again.stdout, format!("wrote {} pages into {path}\n", written.len()));

    let nowhere = printed(&["man", "--out", &format!("{path}/none")]);
    assert_eq!(nowhere.code(), 4);
    assert!(
        nowhere.stderr.contains("there is no directory") && nowhere.stderr.contains("hint: create it"),
        "{}",
        nowhere.stderr
    );
    let not_ours = printed(&["man", "--out", "/proc"]);
    assert_eq!(not_ours.code(), 1, "{}", not_ours.stderr);
}
