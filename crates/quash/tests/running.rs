//! The server as a process: one at a time, stopped, killed, and malformed requests on its control socket.

use crate::support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use support::wait::within;
use support::{Server, on, quash};

const PASSWORD: &str = "a password of dana's";

#[test]
fn a_second_server_refuses() {
    let server = Server::start(&[]);
    let second = server.run(&["serve", "--listen", "127.0.0.1:0"], "");
    assert_eq!(second.code(), 3);
    assert!(second.stderr.contains("another quash serves the data directory"), "{}", second.stderr);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let same_address = on(&dir.path().join("data"), &["serve", "--listen", &server.address.to_string()], "");
    assert_eq!(same_address.code(), 3, "{}", same_address.stderr);
    assert_eq!(server.get("/livez", None).status, 200, "the first server keeps running");
    assert!(server.data_dir.join("control.sock").exists(), "and keeps its socket");
}

#[test]
fn sigterm_ends_a_server_whose_database_does_not_answer() {
    // It accepts connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = silent.local_addr().expect("an address");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = dir.path().join("url");
    fs::write(&url, format!("postgres://quash@{address}/quash?connect_timeout=60")).expect("it is ours");
    fs::set_permissions(&url, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let mut command = quash();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--set"])
        .arg(format!("storage.url_file={}", url.display()));
    command.arg("--data-dir").arg(dir.path().join("data")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("the binary starts");
    let _connection = silent.accept().expect("it connects");
    rustix::process::kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    // The database has longer than this to answer.
    let ended = within(30, || server.try_wait().expect("it is ours").is_some());
    let _ = server.kill();
    let finished = server.wait_with_output().expect("it has ended");
    let log = String::from_utf8_lossy(&finished.stderr);
    assert!(ended && finished.status.success(), "{log}");
    assert!(log.contains("SIGTERM: stopped before the store was open"), "{log}");
}

#[test]
fn a_killed_server_does_not_block_the_next() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    server.kill();
    assert!(data_dir.join("control.sock").exists(), "the killed server couldn't remove it");
    assert_eq!(on(&data_dir, &["account", "show", "dana"], "").code(), 0);
    let server = Server::start_in(&data_dir, &[]);
    assert_eq!(server.run(&["account", "show", "dana"], "").code(), 0);
    server.sign_in("dana", PASSWORD);
}

#[test]
fn long_data_directories_have_a_control_socket() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start_in(&dir.path().join("long".repeat(40)), &[]);
    server.add_account("dana", PASSWORD);
    server.sign_in("dana", PASSWORD);
}

#[test]
fn memory_servers_warn_and_keep_nothing() {
    let server = Server::start(&["--set", "storage.engine=memory"]);
    server.add_account("dana", PASSWORD);
    server.sign_in("dana", PASSWORD);
    assert!(!server.data_dir.join("quash.db").exists());
    let without = {
        let dir = tempfile::tempdir().expect("a temporary directory");
        on(dir.path(), &["account", "list", "--set", "storage.engine=memory"], "")
    };
    assert_eq!(without.code(), 75, "{}", without.stderr);
    let finished = server.terminate();
    assert_eq!(finished.stderr.matches("are lost when this process ends").count(), 1, "{}", finished.stderr);
}

#[test]
fn sigterm_stops_in_order() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    let finished = server.terminate();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert_eq!(finished.stdout.lines().count(), 1, "one line on stdout: {}", finished.stdout);
    assert!(!data_dir.join("control.sock").exists());
    assert!(finished.stderr.contains("stopped"), "{}", finished.stderr);
}

#[test]
fn idle_connections_do_not_delay_shutdown() {
    let server = Server::start(&[]);
    let _silent = TcpStream::connect(server.address).expect("it listens");
    let mut half = TcpStream::connect(server.address).expect("it listens");
    half.write_all(b"POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Le").expect("it listens");
    assert_eq!(server.get("/livez", None).status, 200);
    let finished = server.terminate();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
}

#[test]
fn a_second_signal_stops_at_once() {
    let server = Server::start(&[]);
    let mut half = TcpStream::connect(server.address).expect("it listens");
    // A request without its whole body is under way.
    half.write_all(b"POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n")
        .expect("it listens");
    assert_eq!(server.get("/livez", None).status, 200);
    server.ask_to_end();
    // The first signal was handled once the server doesn't accept connections.
    while TcpStream::connect(server.address).is_ok() {}
    server.ask_to_end();
    let finished = server.ended();
    assert_eq!(finished.code(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("stopping at once"), "{}", finished.stderr);
}

#[test]
fn sighup_without_a_certificate_changes_nothing() {
    let server = Server::start(&[]);
    server.hang_up();
    assert_eq!(server.get("/livez", None).status, 200);
    let finished = server.terminate();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert!(finished.stderr.contains("SIGHUP: no certificate is configured"), "{}", finished.stderr);
}

#[test]
fn the_control_socket_survives_malformed_requests() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    let ask = |line: &[u8]| {
        let mut socket = UnixStream::connect(server.data_dir.join("control.sock")).expect("it listens");
        // A line that is too long is answered before it is read completely.
        let _ = socket.write_all(line);
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        serde_json::from_slice::<Value>(&answer).unwrap_or(Value::Null)
    };
    let failed = |answer: &Value| answer["failed"]["exit"] == "usage";
    for line in [
        "",
        "\n",
        "null\n",
        "{}\n",
        "{\"ask\":\"everything\"}\n",
        "{\"ask\":\"account\",\"which\":{\"any\":\"dana\"},\"more\":1}\n",
        "\u{0}\n",
    ] {
        let answer = ask(line.as_bytes());
        assert!(failed(&answer), "{line:?}: {answer}");
    }
    let asking = |padding: usize| {
        format!("{{\"ask\":\"account\",\"which\":{{\"any\":\"dana\"}}}}{}\n", " ".repeat(padding))
    };
    let shortest = asking(0).len();
    let answer = ask(asking(64 * 1024 - shortest).as_bytes());
    assert_eq!(answer["done"]["account"]["name"], "dana", "64 KiB: {answer}");
    let answer = ask(asking(64 * 1024 - shortest + 1).as_bytes());
    assert!(failed(&answer) || answer.is_null(), "a byte more: {answer}");
    assert!(!ask(&vec![b'x'; 1024 * 1024]).to_string().contains("xxx"));
    assert_eq!(server.run(&["account", "show", "dana"], "").code(), 0, "the server keeps running");
}

#[test]
fn changing_the_algorithm_between_starts_works() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    let before = server.sign_in("dana", PASSWORD);
    assert_eq!(server.terminate().code(), 0);
    let server = Server::start_in(&data_dir, &["--apply-settings", "--set", "tokens.algorithm=HS256"]);
    let after = server.sign_in("dana", PASSWORD);
    for (pair, algorithm) in [(&before, "EdDSA"), (&after, "HS256")] {
        assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200, "{algorithm}");
        let seen = server.run(&["token", "inspect", "-", "--json"], &pair.access).json();
        assert_eq!((&seen["header"]["alg"], &seen["standing"]), (&json!(algorithm), &json!("live")));
    }
}
