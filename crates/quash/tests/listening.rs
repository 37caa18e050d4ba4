//! The sockets of a server: TLS with files that are read again on SIGHUP, and unix sockets.

use crate::support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::{Server, on};

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A self-signed certificate of `localhost` and its key, in two files.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> (Self, CertificateDer<'static>) {
        let files = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let certificate = files.renew();
        (files, certificate)
    }

    /// Replaces the certificate and its key.
    fn renew(&self) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(self.certificate(), certificate.pem()).expect("it is ours");
        fs::write(self.key(), key.serialize_pem()).expect("it is ours");
        fs::set_permissions(self.key(), fs::Permissions::from_mode(0o600)).expect("it is ours");
        certificate.der().clone()
    }

    fn certificate(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    fn settings(&self) -> [String; 4] {
        let of = |name: &str, path: &Path| format!("http.{name}={}", path.display());
        ["--set".into(), of("tls_cert", &self.certificate()), "--set".into(), of("tls_key", &self.key())]
    }
}

/// Sends a request over TLS with a client that trusts only this certificate.
fn ask(server: &Server, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let client =
        ClientConnection::new(config, ServerName::try_from("localhost").expect("a name")).expect("a client");
    let stream = TcpStream::connect(("127.0.0.1", server.address.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(ASK)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn tls_files_are_reloaded_on_sighup() {
    let (files, first) = Files::new();
    let settings = files.settings();
    let mut args: Vec<&str> = settings.iter().map(String::as_str).collect();
    args.extend(["--listen", "0.0.0.0:0"]);
    let server = Server::start(&args);
    assert!(server.url.starts_with("https://0.0.0.0:"), "{}", server.url);
    let answer = ask(&server, &first).expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("strict-transport-security: max-age=31536000"),
        "{answer}"
    );

    let second = files.renew();
    assert!(ask(&server, &second).is_err(), "not before SIGHUP");
    server.hang_up();
    // Until the signal is handled, the server uses the first certificate.
    while ask(&server, &second).is_err() {}
    assert!(ask(&server, &first).is_err());

    fs::write(files.certificate(), "broken").expect("it is ours");
    server.hang_up();
    for _ in 0..10 {
        assert!(ask(&server, &second).is_ok(), "the old one stays");
    }
    let finished = server.terminate();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("reloaded the certificate; it is valid until 4096-01-01"),
        "{}",
        finished.stderr
    );
    let stays = "keeping the previous certificate: ";
    assert!(
        finished.stderr.contains(stays) && finished.stderr.contains("certificate.pem holds no certificate"),
        "{}",
        finished.stderr
    );
    assert!(!finished.stderr.contains("PRIVATE KEY"), "{}", finished.stderr);
}

#[test]
fn unusable_tls_files_stop_the_start() {
    let (files, _) = Files::new();
    let settings = files.settings();
    let data_dir = files.dir.path().join("data");
    let start = || {
        let args: Vec<&str> = ["serve", "--listen", "127.0.0.1:0"]
            .into_iter()
            .chain(settings.iter().map(String::as_str))
            .collect();
        let finished = on(&data_dir, &args, "");
        assert_eq!(finished.code(), 2, "{}", finished.stderr);
        assert!(!data_dir.exists() && finished.stderr.contains("\n hint: "), "{}", finished.stderr);
        finished.stderr
    };
    fs::set_permissions(files.key(), fs::Permissions::from_mode(0o644)).expect("it is ours");
    let said = start();
    assert!(
        said.contains("key.pem holds a key, and others can read it (mode 0644)")
            && said.contains("chmod 600"),
        "{said}"
    );
    let old = fs::read(files.certificate()).expect("it is there");
    files.renew();
    fs::write(files.certificate(), old).expect("it is ours");
    assert!(start().contains("key.pem holds the key of another certificate"));
    fs::remove_file(files.certificate()).expect("it is there");
    assert!(start().contains("certificate.pem can't be read"));
}

fn ask_through(path: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(ASK)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_unix_socket_belongs_to_one_live_server() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("quash.sock");
    let listen = format!("unix:{}", path.display());
    let start = || Server::start(&["--listen", &listen]);
    let server = start();
    assert_eq!(server.url, listen);
    assert!(ask_through(&path).expect("an answer").starts_with("HTTP/1.1 200 "));
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o660);

    let second = on(&dir.path().join("data"), &["serve", "--listen", &listen], "");
    assert_eq!(second.code(), 3, "{}", second.stderr);
    assert!(second.stderr.contains("another process is listening there"), "{}", second.stderr);
    assert!(ask_through(&path).is_ok(), "the first server keeps running");

    server.kill();
    assert!(path.exists() && ask_through(&path).is_err(), "the killed server couldn't remove it");
    let server = start();
    assert!(ask_through(&path).is_ok());
    assert_eq!(server.terminate().code(), 0);
    assert!(!path.exists());

    fs::write(&path, "keep me").expect("it is ours");
    let refused = on(&dir.path().join("data"), &["serve", "--listen", &listen], "");
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("isn't a socket") && fs::read(&path).is_ok_and(|text| text == b"keep me"),
        "{}",
        refused.stderr
    );
}

#[test]
fn cors_allows_the_configured_origins() {
    let server = Server::start(&["--set", "http.cors_origins=https://app.example,http://localhost:3000"]);
    for (origin, seen) in
        [("https://app.example", true), ("http://localhost:3000", true), ("https://evil.example", false)]
    {
        let answer =
            support::request(server.address, "GET", "/livez", &[("Origin", origin)], b"").expect("an answer");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin).filter(|_| seen));
    }
    let evil = |headers: &[(&str, &str)]| {
        let headers = [&[("Origin", "https://evil.example")], headers].concat();
        support::request(server.address, "GET", "/livez", &headers, b"").expect("an answer");
    };
    evil(&[("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "cross-site")]);
    let form = [("Origin", "https://form.example"), ("Sec-Fetch-Mode", "navigate")];
    support::request(server.address, "GET", "/livez", &form, b"").expect("an answer");
    let own = format!("http://{}", server.address);
    support::request(server.address, "GET", "/livez", &[("Origin", &own)], b"").expect("an answer");
    let stderr = server.terminate().stderr;
    let refusals: Vec<_> = stderr.lines().filter(|line| line.contains("CORS")).collect();
    assert!(
        matches!(refusals[..], [line] if line.contains("https://evil.example cannot read responses")),
        "{stderr}"
    );
}
