//! Minimal clients: HTTP/1.1 as raw bytes, so that they can be malformed, and hyper's HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::certificates::Certificate;

/// Opens a TLS connection to a server with this certificate.
pub(crate) async fn connect(
    address: SocketAddr,
    trusted: &Certificate,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").expect("a name"), stream)
        .await
}

/// Sends bytes, and reads one response with a body of known length.
pub(crate) async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> String {
    stream.write_all(request).await.expect("it is read");
    let mut answer = Vec::new();
    let length = loop {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").expect("an answer");
        answer.push(byte);
        if answer.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            break length.unwrap_or(0);
        }
    };
    let mut body = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut body)).await.expect("a body in time").expect("a body");
    answer.extend(body);
    String::from_utf8(answer).expect("UTF-8")
}

/// Sends bytes, and reads until the server closes the connection.
pub(crate) async fn ask_to_the_end(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
) -> Vec<u8> {
    // A server that has seen enough may close before all is written, and reset what it hasn't read.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    answer
}

/// A `GET` of a path, on a connection that stays open.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Starts HTTP/2 over a stream. The task ends with the connection.
pub(crate) async fn http2(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> (SendRequest<Empty<&'static [u8]>>, JoinHandle<()>) {
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) =
        builder.timer(TokioTimer::new()).handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    let open = tokio::spawn(async move {
        let _ended = connection.await;
    });
    (sender, open)
}

/// Status, headers and body of a `GET` over HTTP/2.
pub(crate) async fn get2(
    sender: &mut SendRequest<Empty<&'static [u8]>>,
    path: &str,
) -> (u16, http::HeaderMap, String) {
    sender.ready().await.expect("an open connection");
    let uri = format!("https://localhost{path}");
    let request = http::Request::get(uri).body(Empty::new()).expect("a request");
    let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
}
