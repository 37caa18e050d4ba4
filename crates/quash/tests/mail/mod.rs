//! Mails from a real server to an SMTP server over sockets: their delivery, and retries while the SMTP server
//! is down, slow or refusing.

mod development;

use crate::support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use support::smtp::{Behaviour, Encrypted, Smtp, Wrapped, certificate, free_address, settings};
use support::{Answer, Server, on, quash, request, store};

const PASSWORD: &str = "a password of dana's";
const NEW_PASSWORD: &str = "another password of hers";

/// Returns the flags of a server that sends mails through this address.
fn flags(smtp: SocketAddr) -> Vec<String> {
    let settings = [
        "mail.host=127.0.0.1".to_owned(),
        format!("mail.port={}", smtp.port()),
        "mail.encryption=none".to_owned(),
        "mail.from=Example <no-reply@id.example>".to_owned(),
        "http.public_url=https://id.example/auth".to_owned(),
    ];
    settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect()
}

fn start(smtp: SocketAddr, more: &[&str]) -> Server {
    let flags = flags(smtp);
    let server =
        Server::start(&flags.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>());
    add_dana(&server);
    server
}

fn add_dana(server: &Server) {
    let added = server.run(
        &["account", "add", "dana", "--email", "dana@example.org", "--verified", "--password-stdin"],
        PASSWORD,
    );
    assert!(added.status.success(), "{}", added.stderr);
}

fn ask(server: &Server) -> Answer {
    let answer = server.post_json("/v1/password-reset", &json!({ "email": "dana@example.org" }), None);
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer
}

fn reset(server: &Server, token: &str) -> u16 {
    server
        .post_json(
            "/v1/password-reset/confirm",
            &json!({ "token": token, "new_password": NEW_PASSWORD }),
            None,
        )
        .status
}

#[test]
fn reset_mails_arrive_and_their_link_works() {
    let smtp = Smtp::start(Behaviour::Kind);
    let server = start(smtp.address, &[]);
    let pair = server.sign_in("dana", PASSWORD);
    ask(&server);
    let mail = smtp.next();
    assert_eq!((mail.from.as_str(), mail.to.as_str()), ("no-reply@id.example", "dana@example.org"));
    assert_eq!(mail.header("Subject").as_deref(), Some("Reset your password (id.example)"));
    assert_eq!(mail.header("From").as_deref(), Some("Example <no-reply@id.example>"));
    assert_eq!(mail.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert!(
        mail.header("Date").is_some()
            && mail.header("Message-ID").is_some_and(|id| id.ends_with("@id.example>"))
    );
    assert!(mail.header("Content-Type").is_some_and(|kind| kind.starts_with("multipart/alternative")));
    let text = mail.text();
    assert!(
        text.contains("Content-Type: text/plain")
            && text.contains("Content-Type: text/html")
            && text.contains("<!doctype html>"),
        "{text}"
    );
    assert!(mail.link().starts_with("https://id.example/auth/reset?token="), "{}", mail.link());
    assert_eq!(reset(&server, &mail.token()), 200);
    assert_eq!(smtp.next().header("Subject").as_deref(), Some("Your password has been changed (id.example)"));
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 401);
    server.sign_in("dana", NEW_PASSWORD);
}

