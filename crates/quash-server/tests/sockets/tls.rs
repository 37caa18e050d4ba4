//! TLS: versions and protocols, the certificate, its reload, and clients that try to block the server.

use std::time::Duration;

use quash_core::model::Timestamp;
use quash_server::{Listener, TlsFaultKind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::certificates::{Certificate, Files, NOW};
use super::client::{ask, ask_to_the_end, connect, get, get2, http2};
use super::support::World;
use super::{PATIENCE, Served, hello, jumping};

const HSTS: &str = "strict-transport-security: max-age=31536000\r\n";

#[tokio::test]
async fn http1_and_http2_work_over_tls() {
    let (world, certificate) = (World::open().await, Certificate::new());
    let tls = Files::of(&certificate).load().expect("TLS");
    let served = Served::start(world.router(), |listener| listener.with_tls(tls)).await;

    let (mut sender, _open) =
        http2(connect(served.address, &certificate, &["h2", "http/1.1"]).await.expect("a handshake")).await;
    let (status, headers, body) = get2(&mut sender, "/livez").await;
    assert_eq!((status, body.as_str()), (200, r#"{"status":"ok"}"#));
    assert_eq!(headers["strict-transport-security"], "max-age=31536000");
    assert_eq!(get2(&mut sender, "/v1/me").await.0, 401, "on the same connection");

    for alpn in [&["http/1.1"][..], &[]] {
        let mut stream = connect(served.address, &certificate, alpn).await.expect("a handshake");
        let answer = ask(&mut stream, &get("/livez")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(HSTS), "{alpn:?}: {answer}");
    }
    assert!(connect(served.address, &certificate, &["h3"]).await.is_err(), "nothing in common");
    assert!(connect(served.address, &Certificate::new(), &["h2"]).await.is_err(), "another's certificate");
}

#[tokio::test]
async fn a76_plain_responses_have_no_hsts() {
    let world = World::open().await;
    let served = Served::start(world.router(), |listener| listener).await;
    let answer =
        ask(&mut TcpStream::connect(served.address).await.expect("it listens"), &get("/livez")).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("strict-transport-security"),
        "{answer}"
    );
}

/// A TLS client hello that offers this version and no newer one.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let mut hello = Vec::from(version);
    hello.extend([7; 32]);
    // No session; two suites with AES; no compression; then common groups, point formats and signatures.
    hello.extend([0, 0, 4, 0xc0, 0x13, 0xc0, 0x2f, 1, 0]);
    let extensions: [&[u8]; 3] =
        [&[0, 10, 0, 4, 0, 2, 0, 23], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 4, 0, 2, 4, 3]];
    let extensions = extensions.concat();
    hello.extend([0, u8::try_from(extensions.len()).expect("a few")]);
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).expect("a short message");
    [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat()
}

#[tokio::test]
async fn old_tls_versions_are_refused() {
    let tls = Files::of(&Certificate::new()).load().expect("TLS");
    let served = Served::start(hello(), |listener| listener.with_tls(tls)).await;
    for version in [[3, 0], [3, 1], [3, 2]] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        let answer = ask_to_the_end(&mut stream, &client_hello(version)).await;
        assert_eq!(
            (answer[0], &answer[5..]),
            (0x15, &[2, 70][..]),
            "a fatal alert, protocol_version: {version:?}"
        );
    }
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(&client_hello([3, 3])).await.expect("it is read");
    assert_ne!(
        tokio::io::AsyncReadExt::read_u8(&mut stream).await.expect("an answer"),
        0,
        "TLS 1.2 is looked at"
    );
}

