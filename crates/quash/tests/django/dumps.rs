//! `quash import django`: which fields of JSON lines are read, the lines' length, and the file of the report.

use serde_json::{Value, json};

use crate::importing::{database, import, summary};
use crate::quash_dir::QuashDir;

/// The longest line, in bytes.
const LINE_BYTES: usize = 256 * 1024;

/// A line of a dump with a user.
fn line(pk: u32, fields: &Value) -> String {
    json!({ "model": "auth.user", "pk": pk, "fields": fields }).to_string()
}

/// A user whose name is an address.
fn user(pk: u32, email: &str, is_active: bool) -> String {
    line(pk, &json!({ "email": email, "password": "!", "is_active": is_active, "is_staff": is_active }))
}

#[test]
fn a_field_can_be_used_twice() {
    let dir = QuashDir::new();
    let lines = [user(1, "dana@example.org", true), user(2, "kim@example.org", false)];
    dir.write("dump.jsonl", &lines.join("\n"));
    let quash = dir.quash("");
    let source = dir.path().join("dump.jsonl");
    let options = [
        source.to_str().expect("UTF-8"),
        "--column=username=email",
        "--subject-column=email",
        "--email-verified=column:is_active",
        "--claim=active=column:is_active",
    ];
    let done = import(&quash, &options);
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    for (name, is_active) in [("dana@example.org", true), ("kim@example.org", false)] {
        let account = quash.run(&["account", "show", name, "--json"], "").json();
        assert_eq!((&account["email"], &account["subject"]), (&json!(name), &json!(name)));
        assert_eq!(account["claims"], json!({ "active": is_active }));
        assert_eq!(account["state"], if is_active { "active" } else { "deactivated" });
        assert_eq!(account["email_verified_at"].is_string(), is_active, "{account}");
    }
}

#[test]
fn fields_that_no_user_has_are_named() {
    let dir = QuashDir::new();
    dir.write(
        "dump.jsonl",
        &[
            line(1, &json!({ "username": "dana", "password": "!", "is_active": null })),
            user(2, "a@b.org", true),
        ]
        .join("\n"),
    );
    dir.write("plain.jsonl", &line(1, &json!({ "username": "dana", "password": "!" })));
    let quash = dir.quash("");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    for option in [
        "--column=active=enabld",
        "--column=username=x",
        "--column=password=x",
        "--column=email=x",
        "--column=last_login=last_login",
        "--subject-column=uuid",
        "--email-verified=column:x",
        "--claim=tenant=column:org",
    ] {
        let done = import(&quash, &[&path("dump.jsonl"), option]);
        assert_eq!(done.code(), 2, "{option}: {}", done.stderr);
        let says = "no auth.user has a field ";
        assert!(done.stderr.contains(says) && done.stderr.contains("is_active"), "{option}: {}", done.stderr);
    }
    // The defaults may be missing, which the summary says; a user without a value is skipped.
    let done = import(&quash, &[&path("plain.jsonl"), "--json", "--subject-column=id", "--dry-run"]);
    assert_eq!((done.code(), &summary(&done)["created"]), (0, &json!(1)), "{}", done.stderr);
    assert_eq!(summary(&done)["notes"].as_array().map(Vec::len), Some(3), "{}", done.stdout);
    let done = import(&quash, &[&path("dump.jsonl")]);
    assert!(done.stdout.contains("line 1 (dana): the field that says whether"), "{}", done.stdout);
}

#[test]
fn a_line_may_have_the_greatest_length() {
    let dir = QuashDir::new();
    let padded = |pk: u32, name: &str, length: usize| {
        let fields = |x: &str| line(pk, &json!({ "username": name, "password": "!", "x": x }));
        fields(&"x".repeat(length - fields("").len()))
    };
    let (longest, next) = (padded(1, "dana", LINE_BYTES), padded(2, "kim", 200));
    dir.write("dump.jsonl", &format!("\u{feff}{next}\n{longest}\n{}\n", padded(3, "eve", 200)));
    dir.write("long.jsonl", &padded(1, "dana", LINE_BYTES + 1));
    let quash = dir.quash("");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let done = import(&quash, &[&path("dump.jsonl")]);
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("3 users: 3 created"), "{}", done.stdout);
    let done = import(&quash, &[&path("long.jsonl")]);
    assert_eq!(done.code(), 4, "{}", done.stderr);
    assert!(done.stderr.contains("line 1: it is longer than 262144 bytes"), "{}", done.stderr);
}

#[test]
fn a_report_overwrites_nothing() {
    let dir = QuashDir::new();
    let (source, _site) = database(&dir);
    let quash = dir.quash("");
    let before = std::fs::read(&source).expect("a database");
    for more in [&[][..], &["--dry-run"]] {
        let done = import(&quash, &[&[&source, "--report", &source], more].concat());
        assert_eq!(done.code(), 1, "{}", done.stderr);
        assert!(done.stderr.contains("nothing is overwritten: name another file"), "{}", done.stderr);
    }
    assert!(std::fs::read(&source).expect("a database") == before, "the source is as it was");
}
