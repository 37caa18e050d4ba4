//! Secret settings: the layers and files that may hold them, and that no output shows them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::test_sections::TestDir;

const SECRET: &str = "hunter2-and-more";

#[test]
fn secrets_come_from_file_environment_or_own_file() {
    let seal = |dir: &TestDir| dir.trial().seal.map(|seal| seal.expose().to_owned());
    assert_eq!(seal(&TestDir::new("", &[], &[])), None);
    assert_eq!(seal(&TestDir::new("realm.seal = \"a\"", &[], &[])).as_deref(), Some("a"));
    assert_eq!(
        seal(&TestDir::new("realm.seal = \"a\"", &[("QUASH_REALM_SEAL", "b")], &[])).as_deref(),
        Some("b")
    );
    let dir = TestDir::new("realm.seal_file = \"seal.key\"", &[], &[]).with_file("seal.key", b"c\n", 0o600);
    assert_eq!(seal(&dir).as_deref(), Some("c"));
    let path = dir.directory.path().join("seal.key").display().to_string();
    assert_eq!(seal(&TestDir::new("", &[("QUASH_REALM_SEAL_FILE", &path)], &[])).as_deref(), Some("c"));
    assert_eq!(seal(&TestDir::new("", &[], &[&format!("realm.seal_file={path}")])).as_deref(), Some("c"));
    let named =
        TestDir::new("[peer.a]\nmax_lifetime = \"1d\"\n", &[("QUASH_PEER_A_TOKEN_FILE", &path)], &[]).trial();
    assert_eq!(named.peers["a"].token.as_ref().map(|token| token.expose()), Some("c"));
}

#[test]
fn one_line_end_after_a_secret_is_dropped() {
    for (content, secret) in [
        ("s", "s"),
        ("s\n", "s"),
        ("s\r\n", "s"),
        ("s\n\n", "s\n"),
        ("s\r\n\r\n", "s\r\n"),
        ("s\r", "s\r"),
        (" s ", " s "),
    ] {
        let dir = TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", content.as_bytes(), 0o640);
        assert_eq!(dir.trial().seal.expect("it is set").expose(), secret, "{content:?}");
    }
}

#[test]
fn a_byte_order_mark_before_secrets_is_dropped() {
    for (content, secret) in
        [("\u{feff}s\r\n", "s"), ("\u{feff}\u{feff}s", "\u{feff}s"), ("s\u{feff}", "s\u{feff}")]
    {
        let dir = TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", content.as_bytes(), 0o600);
        assert_eq!(dir.trial().seal.expect("it is set").expose(), secret, "{content:?}");
    }
    let refused = |content: &[u8]| {
        TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", content, 0o600).refused()
    };
    assert!(refused("\u{feff}\r\n".as_bytes()).contains("is an empty file"));
    assert!(refused(b"\xff\xfes\0\n\0").contains("isn't UTF-8"), "UTF-16");
}

#[test]
fn secret_files_must_not_be_world_accessible() {
    for mode in [0o600, 0o400, 0o640, 0o660] {
        assert!(
            TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", b"s", mode).read().is_ok(),
            "{mode:o}"
        );
    }
    for (mode, remedy) in [
        (0o644, "chmod 640 "),
        (0o604, "chmod 600 "),
        (0o602, "chmod 600 "),
        (0o601, "chmod 600 "),
        (0o666, "chmod 660 "),
    ] {
        let dir = TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", SECRET.as_bytes(), mode);
        let said = dir.refused();
        let path = dir.directory.path().join("k");
        assert!(
            said.contains(&format!("{remedy}{}", path.display()))
                && said.contains(&format!("(mode {mode:04o})")),
            "{said}"
        );
        assert!(
            said.contains("realm.seal_file = \"k\"")
                && said.contains("quash.toml:1)")
                && !said.contains(SECRET),
            "{said}"
        );
        let typed: u32 = u32::from_str_radix(&remedy[6..9], 8).expect("a mode");
        fs::set_permissions(&path, fs::Permissions::from_mode(typed)).expect("it is ours");
        assert!(dir.read().is_ok(), "the remedy helps");
    }
}

#[test]
fn secret_files_must_hold_a_secret() {
    let refused = |content: &[u8]| {
        TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", content, 0o600).refused()
    };
    assert!(refused(b"").contains("is an empty file"));
    assert!(refused(b"\r\n").contains("is an empty file"));
    assert!(refused(b"s\xffs").contains("isn't UTF-8"));
    assert!(refused(&vec![b's'; 64 * 1024 + 1]).contains("longer than 64 KiB"));
    let longest =
        TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", &vec![b's'; 64 * 1024], 0o600);
    assert_eq!(longest.trial().seal.expect("it is set").expose().len(), 64 * 1024);
    assert!(TestDir::new("realm.seal_file = \"k\"", &[], &[]).refused().contains("can't be read"));
    let dir = TestDir::new("realm.seal_file = \"k\"", &[], &[]);
    fs::create_dir(dir.directory.path().join("k")).expect("it is ours");
    fs::set_permissions(dir.directory.path().join("k"), fs::Permissions::from_mode(0o700))
        .expect("it is ours");
    assert!(dir.refused().contains("can't be read"));
}