#[tokio::test]
async fn plain_http_at_tls_ports_fails_immediately() {
    let certificate = Certificate::new();
    let tls = Files::of(&certificate).load().expect("TLS");
    let served = Served::start(hello(), |listener| listener.with_tls(tls)).await;
    for bytes in [&get("/")[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\0", &[0xff; 5000]] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        let answer = timeout(PATIENCE / 10, ask_to_the_end(&mut stream, bytes))
            .await
            .expect("no deadline is waited for");
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let mut stream = connect(served.address, &certificate, &[]).await.expect("others aren't disturbed");
    assert!(ask(&mut stream, &get("/")).await.ends_with("hello"));
}

#[tokio::test]
async fn reloaded_certificates_apply_to_new_connections() {
    let (first, second) = (Certificate::new(), Certificate::new());
    let files = Files::of(&first);
    let tls = files.load().expect("TLS");
    let handle = tls.clone();
    let served = Served::start(hello(), |listener| listener.with_tls(tls)).await;
    let mut open = connect(served.address, &first, &[]).await.expect("a handshake");
    assert!(ask(&mut open, &get("/")).await.ends_with("hello"));

    files.put(&second);
    assert!(connect(served.address, &first, &[]).await.is_ok(), "not before it is said");
    handle.reload(NOW).expect("two good files");
    assert!(connect(served.address, &first, &[]).await.is_err(), "the first one isn't shown any more");
    let mut new = connect(served.address, &second, &[]).await.expect("the second one is");
    assert!(ask(&mut new, &get("/")).await.ends_with("hello"));
    assert!(ask(&mut open, &get("/")).await.ends_with("hello"), "an open connection goes on");
}

#[tokio::test]
async fn failed_reloads_keep_the_old_certificate() {
    let (first, second) = (Certificate::new(), Certificate::new());
    let files = Files::of(&first);
    let tls = files.load().expect("TLS");
    let (handle, until) = (tls.clone(), tls.valid_until());
    let served = Served::start(hello(), |listener| listener.with_tls(tls)).await;
    files.write("certificate.pem", second.pem.as_bytes());
    let fault = handle.reload(NOW).expect_err("the key is still the first one's");
    assert_eq!((fault.kind, fault.file), (TlsFaultKind::AnothersKey, files.names().key));
    assert!(connect(served.address, &first, &[]).await.is_ok());
    std::fs::remove_file(files.names().key).expect("it is there");
    assert_eq!(
        handle.reload(NOW).expect_err("no key").kind,
        TlsFaultKind::Unreadable(std::io::ErrorKind::NotFound)
    );
    assert!(connect(served.address, &first, &[]).await.is_ok());
    assert_eq!(handle.valid_until(), until);
    files.put(&second);
    handle.reload(NOW).expect("two good files");
    assert!(connect(served.address, &second, &[]).await.is_ok());
}

#[tokio::test]
async fn unusable_tls_files_are_named_with_their_error() {
    let (good, other) = (Certificate::new(), Certificate::new());
    let kind = |files: &Files| files.load().map(|_| ()).map_err(|fault| fault.kind);
    let with = |name: &str, content: &[u8]| {
        let files = Files::of(&good);
        files.write(name, content);
        kind(&files)
    };
    assert_eq!(kind(&Files::of(&good)), Ok(()));
    let chain = format!("{}{}", good.pem, other.pem);
    assert_eq!(with("certificate.pem", chain.as_bytes()), Ok(()), "a chain");
    assert_eq!(
        with("certificate.pem", format!("{}{}", good.key, good.pem).as_bytes()),
        Ok(()),
        "both in one file"
    );
    let (certificate, key) = ("certificate.pem", "key.pem");
    let broken = good.pem.replace("MII", "AII");
    for (name, content, wanted) in [
        (certificate, String::new(), TlsFaultKind::NoCertificate),
        (certificate, "not PEM at all".into(), TlsFaultKind::NoCertificate),
        (certificate, good.key.clone(), TlsFaultKind::NoCertificate),
        (certificate, good.pem[..good.pem.len() - 40].into(), TlsFaultKind::NotPem),
        (certificate, broken, TlsFaultKind::BadCertificate),
        (certificate, " ".repeat(256 * 1024 + 1), TlsFaultKind::TooLong),
        (
            certificate,
            format!("{}{}", good.pem, " ".repeat(256 * 1024 - good.pem.len() + 1)),
            TlsFaultKind::TooLong,
        ),
        (key, String::new(), TlsFaultKind::NoKey),
        (key, good.pem.clone(), TlsFaultKind::NoKey),
        (key, good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), TlsFaultKind::NoKey),
        (key, good.key[..good.key.len() - 30].into(), TlsFaultKind::NotPem),
        (key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(), TlsFaultKind::BadKey),
        (key, other.key.clone(), TlsFaultKind::AnothersKey),
    ] {
        assert_eq!(with(name, content.as_bytes()), Err(wanted), "{name}: {content:.80}");
    }
    let longest = format!("{}{}", good.pem, " ".repeat(256 * 1024 - good.pem.len()));
    assert_eq!(with(certificate, longest.as_bytes()), Ok(()));
}

#[tokio::test]
async fn tls_key_permissions_are_checked() {
    let files = Files::of(&Certificate::new());
    for mode in [0o400, 0o600, 0o640, 0o440] {
        files.open_to("key.pem", mode);
        assert!(files.load().is_ok(), "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o660, 0o620, 0o601, 0o610] {
        files.open_to("key.pem", mode);
        let fault = files.load().expect_err("others may read or change it");
        assert_eq!(fault.kind, TlsFaultKind::OpenToOthers { mode });
        assert!(
            fault.to_string().contains("key.pem") && fault.to_string().contains(&format!("{mode:04o}")),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn certificate_validity_includes_both_ends() {
    let certificate = Certificate::with(|params| {
        params.not_before = rcgen::date_time_ymd(2027, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 4, 1);
    });
    let files = Files::of(&certificate);
    let at =
        |secs| quash_server::Tls::load(files.names(), Timestamp::from_secs(secs)).map_err(|fault| fault.kind);
    let (first, last) = (1_798_761_600, 1_806_537_600);
    assert_eq!(at(first - 1).err(), Some(TlsFaultKind::NotYetValid));
    assert_eq!(at(first).map(|tls| tls.valid_until()).ok(), Some(Timestamp::from_secs(last)));
    assert!(at(last).is_ok());
    assert_eq!(at(last + 1).err(), Some(TlsFaultKind::Expired));
    let tls = at(first).expect("it holds");
    assert_eq!(
        tls.reload(Timestamp::from_secs(last + 1)).expect_err("it doesn't").kind,
        TlsFaultKind::Expired
    );
    assert_eq!(tls.valid_until(), Timestamp::from_secs(last), "and goes on being used");
}

#[tokio::test]
async fn a81_missing_tls_handshakes_time_out() {
    let certificate = Certificate::new();
    let tls = Files::of(&certificate).load().expect("TLS");
    let served = Served::start(hello(), |listener: Listener| listener.with_tls(tls)).await;
    let hello = client_hello([3, 3]);
    for part in [&[][..], &hello[..1], &hello[..hello.len() - 1]] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        let (answer, passed) = jumping(ask_to_the_end(&mut stream, part)).await;
        assert!(
            answer.is_empty() && passed < Duration::from_millis(10_100),
            "after {} bytes: {passed:?}",
            part.len()
        );
    }
    let mut stream = connect(served.address, &certificate, &[]).await.expect("a handshake");
    let (answer, passed) = jumping(ask_to_the_end(&mut stream, b"GET / HT")).await;
    assert!(
        answer.is_empty() && passed < Duration::from_millis(11_100),
        "the head is bounded over TLS, too: {passed:?}"
    );
}

#[tokio::test]
async fn shutdown_does_not_wait_for_handshakes() {
    let tls = Files::of(&Certificate::new()).load().expect("TLS");
    let served = Served::start(hello(), |listener| listener.with_tls(tls)).await;
    let mut silent = TcpStream::connect(served.address).await.expect("it listens");
    // Once this later client has its error, the server has accepted the silent one.
    let mut plain = TcpStream::connect(served.address).await.expect("it listens");
    ask_to_the_end(&mut plain, &get("/")).await;
    let ((), passed) = jumping(served.stop()).await;
    assert_eq!(passed, Duration::ZERO);
    assert_eq!(ask_to_the_end(&mut silent, b"").await, b"");
}
