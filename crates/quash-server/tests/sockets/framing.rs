//! Request framing: heads that are too large, contradictory lengths, malformed headers. None leads to a 500,
//! and no second request hides in the first.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::{ask, ask_to_the_end, get};
use super::support::World;
use super::{Served, hello};

async fn sent(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    let answer = ask_to_the_end(&mut stream, bytes).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Each is refused with 400 and the connection closed: the rest isn't read.
#[tokio::test]
async fn a80_invalid_lengths_are_refused() {
    let served = Served::start(hello(), |listener| listener).await;
    let follow = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1, 2",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 0x1",
        "Content-Length: 99999999999999999999999",
        "Content-Length:",
        "Content-Length : 1",
        " Content-Length: 1",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding\u{0}: chunked",
    ] {
        let answer =
            sent(&served, format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\na{follow}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/3.0",
        "GET /\u{0} HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "GET / http/1.1",
        "\u{16}\u{3}\u{1}",
    ] {
        let answer = sent(&served, format!("{line}\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 505 "),
            "{line:?}: {answer}"
        );
    }
}

/// RFC 9112 6.3: the chunks count, and the connection closes. A proxy that counted differently can't be led
/// to forward the rest as another client's request.
#[tokio::test]
async fn a80_length_with_chunks_closes_the_connection() {
    let served = Served::start(hello(), |listener| listener).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for heads in [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
    ] {
        let answer = sent(
            &served,
            format!("POST / HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n0\r\n\r\n{smuggled}", heads.join("\r\n"))
                .as_bytes(),
        )
        .await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a80_chunks_are_parsed_strictly() {
    let served = Served::start(hello(), |listener| listener).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    let answer = ask(&mut stream, format!("{head}3;a=b\r\nabc\r\n0\r\n\r\n").as_bytes()).await;
    assert!(answer.ends_with("\r\n\r\n3"), "an extension is nothing to us: {answer}");
    let long = "x".repeat(17 * 1024);
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "-1\r\na\r\n",
        "g\r\n",
        "fffffffffffffffff\r\na",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3;a=\nb\r\nabc\r\n",
        &format!("3;{long}\r\nabc\r\n0\r\n\r\n"),
    ] {
        let answer = sent(&served, format!("{head}{body}").as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{body:.20?}: {answer}");
    }
}

#[tokio::test]
async fn request_head_size_is_limited() {
    let served = Served::start(hello(), |listener| listener).await;
    let of_headers = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n", "a: b\r\n".repeat(count - 2))
    };
    assert!(sent(&served, of_headers(100).as_bytes()).await.starts_with("HTTP/1.1 200 "));
    assert!(sent(&served, of_headers(101).as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let of_length = |length: usize| {
        let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\na: ";
        format!("{head}{}\r\n\r\n", "x".repeat(length - head.len() - 4))
    };
    assert!(sent(&served, of_length(16 * 1024).as_bytes()).await.starts_with("HTTP/1.1 200 "));
    assert!(sent(&served, of_length(64 * 1024).as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a78_malformed_authorization_headers_are_handled() {
    let world = World::open().await;
    let served = Served::start(world.router(), |listener| listener).await;
    let live = world.sign_in("dana").await.access;
    let lines = |values: &[&[u8]]| {
        let lines: Vec<Vec<u8>> =
            values.iter().map(|value| [b"Authorization: ", *value, b"\r\n"].concat()).collect();
        [&b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"[..], &lines.concat(), b"\r\n"].concat()
    };
    let bearer = format!("Bearer {live}");
    let (lower, tab) =
        (bearer.to_lowercase().replace(&live.to_lowercase(), &live), bearer.replace(' ', "\t"));
    let long = format!("Bearer {}", "x".repeat(64 * 1024));
    for (values, status) in [
        (&[][..], 401),
        (&[&b""[..]], 401),
        (&[b"Bearer"], 401),
        (&[b"Bearer  x y"], 401),
        (&[b"Bearer \xff\xfe\x80"], 401),
        (&[b"Basic ZGFuYTpwYXNzd29yZA=="], 401),
        (&[bearer.as_bytes(), bearer.as_bytes()], 401),
        (&[bearer.as_bytes()], 200),
        (&[lower.as_bytes()], 200),
        (&[tab.as_bytes()], 200),
        (&[long.as_bytes()], 431),
        (&[b"Bearer a\0b"], 400),
        (&[b"Bearer a\rb"], 400),
    ] {
        let answer = sent(&served, &lines(values)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let served = Served::start(hello(), |listener| listener).await;
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(&get("/").repeat(3)).await.expect("it is read");
    for _ in 0..3 {
        assert!(ask(&mut stream, b"").await.ends_with("hello"));
    }
}

fn with_body(path: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &vec![b'x'; length]].concat()
}

/// An unwanted body is read nevertheless: its client receives the response, and the connection stays open.
#[tokio::test]
async fn unread_bodies_keep_the_connection_open() {
    let world = World::open().await;
    let served = Served::start(world.router(), |listener| listener).await;
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    for (path, length, status) in [
        ("/livez", 300_000, 405),
        ("/api/token/", 200_000, 413),
        ("/nowhere", 1_048_576, 404),
        ("/livez", 1, 405),
    ] {
        let answer = ask(&mut stream, &with_body(path, length)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && !answer.contains("connection: close"),
            "{path} {length}: {answer}"
        );
    }
    assert!(ask(&mut stream, &get("/livez")).await.starts_with("HTTP/1.1 200 "));
}

/// A body that is too long for that, or that the client hasn't begun to send, ends the connection, and the
/// response says so.
#[tokio::test]
async fn large_unread_bodies_announce_connection_close() {
    let world = World::open().await;
    let served = Served::start(world.router(), |listener| listener).await;
    let head = |more: &str| format!("POST /livez HTTP/1.1\r\nHost: localhost\r\n{more}\r\n\r\n");
    let chunked = format!(
        "{}{}",
        head("Transfer-Encoding: chunked"),
        format!("10000\r\n{}\r\n", "x".repeat(65_536)).repeat(17)
    );
    for request in
        [head("Content-Length: 1048577"), head("Content-Length: 5\r\nExpect: 100-continue"), chunked]
    {
        let answer = sent(&served, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("connection: close\r\n"), "{answer}");
    }
}
