//! Hostile settings: any content of the file or the environment is read or refused, without a panic.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use quash_core::model::{Entropy, Seeded};

use super::super::{Environment, Flags, load};
use super::schema::{is_valid, json_of};
use super::{EVERY_KEY, load_from, refused};
use crate::error::CommandError;
use crate::settings::schema;

fn from_bytes(bytes: &[u8]) -> Result<(), CommandError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("quash.toml"), bytes).expect("it is ours");
    load(&Flags::default(), &Environment::default(), dir.path()).map(|_| ()).map_err(CommandError::from)
}

fn from_environment(variables: Vec<(Vec<u8>, Vec<u8>)>) -> CommandError {
    let variables =
        variables.into_iter().map(|(name, value)| (OsString::from_vec(name), OsString::from_vec(value)));
    load(&Flags::default(), &Environment::of(variables), Path::new("nowhere"))
        .expect_err("it is refused")
        .into()
}

#[test]
fn huge_files_are_refused_quickly_and_briefly() {
    let unknown: String = (0..60_000).map(|n| format!("key_{n} = 1\n")).collect();
    let sections: String = (0..40_000).map(|n| format!("[section_{n}]\n")).collect();
    for (text, count) in [(format!("[tokens]\n{unknown}"), 60_000), (sections, 40_000)] {
        let error = from_bytes(text.as_bytes()).expect_err("nobody knows these");
        assert_eq!(error.message, format!("the settings have {count} faults; these are the first 100"));
        assert_eq!(error.findings.len(), 100);
    }
    let name = "x".repeat(500_000);
    let error = from_bytes(format!("[tokens]\n{name} = 1\n").as_bytes()).expect_err("nobody knows it");
    assert!(error.message.len() < 300, "{}", error.message);
    let error =
        from_bytes(format!("[tokens]\nalgorithm = \"{name}\"\n").as_bytes()).expect_err("nobody knows it");
    assert!(error.message.len() < 300, "{}", error.message);
    let full = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    assert_eq!(from_bytes(full(1024 * 1024).as_bytes()), Ok(()));
    assert!(
        from_bytes(full(1024 * 1024 + 1).as_bytes())
            .is_err_and(|error| error.message.contains("longer than 1 MiB"))
    );
}

#[test]
fn deep_toml_is_refused() {
    let deep = 200_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        format!("[[{}a]]", "a.".repeat(deep)),
        format!("[tokens]\nissuer{} = 1", ".a".repeat(deep)),
        "[[a]]\n".repeat(deep / 2),
        format!("tokens = {{{}}}", "a={},".repeat(deep / 4)),
    ] {
        let error = from_bytes(text.as_bytes()).expect_err("nobody means that");
        assert_eq!(error.exit.code(), 2, "{}", error.message);
    }
}

