//! Unix sockets: their owner, existing files in their place, and the address of clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use quash_server::{Listener, SocketFault};
use serde_json::json;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{ask, get};
use super::support::{PASSWORD, World};
use super::{PATIENCE, hello, serve};

#[tokio::test]
async fn unix_socket_clients_have_no_address() {
    let (world, room) = (World::open().await, tempfile::tempdir().expect("a temporary directory"));
    let path = room.path().join("quash.sock");
    let listener = Listener::unix(&path).await.expect("a socket");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o660);
    let (_stop, _serving) = serve(listener, world.router());
    let mut stream = UnixStream::connect(&path).await.expect("it listens");
    assert!(ask(&mut stream, &get("/livez")).await.ends_with(r#"{"status":"ok"}"#));
    let body = json!({ "username": "dana", "password": PASSWORD }).to_string();
    let head = format!(
        "POST /api/token/ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    assert!(ask(&mut stream, format!("{head}{body}").as_bytes()).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(world.sessions("dana").await[0].address, None);
}

#[tokio::test]
async fn the_socket_file_is_removed_with_the_listener() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let path = room.path().join("quash.sock");
    let (stop, serving) = serve(Listener::unix(&path).await.expect("a socket"), hello());
    assert!(path.exists());
    stop.send(()).expect("it runs");
    timeout(PATIENCE, serving).await.expect("it ends").expect("it doesn't panic").expect("it serves");
    assert!(!path.exists());
}

#[tokio::test]
async fn stale_sockets_are_replaced() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let path = room.path().join("quash.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let (_stop, _serving) = serve(Listener::unix(&path).await.expect("it is stale"), hello());
    assert!(
        ask(&mut UnixStream::connect(&path).await.expect("it listens"), &get("/")).await.ends_with("hello")
    );
}

#[tokio::test]
async fn sockets_of_live_servers_are_kept() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let path = room.path().join("quash.sock");
    let (_stop, _serving) = serve(Listener::unix(&path).await.expect("a socket"), hello());
    assert!(matches!(Listener::unix(&path).await, Err(SocketFault::InUse)));
    assert!(
        ask(&mut UnixStream::connect(&path).await.expect("it listens"), &get("/")).await.ends_with("hello")
    );
}

#[tokio::test]
async fn files_other_than_sockets_are_kept() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let (file, directory, link) =
        (room.path().join("file"), room.path().join("directory"), room.path().join("link"));
    fs::write(&file, "keep me").expect("it is ours");
    fs::create_dir(&directory).expect("it is ours");
    std::os::unix::fs::symlink(&file, &link).expect("it is ours");
    for path in [&file, &directory, &link] {
        assert!(matches!(Listener::unix(path).await, Err(SocketFault::NotASocket)), "{}", path.display());
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "keep me");
    let nowhere = Listener::unix(&room.path().join("nowhere/quash.sock")).await;
    assert!(
        matches!(nowhere, Err(SocketFault::Failed(error)) if error.kind() == std::io::ErrorKind::NotFound)
    );
    let long = Listener::unix(&room.path().join("long".repeat(40))).await;
    assert!(matches!(long, Err(SocketFault::Failed(_))));
}

#[tokio::test]
async fn files_that_replaced_the_socket_are_kept() {
    let room = tempfile::tempdir().expect("a temporary directory");
    let path = room.path().join("quash.sock");
    let listener = Listener::unix(&path).await.expect("a socket");
    fs::rename(&path, room.path().join("away")).expect("it is ours");
    let other = Listener::unix(&path).await.expect("the place is free");
    drop(listener);
    assert!(path.exists());
    drop(other);
    assert!(!path.exists());
}
