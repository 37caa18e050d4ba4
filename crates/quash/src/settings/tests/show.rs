//! The output of `quash config show`.

use std::ffi::OsString;

use serde_json::json;

use super::super::{Environment, Flags, Loaded, Origins, load};
use super::test_sections::TestDir;
use super::{EVERY_KEY, load_from};

fn loaded(file: &str, variables: &[(&str, &str)], set: &[&str]) -> Loaded {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("quash.toml"), file).expect("it is ours");
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let flags = Flags { set: set.iter().map(|flag| (*flag).to_owned()).collect(), ..Flags::default() };
    load(&flags, &Environment::of(variables), dir.path()).expect("it is valid")
}

#[test]
fn shown_settings_load_to_the_same_settings() {
    let odd = "[tokens]\nissuer = \"a\"\naudience = [\"a\\\"b\\\\c\", \"\\u001b[31m\\n\\t\\u007f\", \"\\u202edesrever ✓\"]\n";
    for file in ["", EVERY_KEY, odd] {
        for origins in [Origins::Shown, Origins::Hidden] {
            let first = loaded(file, &[], &[]);
            let text = first.to_toml(origins);
            assert!(!text.contains(['\u{1b}', '\u{7f}', '\u{202e}', '\t']), "{text}");
            // Secrets are replaced by a placeholder.
            let text = text.replace(
                "signing_key = \"(secret)\"",
                "signing_key = \"a secret of this site that nobody else has\"",
            );
            let text = text.replace("shared_secret = \"(secret)\"", "shared_secret = \"another secret\"");
            let text = text.replace("\npassword = \"(secret)\"", "\npassword = \"a password\"");
            let text =
                text.replace("authorization = \"(secret)\"", "authorization = \"Bearer of-the-collector\"");
            let url = "\nurl = \"postgres://quash:a-password@db.example/quash\"";
            let text = text.replace("\nurl = \"(secret)\"", url);
            let second = load_from(&text, &[], &[]).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
            assert_eq!(format!("{second:?}"), format!("{:?}", first.settings), "{text}");
        }
    }
}

#[test]
fn each_setting_shows_its_origin() {
    let file = "[tokens]\n\nissuer = \"https://auth.example\"\naudience = \"shop\"\n";
    let variables = [
        ("QUASH_HTTP_BEHIND_PROXY", "true"),
        ("QUASH_HTTP_TRUSTED_PROXIES", "unix"),
        ("QUASH_SESSIONS_MAX_PER_ACCOUNT", "7"),
        ("QUASH_LISTEN", "0.0.0.0:80"),
    ];
    let loaded = loaded(file, &variables, &["tokens.auth_header_types=Bearer,JWT"]);
    let path = loaded.file.clone().expect("there is a file").display().to_string();
    let json = loaded.to_json();
    for (section, key, value, origin) in [
        ("tokens", "issuer", json!("https://auth.example"), format!("file {path}:3")),
        ("tokens", "audience", json!(["shop"]), format!("file {path}:4")),
        ("tokens", "auth_header_types", json!(["Bearer", "JWT"]), "flag --set".into()),
        ("tokens", "leeway", json!("0s"), "default".into()),
        (
            "sessions",
            "max_per_account",
            json!(7),
            "environment variable QUASH_SESSIONS_MAX_PER_ACCOUNT".into(),
        ),
        ("http", "behind_proxy", json!(true), "environment variable QUASH_HTTP_BEHIND_PROXY".into()),
        ("http", "listen", json!("0.0.0.0:80"), "environment variable QUASH_LISTEN".into()),
    ] {
        assert_eq!(json[section][key], json!({ "value": value, "origin": origin }), "{section}.{key}");
    }
    let unset = self::loaded("", &[], &[]);
    assert_eq!(unset.to_json()["tokens"]["issuer"], json!({ "value": null, "origin": "default" }));
    assert!(unset.to_toml(Origins::Shown).contains("\n# issuer is not set\n"));
    assert!(unset.to_toml(Origins::Shown).contains("\nleeway = \"0s\"  # default\n"));
    assert!(unset.to_toml(Origins::Hidden).contains("\nleeway = \"0s\"\n"));
}

#[test]
fn named_sections_are_shown_below_their_kind() {
    let dir = TestDir::new(
        "[peer.b]\nmax_lifetime = \"1d\"\n[peer.a]\nmax_lifetime = \"2d\"\n",
        &[],
        &["peer.c.max_lifetime=3d"],
    );
    let (text, json) = dir.shown();
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(heads, ["[realm]", "[peer.a]", "[peer.b]", "[peer.c]"]);
    assert_eq!(json["peer"]["c"]["max_lifetime"], json!({ "value": "3d", "origin": "flag --set" }));
    assert_eq!(json["peer"]["a"]["trust"], json!({ "value": "none", "origin": "default" }));
}