#[test]
fn a65_links_use_the_configured_address_only() {
    let smtp = Smtp::start(Behaviour::Kind);
    let server = start(smtp.address, &[]);
    let body = json!({ "username": "dana" }).to_string();
    let send = |target: &str, headers: &[(&str, &str)]| {
        let headers: Vec<_> =
            [("Content-Type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
        request(server.address, "POST", target, &headers, body.as_bytes()).expect("an answer").status
    };
    let path = "/v1/password-reset";
    let poisoned = [
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "host=evil.example;proto=http"),
        ("X-Forwarded-Proto", "http"),
        ("X-Host", "evil.example"),
        ("X-Original-URL", "https://evil.example/"),
    ];
    assert_eq!(send(path, &poisoned), 202);
    assert_eq!(send("http://evil.example/v1/password-reset", &[]), 202);
    // A second Host line with another name is refused or has no effect.
    let two = send(path, &[("Host", "evil.example")]);
    assert!(matches!(two, 202 | 400), "{two}");
    let mails: Vec<_> = std::iter::once(smtp.next()).chain(smtp.rest()).collect();
    assert!(mails.len() >= 2);
    for mail in mails {
        assert!(
            !mail.text().contains("evil") && mail.link().starts_with("https://id.example/auth/reset?token="),
            "{}",
            mail.text()
        );
    }
}

#[test]
fn a_missing_smtp_server_loses_and_delays_nothing() {
    let address = free_address();
    let server = start(address, &[]);
    let known = ask(&server);
    let unknown = server.post_json("/v1/password-reset", &json!({ "email": "nobody@example.org" }), None);
    let shape = |answer: &Answer| {
        (
            answer.status,
            answer.text.len(),
            answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        )
    };
    assert_eq!(shape(&known), shape(&unknown));
    // A mail survives the end of the process.
    let data_dir = server.data_dir.clone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kept = dir.path().join("data");
    server.run(&["account", "list"], "");
    copy(&data_dir, &kept, server);
    let smtp = Smtp::start_at(address, Behaviour::Kind, Wrapped::Never);
    let flags = flags(address);
    let server = Server::start_in(&kept, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    let mail = smtp.next();
    assert_eq!(reset(&server, &mail.token()), 200);
    let told = smtp.next();
    assert!(
        told.header("Subject").is_some_and(|subject| subject.starts_with("Your password has been changed"))
    );
    assert!(smtp.rest().is_empty(), "nothing is sent twice");
}

/// Kills a server, and moves its data directory to a permanent place.
fn copy(from: &Path, to: &Path, server: Server) {
    fs::create_dir(to).expect("a directory");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("it is ours");
    // The temporary directory is removed with the server, so the files are linked before.
    for name in ["quash.db", "quash.db-wal", "master.key"] {
        let _ = fs::hard_link(from.join(name), to.join(name));
    }
    store::keep_for(from, to);
    server.kill();
}

#[test]
fn silent_smtp_servers_delay_mails_but_no_answers() {
    let smtp = Smtp::start(Behaviour::Silent);
    let server = start(smtp.address, &[]);
    ask(&server);
    smtp.wait_for_connections(1);
    // Requests are answered while that mail is held up.
    let pair = server.sign_in("dana", PASSWORD);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200);
    assert_eq!(
        server.post_json("/v1/password-reset", &json!({ "email": "nobody@example.org" }), None).status,
        202
    );
    smtp.turn(Behaviour::Kind);
    let mail = smtp.next();
    assert_eq!(reset(&server, &mail.token()), 200);
    assert_eq!(smtp.rest().len(), 1, "the notice alone");
}

#[test]
fn unacknowledged_mails_are_sent_at_most_twice() {
    let smtp = Smtp::start(Behaviour::GoneAfterData);
    let server = start(smtp.address, &[]);
    ask(&server);
    let (first, second) = (smtp.next(), smtp.next());
    assert_eq!((first.header("Message-ID"), first.token()), (second.header("Message-ID"), second.token()));
    assert!(smtp.rest().is_empty());
    assert_eq!(smtp.connections(), 2);
    assert_eq!(reset(&server, &first.token()), 200);
}

#[test]
fn temporary_refusals_are_retried_and_permanent_ones_dropped() {
    for behaviour in [Behaviour::Busy, Behaviour::Greylisting, Behaviour::FullAfterData] {
        let smtp = Smtp::start(behaviour);
        let server = start(smtp.address, &[]);
        ask(&server);
        smtp.wait_for_connections(1);
        if behaviour == Behaviour::FullAfterData {
            smtp.next();
            // The first one is answered by then.
            smtp.wait_for_connections(2);
        }
        smtp.turn(Behaviour::Kind);
        let mail = smtp.next();
        assert_eq!(reset(&server, &mail.token()), 200, "{behaviour:?}");
    }
    let smtp = Smtp::start(Behaviour::NoSuchUser);
    let server = start(smtp.address, &[]);
    let subject = subject_of(&server, "dana");
    ask(&server);
    smtp.wait_for_connections(1);
    assert!(smtp.rest().is_empty());
    assert_eq!(smtp.connections(), 1);
    let finished = server.terminate();
    let line = finished.stderr.lines().find(|line| line.contains("RCPT: 550")).expect("a line");
    assert!(
        line.contains("failed to send a mail") && line.contains(&subject),
        "it names the account: {line}"
    );
    assert!(!finished.stderr.contains("dana@"), "{}", finished.stderr);
}

fn subject_of(server: &Server, name: &str) -> String {
    let pair = server.sign_in(name, PASSWORD);
    server.get("/v1/me", Some(&pair.access)).body["subject"].as_str().expect("a subject").to_owned()
}

#[test]
fn mail_goes_to_the_ascii_form_of_a_domain() {
    let smtp = Smtp::start(Behaviour::Kind);
    let server = start(smtp.address, &["--set", "registration.enabled=true"]);
    let register = |email: &str| {
        server.post_json(
            "/v1/registration",
            &json!({ "username": "kim", "email": email, "password": PASSWORD }),
            None,
        )
    };
    assert_eq!(register("kim@bücher.example").status, 202);
    let mail = smtp.next();
    assert_eq!((mail.to.as_str(), mail.parameters.as_str()), ("kim@xn--bcher-kva.example", ""));
    assert!(mail.header("To").is_some_and(|to| to.contains("kim@xn--bcher-kva.example")), "{}", mail.data);
    let confirmed =
        server.post_json("/v1/email-verification/confirm", &json!({ "token": mail.token() }), None);
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let pair = server.sign_in("kim", PASSWORD);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).body["email"], "kim@bücher.example");
    let refused = register("jürgen@bücher.example");
    assert_eq!((refused.status, refused.body["errors"]["email"].is_array()), (400, true), "{}", refused.text);
    let refused = server.run(&["account", "add", "jürgen", "--email", "jürgen@example.org"], "");
    assert!(!refused.status.success() && refused.stderr.contains("before the @"), "{}", refused.stderr);
}

