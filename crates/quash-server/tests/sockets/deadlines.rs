//! Time limits of connections, their maximum number, and their end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::get as on_get;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Interval, interval};

use super::client::{ask, ask_to_the_end, get, get2, http2};
use super::{Served, hello, jumping};

/// Slightly longer than an idle connection is kept.
const IDLE: Duration = Duration::from_millis(11_100);

#[tokio::test]
async fn a81_missing_request_heads_time_out() {
    let served = Served::start(hello(), |listener| listener).await;
    let h2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for part in ["", "G", &h2[..20], "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: b", h2] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        let (answer, passed) = jumping(ask_to_the_end(&mut stream, part.as_bytes())).await;
        assert!(!answer.starts_with(b"HTTP/1.1 2") && passed < IDLE, "{part:?}: {passed:?}");
    }
}

#[tokio::test]
async fn a81_slow_request_heads_time_out() {
    let served = Served::start(hello(), |listener| listener).await;
    let (mut read, mut write) = TcpStream::connect(served.address).await.expect("it listens").into_split();
    let drip = async move {
        let mut second = interval(Duration::from_secs(1));
        let _ = write.write_all(b"GET / HTTP/1.1\r\n").await;
        while write.write_all(b"a: b\r\n").await.is_ok() {
            second.tick().await;
        }
    };
    let mut answer = Vec::new();
    let ((), passed) = jumping(async {
        tokio::select! {
            _ = read.read_to_end(&mut answer) => {}
            () = drip => {}
        }
    })
    .await;
    assert!(passed < IDLE, "{passed:?}");
}

#[tokio::test]
async fn used_connections_close_when_idle() {
    let served = Served::start(hello(), |listener| listener).await;
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    for _ in 0..3 {
        assert!(ask(&mut stream, &get("/")).await.ends_with("hello"));
    }
    let (answer, passed) = jumping(ask_to_the_end(&mut stream, b"")).await;
    assert!(answer.is_empty() && passed < IDLE, "{passed:?}");
}

#[tokio::test]
async fn idle_connections_are_kept_as_long_as_announced() {
    let idle = Duration::from_secs(40);
    let served = Served::start(hello(), |listener| listener.keeping_idle(idle)).await;
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    let answer = ask(&mut stream, &get("/")).await;
    assert!(answer.contains("\r\nkeep-alive: timeout=40\r\n"), "{answer}");
    let (answer, passed) = jumping(ask_to_the_end(&mut stream, b"")).await;
    assert!(answer.is_empty() && (idle..Duration::from_secs(43)).contains(&passed), "{passed:?}");

    // A head that has begun must still arrive in time.
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    ask(&mut stream, &get("/")).await;
    let (answer, passed) = jumping(ask_to_the_end(&mut stream, b"GET / HTTP/1.1\r\n")).await;
    assert!(answer.is_empty() && passed < IDLE, "{passed:?}");

    for (request, version) in [
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: TE, Close\r\n\r\n", 1),
        ("GET / HTTP/1.0\r\nHost: x\r\n\r\n", 0),
    ] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        let answer = String::from_utf8(ask_to_the_end(&mut stream, request.as_bytes()).await).expect("text");
        assert!(
            answer.starts_with(&format!("HTTP/1.{version} 200 ")) && !answer.contains("keep-alive:"),
            "{answer}"
        );
    }
    let (mut sender, open) = http2(TcpStream::connect(served.address).await.expect("it listens")).await;
    let (_, headers, _) = get2(&mut sender, "/").await;
    assert!(!headers.contains_key("keep-alive"));
    let (ended, passed) = jumping(open).await;
    assert!(ended.is_ok() && (idle..Duration::from_secs(43)).contains(&passed), "{passed:?}");
}

#[tokio::test]
async fn a81_idle_http2_connections_close_despite_pings() {
    let served = Served::start(hello(), |listener| listener).await;
    let (mut sender, open) = http2(TcpStream::connect(served.address).await.expect("it listens")).await;
    for _ in 0..3 {
        assert_eq!(get2(&mut sender, "/").await.2, "hello");
    }
    let (ended, passed) = jumping(open).await;
    assert!(ended.is_ok() && passed < IDLE, "{passed:?}");
}

