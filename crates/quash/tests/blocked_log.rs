//! A standard error without a reader: a full pipe, as behind a pager, a terminal stopped with Ctrl-S, or a
//! log collector that hangs. The server still starts, serves and stops.

use crate::support;

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use support::http::Connection;
use support::{Server, quash, rounds};

/// A pipe that takes no further byte.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags");
    for chunk in [&[b'\n'; 4096][..], b"\n"] {
        while writer.write(chunk).is_ok() {}
    }
    fcntl_setfl(&writer, flags).expect("flags");
    (reader, PipeWriter::into(writer))
}

fn dropped(server: &Server, secret: &str) -> u64 {
    let metrics = server.get("/metrics", Some(secret)).text;
    let line = metrics.lines().find_map(|line| line.strip_prefix("quash_log_lines_dropped_total "));
    line.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{metrics}"))
}

#[test]
fn soak_blocked_stderr_stops_neither_requests_nor_shutdown() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (reader, writer) = full_pipe();
    let server =
        Server::start_with_stderr(quash(), &dir.path().join("data"), &["--set", "log.level=trace"], writer);
    let secret = server.run(&["client", "add", "shop", "--right", "introspect"], "").stdout.trim().to_owned();
    let serve = || {
        let before = dropped(&server, &secret);
        let mut connection = Connection::open(server.address);
        // A look costs more than a request.
        let mut between_looks = rounds(100, 20_000);
        loop {
            (0..between_looks).for_each(|_| {
                assert_eq!(connection.send("GET", "/livez", &[], b"").expect("an answer").status, 200)
            });
            if dropped(&server, &secret) > before {
                break;
            }
            between_looks = 100;
        }
    };
    serve();

    let mut lines = BufReader::new(reader).lines();
    let report = lines.find(|line| {
        line.as_ref().is_ok_and(|line| line.contains(" log lines were dropped: standard error"))
    });
    assert!(report.is_some(), "the reader learns of dropped lines");

    serve();
    let finished = server.terminate();
    assert_eq!(finished.code(), 0);
    drop(lines);
}
