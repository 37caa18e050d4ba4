//! Settings that contradict each other or accept a risk.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::site::{Validity, certificate};
use super::{doctor, found, installed, these};
use crate::support::{Server, on, sqlite_only};

/// Checks with the level of their finding.
type Findings = &'static [(&'static str, &'static str)];

/// Settings, and what the doctor finds about them.
const RISKY: [(&[&str], Findings); 14] = [
    (&["tokens.access_token_lifetime=2h"], &[("access_lifetime", "warning")]),
    (&["tokens.access_token_lifetime=20s"], &[("access_lifetime", "warning")]),
    (
        &["tokens.access_token_lifetime=50m", "tokens.refresh_token_lifetime=50m"],
        &[("lifetime_order", "problem")],
    ),
    (
        &["tokens.auth_token_classes=sliding", "tokens.sliding_token_lifetime=2h"],
        &[("sliding_lifetime", "warning")],
    ),
    (&["sessions.absolute_lifetime=none"], &[("session_lifetime", "warning")]),
    (&["sessions.absolute_lifetime=1h"], &[("session_lifetime", "note")]),
    (&["tokens.rotate_refresh_tokens=false"], &[("rotation", "warning")]),
    (&["lockout.failures=50"], &[("lockout", "warning")]),
    (&["audit.keep=1d"], &[("audit_retention", "note")]),
    (&["log.level=debug"], &[("log_level", "note")]),
    (
        &["http.public_url=https://id.example", "mail.host=smtp.example", "mail.from=a@id.example"],
        &[("unnamed_proxy", "warning")],
    ),
    (&["http.public_url=https://id.example"], &[("mail_delivery", "warning"), ("unnamed_proxy", "warning")]),
    (
        &["http.trusted_proxies=8.0.0.0/7", "http.idle_timeout=30s"],
        &[("wide_proxies", "problem"), ("idle_timeout", "note")],
    ),
    (
        &[
            "http.behind_proxy=true",
            "http.trusted_proxies=10.0.0.5",
            "registration.enabled=true",
            "cookies.refresh=on",
            "http.cors_origins=http://localhost:3000",
        ],
        &[
            ("registration_mail", "problem"),
            ("public_url", "warning"),
            ("cookie_transport", "warning"),
            ("cors_origins", "warning"),
        ],
    ),
];

#[test]
fn risky_settings_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    for (settings, expected) in RISKY {
        let sets: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let finished = doctor(&data_dir, &[&["--offline"], &sets[..]].concat());
        let mut expected = these(expected);
        expected.extend(these(&[("server", "note")]));
        assert_eq!(found(&finished), expected, "{settings:?}");
    }
}

#[test]
fn servers_with_other_settings_are_found() {
    let server = Server::start(&["--set", "lockout.failures=7"]);
    let other = found(&doctor(&server.data_dir, &[]));
    assert_eq!(other.get("server_settings").map(String::as_str), Some("warning"), "{other:?}");
    let same = found(&doctor(&server.data_dir, &["--set", "lockout.failures=7"]));
    assert_eq!(same.get("server_settings"), None, "{same:?}");
}

#[test]
fn weak_and_shared_secrets_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let secret = dir.path().join("secret");
    fs::write(&secret, "a short secret\n").expect("it is ours");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let key = format!("tokens.signing_key_file={}", secret.display());
    let sets =
        ["--set", "tokens.algorithm=HS256", "--set", &key, "--set", "tokens.insecure_short_secret=true"];
    let server = Server::start_in(&data_dir, &sets);
    super::back_up(&data_dir, dir.path());
    assert_eq!(found(&doctor(&data_dir, &sets)), these(&[("weak_secret", "problem")]));
    let added = on(&data_dir, &["verifier", "add", "api"], "");
    assert_eq!(added.code(), 0, "{}", added.stderr);
    let expected = these(&[("weak_secret", "problem"), ("shared_secret", "warning")]);
    assert_eq!(found(&doctor(&data_dir, &sets)), expected);
    drop(server);
}

#[test]
fn certificates_near_their_end_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    for (validity, expected) in [(Validity::Days(5), "warning"), (Validity::Expired, "problem")] {
        certificate(dir.path(), validity);
        let (cert, key) = (dir.path().join("trusted.pem"), dir.path().join("key.pem"));
        let sets = [format!("http.tls_cert={}", cert.display()), format!("http.tls_key={}", key.display())];
        let sets: Vec<_> = sets.iter().flat_map(|setting| ["--set", setting]).collect();
        let expected = these(&[("certificate_file", expected), ("server", "note")]);
        assert_eq!(found(&doctor(&data_dir, &sets)), expected);
    }
}