/// A body of unknown length: a word at intervals longer than the idle time.
struct Slow {
    every: Interval,
    left: usize,
}

impl hyper::body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.every.poll_tick(context));
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"word ")))))
    }
}

#[tokio::test]
async fn progressing_responses_are_not_interrupted() {
    let slow =
        || async { Response::new(Body::new(Slow { every: interval(Duration::from_secs(12)), left: 4 })) };
    let served = Served::start(Router::new().route("/", on_get(slow)), |listener| listener).await;
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(&get("/")).await.expect("it is read");
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.expect("the request is under way");
    let (answer, passed) = jumping(ask_to_the_end(&mut stream, b"")).await;
    assert_eq!(String::from_utf8_lossy(&answer).matches("word ").count(), 4);
    assert!(passed >= Duration::from_secs(36), "{passed:?}");
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let served = Served::start(hello(), |listener| listener.at_most(2)).await;
    let open = async || TcpStream::connect(served.address).await.expect("the system takes it");
    let (mut first, mut second, mut third) = (open().await, open().await, open().await);
    third.write_all(&get("/")).await.expect("the system takes it");
    for _ in 0..10 {
        assert!(ask(&mut first, &get("/")).await.ends_with("hello"));
        assert!(ask(&mut second, &get("/")).await.ends_with("hello"));
    }
    let unanswered = third.try_read(&mut [0; 1]).expect_err("the third one waits");
    assert_eq!(unanswered.kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert!(ask(&mut third, b"").await.ends_with("hello"), "until one of the others is gone");
    assert!(ask(&mut second, &get("/")).await.ends_with("hello"));
}

#[tokio::test]
async fn shutdown_finishes_pending_requests() {
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (begins, ends) = (Arc::clone(&begun), Arc::clone(&may_end));
    let slow = || async move {
        begins.add_permits(1);
        ends.acquire().await.expect("it is open").forget();
        "done"
    };
    let served = Served::start(hello().route("/slow", on_get(slow)), |listener| listener).await;
    let address = served.address;
    let connect = async || TcpStream::connect(address).await.expect("it listens");
    let (mut one, mut idle, mut half) = (connect().await, connect().await, connect().await);
    assert!(ask(&mut idle, &get("/")).await.ends_with("hello"));
    half.write_all(b"GET / HTT").await.expect("it is read");
    one.write_all(&get("/slow")).await.expect("it is read");
    let (mut sender, open) = http2(connect().await).await;
    let other = tokio::spawn(async move { get2(&mut sender, "/slow").await.2 });
    begun.acquire_many(2).await.expect("it is open").forget();
    let stopping = tokio::spawn(served.stop());
    assert_eq!(ask_to_the_end(&mut idle, b"").await, b"");
    assert_eq!(ask_to_the_end(&mut half, b"").await, b"");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    may_end.add_permits(2);
    assert!(ask(&mut one, b"").await.ends_with("done"));
    assert_eq!(other.await.expect("it doesn't panic"), "done");
    let ((), passed) = jumping(async { stopping.await.expect("it doesn't panic") }).await;
    assert!(passed < Duration::from_secs(2), "{passed:?}");
    open.await.expect("it doesn't panic");
}

#[tokio::test]
async fn shutdown_aborts_endless_requests() {
    let begun = Arc::new(Semaphore::new(0));
    let begins = Arc::clone(&begun);
    let endless = || async move {
        begins.add_permits(1);
        std::future::pending::<&str>().await
    };
    let served = Served::start(Router::new().route("/", on_get(endless)), |listener| listener).await;
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(&get("/")).await.expect("it is read");
    begun.acquire().await.expect("it is open").forget();
    let ((), passed) = jumping(served.stop()).await;
    assert_eq!(passed.as_secs(), 8);
    assert_eq!(ask_to_the_end(&mut stream, b"").await, b"", "it is cut");
}
