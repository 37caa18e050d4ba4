//! A small HTTP server at the public address of an installation, with or without TLS.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The validity of a certificate.
#[derive(Clone, Copy)]
pub(super) enum Validity {
    /// It ends so many days from now.
    Days(u16),
    /// It has ended.
    Expired,
}

/// An answer: the status, further headers, and a body.
pub(super) type Answer = (u16, String, String);

/// Creates a self-signed certificate for `localhost`, with its key and as a trusted authority, and a server's TLS
/// settings.
pub(super) fn certificate(dir: &Path, validity: Validity) -> Arc<ServerConfig> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let today = i64::try_from(seconds() / 86_400).expect("a date");
    let (from, until) = match validity {
        Validity::Days(days) => (today - 1, today + i64::from(days)),
        Validity::Expired => (today - 10, today - 3),
    };
    // The beginning of a day, counted since 1970.
    let day = |number: i64| {
        let date = jiff::Timestamp::from_second(number * 86_400).expect("a date");
        let date = jiff::tz::Offset::UTC.to_datetime(date).date();
        let part = |part: i8| u8::try_from(part).expect("a part of a date");
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = day(from);
    params.not_after = day(until);
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(dir.join("trusted.pem"), certificate.pem()).expect("it is ours");
    fs::write(dir.join("key.pem"), key.serialize_pem()).expect("it is ours");
    fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let chain = vec![certificate.der().clone()];
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).expect("a pair"))
}

/// The seconds since the epoch.
pub(super) fn seconds() -> u64 {
    use quash_core::model::Clock;
    u64::try_from(quash_server::SystemClock.now().as_secs()).expect("after 1970")
}

/// Starts a server that answers each request by its path, and returns its address.
pub(super) fn serve(
    tls: Option<Arc<ServerConfig>>,
    answer: impl Fn(&str) -> Answer + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            match &tls {
                None => respond(stream, &answer),
                Some(config) => {
                    let Ok(connection) = ServerConnection::new(Arc::clone(config)) else { return };
                    respond(StreamOwned::new(connection, stream), &answer);
                }
            }
        }
    });
    address
}

/// Answers one request. A client may refuse the certificate and close the connection.
fn respond(stream: impl Read + Write, answer: &impl Fn(&str) -> Answer) {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    if stream.read_line(&mut first).is_err() {
        return;
    }
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let (status, headers, body) = answer(first.split(' ').nth(1).unwrap_or_default());
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let stream = stream.get_mut();
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).and_then(|()| stream.flush());
}
