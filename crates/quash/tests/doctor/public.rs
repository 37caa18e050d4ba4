//! What clients see at the public URL.

use std::path::Path;

use rustls::ServerConfig;

use super::site::{Answer, Validity, certificate, seconds, serve};
use super::{Found, doctor, found, installed, these};
use crate::support::{Server, quash_on, run, sqlite_only};

/// The header `Date`, so many seconds from now.
fn date(offset: i64) -> String {
    let now = i64::try_from(seconds()).expect("a date") + offset;
    let now = jiff::Timestamp::from_second(now).expect("a date");
    let now = jiff::tz::Offset::UTC.to_datetime(now);
    format!("Date: {}\r\n", now.strftime("%a, %d %b %Y %H:%M:%S GMT"))
}

fn answer(status: u16, headers: String, body: &str) -> Answer {
    (status, headers, body.to_owned())
}

/// What the doctor finds with this public URL, besides the missing server.
fn found_at(data_dir: &Path, url: &str, trusted: Option<&Path>) -> Found {
    let set = format!("http.public_url={url}");
    let mut command = quash_on(data_dir, &["doctor", "--json", "--set", &set]);
    command.envs(trusted.map(|trusted| ("SSL_CERT_FILE", trusted)));
    let mut found = found(&run(command, ""));
    found.remove("server");
    found.remove("unnamed_proxy");
    found
}

#[test]
fn own_servers_are_recognized_at_the_public_url() {
    let server = Server::start(&[]);
    let found = found(&doctor(&server.data_dir, &["--set", &format!("http.public_url={}", server.url)]));
    for check in ["public_answer", "public_instance", "public_redirect", "clock"] {
        assert_eq!(found.get(check), None, "{found:?}");
    }
}

#[test]
fn wrong_answers_at_the_public_url_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    const EMPTY: &str = r#"{"keys":[]}"#;
    let probe = |reply: fn(&str) -> Answer| {
        let address = serve(None, reply);
        found_at(&data_dir, &format!("http://{address}"), None)
    };
    assert_eq!(probe(|_| answer(200, date(0), EMPTY)), these(&[]));
    assert_eq!(probe(|_| answer(200, date(-30), EMPTY)), these(&[("clock", "warning")]));
    assert_eq!(probe(|_| answer(200, date(3600), EMPTY)), these(&[("clock", "problem")]));
    assert_eq!(probe(|_| answer(502, date(0), "")), these(&[("public_answer", "problem")]));
    assert_eq!(
        probe(|path| answer(308, format!("Location: {path}/\r\n{}", date(0)), "")),
        these(&[("public_redirect", "problem")])
    );
    assert_eq!(probe(|_| answer(200, date(0), "<html>")), these(&[("public_instance", "problem")]));
    assert_eq!(
        probe(|_| answer(200, date(0), r#"{"keys":[{"kid":"another"}]}"#)),
        these(&[("public_instance", "problem")])
    );
    let long = || "x".repeat(100_000);
    let address = serve(None, move |_| (200, date(0), long()));
    assert_eq!(
        found_at(&data_dir, &format!("http://{address}"), None),
        these(&[("public_instance", "problem")])
    );
}

#[test]
fn certificates_at_the_public_url_are_found() {
    sqlite_only!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = installed(dir.path());
    let mail = [("mail_delivery", "warning"), ("public_url", "warning")];
    let trusted = dir.path().join("trusted.pem");
    let probe = |config: std::sync::Arc<ServerConfig>, trusted: Option<&Path>| {
        let address = serve(Some(config), |_| answer(200, date(0), r#"{"keys":[]}"#));
        let mut found = found_at(&data_dir, &format!("https://localhost:{}", address.port()), trusted);
        mail.iter().for_each(|(check, _)| drop(found.remove(*check)));
        found
    };
    assert_eq!(probe(certificate(dir.path(), Validity::Days(60)), Some(&trusted)), these(&[]));
    assert_eq!(
        probe(certificate(dir.path(), Validity::Days(5)), Some(&trusted)),
        these(&[("public_certificate", "warning")])
    );
    assert_eq!(
        probe(certificate(dir.path(), Validity::Expired), Some(&trusted)),
        these(&[("public_certificate", "problem")])
    );
    // Clients don't trust the chain.
    let other = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(
        probe(certificate(other.path(), Validity::Days(60)), Some(&trusted)),
        these(&[("public_answer", "problem")])
    );
}
