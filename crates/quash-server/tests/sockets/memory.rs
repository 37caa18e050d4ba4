//! The memory of unfinished requests: when it is exhausted, those that have waited longest are ended, and a
//! client that sends its request promptly is served.

use quash_server::Listener;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Served;
use super::client::{ask, ask_to_the_end, get};
use super::support::{PASSWORD, World};

const MEMORY: usize = 1024 * 1024;

async fn sending(served: &Served, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(bytes).await.expect("it is read");
    stream
}

/// A sign-in whose body does not end.
fn unfinished_body() -> Vec<u8> {
    let head = "POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 30000\r\n\r\n";
    format!("{head}{}", " ".repeat(8000)).into_bytes()
}

async fn assert_served(served: &Served) {
    let body = json!({ "username": "dana", "password": PASSWORD }).to_string();
    let head = "POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ";
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    let answer = ask(&mut stream, format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn the_oldest_unfinished_body_gets_503() {
    let served =
        Served::start(World::open().await.router(), |listener: Listener| listener.with_memory(MEMORY)).await;
    let mut first = sending(&served, &unfinished_body()).await;
    let mut others = Vec::new();
    for _ in 0..40 {
        others.push(sending(&served, &unfinished_body()).await);
    }
    let answer = String::from_utf8(ask_to_the_end(&mut first, b"").await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nconnection: close\r\n") && answer.contains("Too many requests are unfinished."),
        "{answer}"
    );
    assert_served(&served).await;
}

#[tokio::test]
async fn unfinished_heads_are_closed_when_memory_is_needed() {
    let served =
        Served::start(World::open().await.router(), |listener: Listener| listener.with_memory(MEMORY)).await;
    let head = format!("GET /livez HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(8000));
    let mut first = sending(&served, head.as_bytes()).await;
    let mut others = Vec::new();
    for _ in 0..40 {
        others.push(sending(&served, head.as_bytes()).await);
    }
    assert!(ask_to_the_end(&mut first, b"").await.is_empty());
    assert_served(&served).await;
}

#[tokio::test]
async fn requests_without_one_valid_host_get_400() {
    let served = Served::start(World::open().await.router(), |listener| listener).await;
    for (version, hosts, detail) in [
        ("1.1", "", "no Host header"),
        ("1.1", "Host: a\r\nHost: a\r\n", "more than one Host header"),
        ("1.0", "Host: a\r\nHost: b\r\n", "more than one Host header"),
        ("1.1", "Host: a/b\r\n", "does not name a host"),
        ("1.1", "Host: a b\r\n", "does not name a host"),
    ] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        let answer = ask(&mut stream, format!("GET /livez HTTP/{version}\r\n{hosts}\r\n").as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/{version} 400 ")) && answer.contains(detail),
            "{hosts:?}: {answer}"
        );
        assert!(
            answer.contains("\r\ncontent-type: application/problem+json\r\n")
                && answer.contains("\r\nx-request-id: "),
            "{answer}"
        );
    }
    for request in [
        "GET /livez HTTP/1.0\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(served.address).await.expect("it listens");
        assert!(ask(&mut stream, request.as_bytes()).await.contains(" 200 OK\r\n"), "{request}");
    }
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    assert!(ask(&mut stream, &get("/livez")).await.starts_with("HTTP/1.1 200 "));
}
