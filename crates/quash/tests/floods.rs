//! Floods of connections and of HTTP/2 frames at the running binary: each is closed, and other clients are
//! unaffected.

use crate::support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use support::Server;

const PASSWORD: &str = "a password of dana's";
/// The time after which every idle connection is closed, with a margin for a busy machine.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a81_idle_connections_are_closed_without_delaying_others() {
    let server = Server::start(&[]);
    server.add_account("dana", PASSWORD);
    support::raise_limit_of_open_files();
    let begins =
        [&b""[..], b"P", b"POST /api/token/ HTTP/1.1\r\nHost: x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    let connections: Vec<TcpStream> = (0..2000)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address).expect("it listens");
            stream.write_all(begins[number % begins.len()]).expect("it is read");
            stream.set_read_timeout(Some(CLOSED_WITHIN)).expect("a time");
            stream
        })
        .collect();
    let pair = server.sign_in("dana", PASSWORD);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200);
    for mut stream in connections {
        let closed = stream.read_to_end(&mut Vec::new());
        let by_us = closed
            .as_ref()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!by_us, "it was still open: {closed:?}");
    }
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200);
}

/// An HTTP/2 connection with hand-written frames.
struct Frames {
    stream: TcpStream,
    reader: std::thread::JoinHandle<Vec<u8>>,
}

/// The kinds of frames (RFC 9113 6) and the flags that are used here.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `POST /api/token/` at `x`, with names from HPACK's static table and literal values (RFC 7541 6.2.2).
const REQUEST: &[u8] = b"\x83\x86\x04\x0b/api/token/\x01\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

impl Frames {
    fn open(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        stream
            .write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat())
            .expect("it is read");
        stream.set_write_timeout(Some(CLOSED_WITHIN)).expect("a time");
        let mut reading = stream.try_clone().expect("a handle");
        // Answers are read, so that they don't block the flood.
        let reader = std::thread::spawn(move || {
            let mut answer = Vec::new();
            let _ = reading.read_to_end(&mut answer);
            answer
        });
        Self { stream, reader }
    }

    /// Sends batches until the server closes the connection, at most `at_most`; returns their number and the
    /// server's error.
    fn flood(mut self, at_most: usize, mut batch: impl FnMut(usize) -> Vec<u8>) -> (usize, Option<u32>) {
        let sent = (0..at_most).take_while(|number| self.stream.write_all(&batch(*number)).is_ok()).count();
        let _ = self.stream.shutdown(Shutdown::Write);
        let answer = self.reader.join().expect("it doesn't panic");
        (sent, goaway(&answer))
    }
}

/// Returns the error code of the last GOAWAY among frames.
fn goaway(mut frames: &[u8]) -> Option<u32> {
    let mut code = None;
    while frames.len() >= 9 {
        let length = u32::from_be_bytes([0, frames[0], frames[1], frames[2]]) as usize;
        let (kind, payload) = (frames[3], frames.get(9..9 + length)?);
        if kind == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")));
        }
        frames = &frames[9 + length..];
    }
    code
}

/// Returns the server's resident memory, in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Floods, and asserts that the connection was closed, that memory doesn't grow, and that other clients are
/// served.
fn assert_ended(server: &Server, at_most: usize, codes: &[Option<u32>], batch: impl FnMut(usize) -> Vec<u8>) {
    server.get("/livez", None);
    let before = resident(server);
    let (sent, code) = Frames::open(server).flood(at_most, batch);
    assert!(sent < at_most || code.is_some(), "all {sent} were taken");
    assert!(codes.contains(&code), "{code:?} after {sent}");
    assert_eq!(server.get("/livez", None).status, 200);
    let grown = resident(server).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more");
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[test]
fn a82_http2_floods_are_ended() {
    let server = Server::start(&[]);
    let calm = [Some(ENHANCE_YOUR_CALM), None];
    // Streams that are opened and reset at once.
    assert_ended(&server, 1000, &calm, |number| {
        let ids = (0..100).map(|n| u32::try_from(2 * (number * 100 + n) + 1).expect("a stream"));
        ids.flat_map(|id| {
            [
                frame(HEADERS, END_HEADERS | END_STREAM, id, REQUEST),
                frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()),
            ]
            .concat()
        })
        .collect()
    });
    // Streams that the server has to reset because of an invalid frame: a window update of zero.
    assert_ended(&server, 1000, &[calm[0], calm[1], Some(1)], |number| {
        let ids = (0..100).map(|n| u32::try_from(2 * (number * 100 + n) + 1).expect("a stream"));
        ids.flat_map(|id| [frame(HEADERS, END_HEADERS, id, REQUEST), frame(8, 0, id, &[0; 4])].concat())
            .collect()
    });
    // A head that never ends.
    assert_ended(&server, 10_000, &[Some(ENHANCE_YOUR_CALM), Some(1), None], |number| match number {
        0 => frame(HEADERS, 0, 1, REQUEST),
        _ => frame(CONTINUATION, 0, 1, &[&b"\x00\x01a\x7f\x7e"[..], &[b'x'; 253]].concat()),
    });
    // A head that never ends, in empty frames.
    assert_ended(&server, 100_000, &[Some(ENHANCE_YOUR_CALM), Some(1), None], |number| match number {
        0 => frame(HEADERS, 0, 1, REQUEST),
        _ => frame(CONTINUATION, 0, 1, &[]).repeat(10),
    });
}

#[test]
fn a82_empty_frames_hold_no_resources() {
    let server = Server::start(&[]);
    let empty = frame(DATA, 0, 1, &[]).repeat(1000);
    assert_ended(
        &server,
        100_000,
        &[Some(ENHANCE_YOUR_CALM), Some(0), Some(1), None],
        |number| match number {
            0 => frame(HEADERS, END_HEADERS, 1, REQUEST),
            _ => empty.clone(),
        },
    );
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    assert_ended(&server, 100_000, &[Some(ENHANCE_YOUR_CALM), Some(0), None], |_| pings.clone());
}