#[test]
fn invalid_secrets_are_refused() {
    for (line, fault) in [
        ("realm.seal = \"\"", "is empty"),
        ("realm.seal = \"(secret)\"", "is the placeholder for a secret"),
        ("realm.seal = 12345", "isn't a text"),
        ("realm.seal = [\"12345\"]", "isn't a text"),
        ("realm.seal = { a = \"12345\" }", "isn't a text"),
        ("realm.seal_file = \"\"", "is empty"),
        ("realm.seal_file = 12345", "isn't a text"),
    ] {
        let said = TestDir::new(line, &[], &[]).refused();
        assert!(said.contains("realm.seal") && said.contains(fault), "{line}: {said}");
        assert!(line.contains("_file") || !said.contains("12345"), "{said}");
    }
    let said = TestDir::new(&format!("realm.seal = \"{}\"", "s".repeat(64 * 1024 + 1)), &[], &[]).refused();
    assert!(said.contains("is longer than 64 KiB") && !said.contains("sss"), "{said}");
}

#[test]
fn secrets_set_twice_are_reported_with_both_origins() {
    let said = TestDir::new("[realm]\nseal = \"hunter2-and-more\"\nseal_file = \"k\"\n", &[], &[]).refused();
    assert!(
        said.contains("realm.seal = (secret) and realm.seal_file (")
            && said.contains("quash.toml:3) are both set ("),
        "{said}"
    );
    assert!(said.contains("quash.toml:2)") && !said.contains(SECRET), "{said}");
    let said = TestDir::new("realm.seal_file = \"k\"", &[("QUASH_REALM_SEAL", SECRET)], &[]).refused();
    assert!(
        said.contains("quash.toml:1)")
            && said.contains("environment variable QUASH_REALM_SEAL")
            && !said.contains(SECRET),
        "{said}"
    );
}

#[test]
fn secrets_on_the_command_line_are_refused() {
    let said = TestDir::new("", &[], &["realm.seal=hunter2-and-more"]).refused();
    assert!(
        said.contains("realm.seal is a secret, and other users can see command lines (flag --set)"),
        "{said}"
    );
    assert!(
        said.contains("--set realm.seal_file=FILE")
            && said.contains("QUASH_REALM_SEAL")
            && !said.contains(SECRET),
        "{said}"
    );
    let said = TestDir::new("", &[], &["peer.my-app.token=hunter2-and-more"]).refused();
    assert!(
        said.contains("--set peer.my-app.token_file=FILE") && said.contains("set QUASH_PEER_MY_APP_TOKEN"),
        "{said}"
    );
    assert!(!said.contains(SECRET), "{said}");
    for slip in ["realm.sael=hunter2-and-more", "realm.seal:hunter2-and-more", "realm.seal hunter2-and-more"]
    {
        let said = TestDir::new("", &[], &[slip]).refused();
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[test]
fn secrets_are_never_printed() {
    let file = "[realm]\nseal = \"hunter2-and-more\"\n[peer.a]\nmax_lifetime = \"1d\"\n";
    let dir = TestDir::new(file, &[("QUASH_PEER_A_TOKEN", SECRET)], &[]);
    let (values, faults) = dir.collect_layers();
    let (text, json) = dir.shown();
    for printed in [
        format!("{values:?}"),
        format!("{faults:?}"),
        format!("{:?}", dir.environment),
        format!("{:?}", dir.trial()),
        text.clone(),
        json.to_string(),
    ] {
        assert!(!printed.contains(SECRET) && !printed.contains("hunter2"), "{printed}");
    }
    assert!(
        text.contains("seal = \"(secret)\"  # file ")
            && text.contains("token = \"(secret)\"  # environment variable QUASH_PEER_A_TOKEN")
    );
    assert_eq!(json["realm"]["seal"]["value"], "(secret)");
    let other = TestDir::new("[realm]\nseal = \"s\"\n", &[], &[]).shown().1;
    assert_eq!(
        other["realm"]["seal"]["value"], json["realm"]["seal"]["value"],
        "neither a length nor a hash"
    );
    // A syntax error is reported without the line.
    for line in [
        "seal = hunter2-and-more",
        "seal = \"hunter2-and-more",
        "seal = \"hunter2-and-more\\q\"",
        "seal = 1979-05-27-hunter2",
        "seal = 0xhunter2",
        "seal = \"hunter2\" hunter2",
        "seal \"hunter2-and-more\"",
        "\"hunter2-and-more\"",
    ] {
        let said = super::refused(&format!("[realm]\n{line}\n"), &[], &[]);
        assert!(
            said.contains("isn't TOML") && said.contains("quash.toml:2") && !said.contains("hunter2"),
            "{said}"
        );
    }
}

#[test]
fn paths_of_secret_files_are_shown() {
    let dir = TestDir::new("realm.seal_file = \"k\"", &[], &[]).with_file("k", SECRET.as_bytes(), 0o600);
    let (text, json) = dir.shown();
    let path = dir.directory.path().join("k").display().to_string();
    assert!(
        text.contains("# seal is not set") && text.contains(&format!("seal_file = \"{path}\"")),
        "{text}"
    );
    assert_eq!(
        (&json["realm"]["seal"]["value"], &json["realm"]["seal_file"]["value"]),
        (&json!(null), &json!(path))
    );
}

#[test]
fn paths_are_relative_to_the_settings_file() {
    let dir = TestDir::new("realm.cert = \"a/cert.pem\"", &[], &[]);
    assert_eq!(dir.trial().cert, Some(dir.directory.path().join("a/cert.pem")));
    let here = std::path::absolute("a/cert.pem").expect("a working directory");
    assert_eq!(TestDir::new("", &[("QUASH_REALM_CERT", "a/cert.pem")], &[]).trial().cert, Some(here.clone()));
    assert_eq!(TestDir::new("", &[], &["realm.cert=a/cert.pem"]).trial().cert, Some(here));
    assert_eq!(
        TestDir::new("realm.cert = \"/a/cert.pem\"", &[], &[]).trial().cert,
        Some("/a/cert.pem".into())
    );
}
