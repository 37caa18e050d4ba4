//! Long responses: a client may read slowly, but must not stall. In memory, so that the clock can't run ahead
//! of bytes.

use axum::routing::get;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::*;

/// More than the buffers of a connection hold.
const LENGTH: usize = 4 * 1024 * 1024;
/// The bytes that a slow client reads at once, and its interval.
const PART: usize = 256 * 1024;
const EVERY: Duration = Duration::from_secs(10);

fn connect() -> (DuplexStream, JoinHandle<Duration>) {
    let router = Router::new().route("/", get(async || vec![b'x'; LENGTH]));
    let (client, server) = duplex(64 * 1024);
    let attended = tokio::spawn(async move {
        let (_stop, stopping) = watch::channel(false);
        passed(ConnectionHandler::new(router, stopping).serve_connection(Box::new(server), None, None)).await
    });
    (client, attended)
}

/// Returns the time that a future takes.
async fn passed(done: impl Future<Output = ()>) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the test measures how far its paused clock jumped")]
    let begun = tokio::time::Instant::now();
    done.await;
    begun.elapsed()
}

async fn open_http2(
    client: DuplexStream,
) -> (hyper::body::Incoming, http2::SendRequest<Empty<&'static [u8]>>) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) =
        builder.timer(TokioTimer::new()).handshake(TokioIo::new(client)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::get("http://localhost/").body(Empty::new()).expect("a request");
    (sender.send_request(request).await.expect("an answer").into_body(), sender)
}

#[tokio::test(start_paused = true)]
async fn slow_downloads_complete() {
    let (mut client, _attended) = connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it is read");
    let (mut read, mut part, mut until_closable) = (0, vec![0; PART], interval(EVERY));
    loop {
        until_closable.tick().await;
        let mut taken = 0;
        while taken < PART {
            match client.read(&mut part[taken..]).await.expect("it isn't cut") {
                0 => {
                    assert!(read + taken > LENGTH, "the body and its head");
                    return;
                }
                more => taken += more,
            }
        }
        read += taken;
    }
}

#[tokio::test(start_paused = true)]
async fn stalled_downloads_are_disconnected() {
    let (mut client, attended) = connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is read");
    let passed = attended.await.expect("it ends");
    assert!((30..=32).contains(&passed.as_secs()), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_http2_downloads_complete() {
    let (client, _attended) = connect();
    let (mut body, _sender) = open_http2(client).await;
    let (mut read, mut due, mut until_closable) = (0, 0, interval(EVERY));
    while let Some(frame) = body.frame().await {
        read += frame.expect("it isn't cut").into_data().expect("data").len();
        if read >= due {
            due += PART;
            until_closable.tick().await;
        }
    }
    assert_eq!(read, LENGTH);
}

#[tokio::test(start_paused = true)]
async fn stalled_http2_streams_are_disconnected() {
    let (client, attended) = connect();
    // The stream's window is used up, while the connection itself takes and answers pings.
    let (_body, _sender) = open_http2(client).await;
    let passed = attended.await.expect("it ends");
    assert!((30..=32).contains(&passed.as_secs()), "{passed:?}");
}