#[test]
fn syntax_errors_are_reported_with_their_line() {
    for (text, said) in [
        (&b"# caf\xc3\xa9\n[tokens]\nissuer = \"\xff\"\n"[..], "quash.toml:3"),
        (b"\xff\xfe[\x00t\x00", "it isn't UTF-8"),
        (b"[tokens]\nissuer = \"a\"\n\nissuer = \"b\"\n", "quash.toml:4"),
        (b"[tokens]\n[tokens]\n", "quash.toml:2"),
        (b"tokens.issuer = \"a\"\n[tokens]\n", "quash.toml:2"),
        (b"[tokens]\nissuer = \"a\"\n[tokens.issuer]\n", "quash.toml:3"),
        (b"\x00", "quash.toml:1"),
        (b"[tokens]\r\rissuer", "isn't TOML"),
    ] {
        let error = from_bytes(text).expect_err("it is refused");
        assert!(
            error.message.contains("the settings file") && error.message.contains(said),
            "{text:?}: {}",
            error.message
        );
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let flags = Flags { config: Some(dir.path().to_owned()), ..Flags::default() };
    let error =
        CommandError::from(load(&flags, &Environment::default(), dir.path()).expect_err("a directory"));
    assert!(error.message.contains("can't be read"), "{}", error.message);
}

#[test]
fn keys_of_the_wrong_type_are_reported() {
    for (text, said) in [
        ("[tokens.issuer]\nx = 1\n", "tokens.issuer = a table isn't a text"),
        ("[[tokens.audience]]\n", "tokens.audience = a list of other things than texts is neither"),
        ("tokens.leeway.x = 1", "tokens.leeway = a table isn't a span"),
        ("tokens.leeway = 1979-05-27", "tokens.leeway = a date isn't a span"),
        ("sessions.max_per_account = 99999999999999999999", "a number out of range isn't a whole number"),
        ("sessions.max_per_account = 9223372036854775807", "isn't a whole number"),
        ("sessions.max_per_account = nan", "a fraction isn't a whole number"),
        ("tokens = \"x\"", "tokens isn't written as a section"),
        ("[[tokens]]", "tokens isn't written as a section"),
        ("\"\" = 1", "section [] isn't a setting"),
        ("[\"\"]", "section [] isn't a setting"),
        ("[tokens]\n\"\" = 1", "tokens. isn't a setting"),
        ("[tokens]\n\"a\\u001b[31m\\nb\\u202e\" = 1", "tokens.a\\u{1b}[31m\\nb\\u{202e} isn't a setting"),
    ] {
        let found = refused(text, &[], &[]);
        assert!(found.contains(said), "{text}: {found}");
    }
}

#[test]
fn malformed_variables_are_reported() {
    for (name, value, said) in [
        (&b"QUASH_"[..], &b"x"[..], "QUASH_ isn't a setting"),
        (b"QUASH__", b"x", "QUASH__ isn't a setting"),
        (b"QUASH_TOKENS_", b"x", "QUASH_TOKENS_ isn't a setting"),
        (b"QUASH_tokens_issuer", b"x", "QUASH_tokens_issuer isn't a setting"),
        (b"QUASH_TOKENS_ISSUER ", b"x", "isn't a setting"),
        (b"QUASH_TOKENS_ISSUER\xff", b"x", "isn't a setting"),
        (b"QUASH_\x1b[31m\xe2\x80\xae", b"x", "QUASH_\\u{1b}[31m\\u{202e} isn't a setting"),
        (b"QUASH_TOKENS_ISSUER", b"a\xffb", "QUASH_TOKENS_ISSUER isn't UTF-8"),
        (b"QUASH_LISTEN", b"\xff", "QUASH_LISTEN isn't UTF-8"),
        (b"QUASH_TOKENS_ISSUER", b"", "is empty"),
        (b"QUASH_TOKENS_ISSUER", b"a\nb", "contains a blank or a control character"),
        (b"QUASH_SESSIONS_MAX_PER_ACCOUNT", b"99999999999999999999999", "isn't a whole number"),
        (b"QUASH_SESSIONS_MAX_PER_ACCOUNT", b"", "isn't a whole number"),
    ] {
        let error = from_environment(vec![(name.to_vec(), value.to_vec())]);
        assert!(error.message.contains(said) && error.exit.code() == 2, "{}", error.message);
    }
    let long = from_environment(vec![([b"QUASH_".to_vec(), vec![b'X'; 100_000]].concat(), b"x".to_vec())]);
    assert!(long.message.len() < 400, "{}", long.message);
    let many = (0..5000).map(|n| (format!("QUASH_{n}").into_bytes(), b"x".to_vec())).collect();
    assert_eq!(from_environment(many).message, "the settings have 5000 faults; these are the first 100");
    let set = |flag: &str| refused("", &[], &[flag]);
    for (flag, said) in [
        ("", "--set has no value"),
        ("=", " isn't a setting"),
        ("=x", " isn't a setting"),
        ("tokens.=x", "tokens. isn't"),
        (".=", ". isn't"),
    ] {
        assert!(set(flag).contains(said), "{flag}: {}", set(flag));
    }
    assert!(set(&format!("{}=x", "a.".repeat(100_000))).len() < 400);
}

/// Random faults: each is refused without a panic, or is accepted by the schema, too.
#[test]
fn mutated_files_are_refused_or_match_the_schema() {
    const ODD: &[u8] = b"\0\n\"'=[]{}.#,0-\xff";
    let (schema, mut accepted) = (schema(), 0);
    let entropy = Seeded::new(7);
    let draw = |most: usize| {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        u32::from_le_bytes(bytes) as usize % most
    };
    for _ in 0..3000 {
        let mut bytes = EVERY_KEY.as_bytes().to_vec();
        for _ in 0..=draw(3) {
            let (from, to) = (draw(bytes.len()), draw(bytes.len()));
            match draw(4) {
                0 => bytes[from] = ODD[draw(ODD.len())],
                1 => drop(bytes.drain(from.min(to)..from.max(to).min(from.min(to) + 9))),
                2 => bytes.insert(from, bytes[to]),
                _ => bytes.extend_from_within(from.min(to)..from.max(to).min(from.min(to) + 40)),
            }
        }
        if from_bytes(&bytes).is_ok() {
            accepted += 1;
            let text = String::from_utf8(bytes).expect("it was read");
            assert!(is_valid(&schema, &json_of(&text)), "{text}");
        }
    }
    assert!(accepted > 20, "some are harmless: {accepted}");
    assert!(load_from(EVERY_KEY, &[], &[]).is_ok());
}
