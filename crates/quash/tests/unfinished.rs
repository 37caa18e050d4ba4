//! Thousands of unfinished requests of each kind to the running binary: its memory stays bounded, and
//! complete requests are served.
//!
//! The long form opens 10,000 of each kind. The settings are the defaults of a container with 128 MiB; its
//! limit is measured as resident memory, since a test can seldom create a cgroup.

use crate::support;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Server, rounds};

const PASSWORD: &str = "a password of dana's";
/// The bound of the resident memory, in KiB.
const RESIDENT: u64 = 128 * 1024;
/// Unfinished requests of each kind in the long form, and in the short one.
const ALL: usize = 10_000;
const FEW: usize = 1_000;
/// Streams of one HTTP/2 connection.
const STREAMS: usize = 100;

/// Returns the server's peak memory, in KiB, without the pages of its own file, which a cgroup can reclaim.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).expect("a number")
    };
    of("VmHWM:").saturating_sub(of("RssFile:"))
}

/// Opens `count` connections, each of which sends these bytes and no more. The server may close them.
fn open(server: &Server, count: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) -> Vec<TcpStream> {
    let open_one = |number| {
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        let _ = stream.write_all(&bytes(number));
        stream
    };
    (0..count).map(open_one).collect()
}

/// Opens unfinished requests, and checks that other requests are served and that memory stays bounded.
#[expect(clippy::print_stdout, reason = "the figures of a soak")]
fn assert_survives(shape: &str, args: &[&str], connections: usize, bytes: impl FnMut(usize) -> Vec<u8>) {
    support::raise_limit_of_open_files();
    let server = Server::start(&[&["--set", "http.memory_mib=32"], args].concat());
    server.add_account("dana", PASSWORD);
    let before = peak(&server);
    let begun = open(&server, connections, bytes);
    if server.url.starts_with("http:") {
        let pair = server.sign_in("dana", PASSWORD);
        assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200, "{shape}");
    }
    let peak = peak(&server);
    println!("{shape}: {connections} connections, {before} KiB before, {peak} KiB at most");
    drop(begun);
    assert_eq!(server.terminate().code(), 0, "{shape}");
    assert!(peak < RESIDENT, "{shape}: {peak} KiB");
}

#[test]
fn soak_connections_without_a_byte() {
    assert_survives("silent", &[], rounds(FEW, ALL), |_| Vec::new());
}

#[test]
fn soak_heads_without_an_end() {
    let head = format!("POST /api/token/ HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(15_000)).into_bytes();
    assert_survives("heads", &[], rounds(FEW, ALL), |_| head.clone());
}

#[test]
fn soak_bodies_without_an_end() {
    let head = "POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 32768\r\n\r\n";
    let body = format!("{head}{}", " ".repeat(32_000)).into_bytes();
    assert_survives("bodies", &[], rounds(FEW, ALL), |_| body.clone());
}

#[test]
fn soak_chunks_without_an_end() {
    let head = "POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{head}{}", "1\r\n \r\n".repeat(8_000)).into_bytes();
    assert_survives("chunks", &[], rounds(FEW, ALL), |_| chunks.clone());
}

#[test]
fn soak_multipart_forms_without_an_end() {
    let head = "POST /api/token/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=X\r\nContent-Length: 32768\r\n\r\n";
    let part = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n";
    let parts = format!("{head}{}", part.repeat(32_000 / part.len())).into_bytes();
    assert_survives("multipart forms", &[], rounds(FEW, ALL), |_| parts.clone());
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `POST /api/token/` at `x` (RFC 7541 6.2.2).
const REQUEST: &[u8] = b"\x83\x86\x04\x0b/api/token/\x01\x01x";

fn frame(kind: u8, flags: u8, stream: usize, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let stream = u32::try_from(stream).expect("a stream").to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

#[test]
fn soak_streams_without_an_end() {
    let stream = |number: usize| {
        [frame(1, 4, 2 * number + 1, REQUEST), frame(0, 0, 2 * number + 1, &[b' '; 300])].concat()
    };
    let streams: Vec<u8> = PREFACE.iter().copied().chain((0..STREAMS).flat_map(stream)).collect();
    assert_survives("HTTP/2 streams", &[], rounds(FEW, ALL).div_ceil(STREAMS), |_| streams.clone());
}

#[test]
fn soak_full_http2_connections_without_an_end() {
    let stream = |number: usize| {
        [frame(1, 4, 2 * number + 1, REQUEST), frame(0, 0, 2 * number + 1, &[b' '; 500])].concat()
    };
    let streams: Vec<u8> = PREFACE.iter().copied().chain((0..STREAMS).flat_map(stream)).collect();
    assert_survives("full HTTP/2 connections", &[], rounds(FEW, ALL) / 10, |_| streams.clone());
}

#[test]
fn soak_http2_heads_without_an_end() {
    let head = [
        PREFACE,
        &frame(1, 0, 1, REQUEST),
        &frame(9, 0, 1, &[&b"\x00\x01a\x7f\xe1\x6f"[..], &[b'x'; 14_000]].concat()),
    ]
    .concat();
    assert_survives("HTTP/2 heads", &[], rounds(FEW, ALL), |_| head.clone());
}

/// Creates a certificate of `localhost` and its key, and returns their settings.
fn tls(dir: &Path) -> [String; 2] {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let files = [("certificate.pem", certificate.pem()), ("key.pem", key.serialize_pem())];
    let paths = files.map(|(name, text)| {
        let path = dir.join(name);
        fs::write(&path, text).expect("it is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        path.display().to_string()
    });
    [format!("http.tls_cert={}", paths[0]), format!("http.tls_key={}", paths[1])]
}

#[test]
fn soak_handshakes_without_an_end() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [certificate, key] = tls(dir.path());
    // The first part of a ClientHello of 60,000 bytes, in two records.
    let record = |payload: &[u8]| {
        [&[0x16, 3, 1][..], &u16::try_from(payload.len()).expect("a record").to_be_bytes(), payload].concat()
    };
    let hello = [record(&[&[1, 0, 0xea, 0x60][..], &[3; 14_000]].concat()), record(&[3; 16_000])].concat();
    assert_survives("handshakes", &["--set", &certificate, "--set", &key], rounds(FEW, ALL), |_| {
        hello.clone()
    });
}