#[test]
fn non_ascii_local_parts_require_smtputf8() {
    let smtp = Smtp::start(Behaviour::Utf8);
    let server = start(smtp.address, &["--set", "mail.smtputf8=true"]);
    let add =
        ["account", "add", "jürgen", "--email", "jürgen@bücher.example", "--verified", "--password-stdin"];
    let added = server.run(&add, PASSWORD);
    assert!(added.status.success(), "{}", added.stderr);
    let subject = subject_of(&server, "jürgen");
    let asked = || server.post_json("/v1/password-reset", &json!({ "username": "jürgen" }), None).status;
    assert_eq!(asked(), 202);
    let mail = smtp.next();
    assert_eq!(
        (mail.to.as_str(), mail.parameters.as_str()),
        ("jürgen@xn--bcher-kva.example", "SMTPUTF8 BODY=8BITMIME")
    );
    assert!(mail.header("To").is_some_and(|to| to.contains("jürgen@")), "{}", mail.data);
    // Nothing is sent to a server that doesn't offer it.
    smtp.turn(Behaviour::Kind);
    assert_eq!(asked(), 202);
    smtp.wait_for_connections(2);
    assert!(smtp.rest().is_empty());
    let finished = server.terminate();
    let line = finished.stderr.lines().find(|line| line.contains("does not offer SMTPUTF8")).expect("a line");
    assert!(line.contains(&subject) && !line.contains("bücher"), "{line}");
}

#[test]
fn a88_mail_secrets_and_addresses_are_never_logged() {
    let smtp = Smtp::start(Behaviour::Kind);
    let server = start(smtp.address, &["--set", "log.level=trace"]);
    ask(&server);
    let mail = smtp.next();
    assert_eq!(server.get(&format!("/reset?token={}", mail.token()), None).status, 200);
    assert_eq!(reset(&server, &mail.token()), 200);
    smtp.next();
    let finished = server.terminate();
    for secret in [mail.token().as_str(), &mail.code(), NEW_PASSWORD, "dana@example.org"] {
        assert!(!finished.stderr.contains(secret), "{secret}: {}", finished.stderr);
    }
}

/// Starts a server that sends mails with TLS and a password, and trusts the test's certificate.
fn start_encrypted(dir: &Path, smtp: SocketAddr, encryption: &str, trusted: &Path) -> Server {
    let file = settings(dir, smtp, encryption);
    let mut command = quash();
    command.env("SSL_CERT_FILE", trusted);
    let server =
        Server::start_with(command, &dir.join(encryption), &["--config", file.to_str().expect("UTF-8")]);
    add_dana(&server);
    server
}

#[test]
fn encrypted_mail_never_falls_back_to_clear() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = certificate(dir.path());
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    for (encryption, wrapped) in
        [("tls", Wrapped::AtOnce(Arc::clone(&config))), ("starttls", Wrapped::WhenAsked(Arc::clone(&config)))]
    {
        let smtp = Smtp::start_at(anywhere, Behaviour::Kind, wrapped);
        let server = start_encrypted(dir.path(), smtp.address, encryption, &dir.path().join("trusted.pem"));
        ask(&server);
        let mail = smtp.next();
        assert_eq!((mail.encrypted, mail.signed_in.is_some()), (Encrypted::Yes, true), "{encryption}");
        assert_eq!(reset(&server, &mail.token()), 200);
    }
    // Nothing is sent to a server without STARTTLS: no mail, and no password.
    let smtp = Smtp::start(Behaviour::Kind);
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let server = start_encrypted(elsewhere.path(), smtp.address, "starttls", &dir.path().join("trusted.pem"));
    ask(&server);
    smtp.wait_for_connections(1);
    assert!(smtp.rest().is_empty());
    drop(server);
    // The same for a server with an untrusted certificate.
    certificate(elsewhere.path());
    let smtp = Smtp::start_at(anywhere, Behaviour::Kind, Wrapped::AtOnce(config));
    let server =
        start_encrypted(elsewhere.path(), smtp.address, "tls", &elsewhere.path().join("trusted.pem"));
    ask(&server);
    smtp.wait_for_connections(1);
    assert!(smtp.rest().is_empty());
    assert!(server.terminate().stderr.contains("connecting"));
}

/// Returns the state of mail in `/readyz?verbose=1`.
fn readiness(server: &Server) -> Value {
    server.get("/readyz?verbose=1", None).body["checks"]["mail"].clone()
}

/// The longest that a mail may take.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn invalid_mail_settings_stop_the_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let refused = on(
        &dir.path().join("data"),
        &["serve", "--set", "mail.host=smtp.example", "--set", "mail.from=a@b.example"],
        "",
    );
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr.contains("http.public_url"), "{}", refused.stderr);
}
