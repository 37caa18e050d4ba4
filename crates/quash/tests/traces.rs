//! Traces: a collector gets the spans of requests by OTLP over HTTP, and no secret.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{self, Receiver, Sender};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use crate::support::{Server, request};

const PASSWORD: &str = "correct horse battery staple";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_TRACED: &str = "00-1bf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A request that the collector got.
struct Delivery {
    path: String,
    authorization: Option<String>,
    body: Vec<u8>,
}

/// Listens for deliveries, and answers each with this status.
fn collect(status: &'static str) -> (String, Receiver<Delivery>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (sender, deliveries) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || take(connection, status, &sender));
        }
    });
    (format!("http://{address}"), deliveries)
}

fn take(connection: TcpStream, status: &str, sender: &Sender<Delivery>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let field = |name: &str| {
            let of = |line: &String| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then(|| value.to_owned())
            };
            head.iter().find_map(of)
        };
        let mut body = vec![0; field("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let path = head.first()?.split(' ').nth(1)?.to_owned();
        // The test may have ended.
        let _ = sender.send(Delivery { path, authorization: field("authorization"), body });
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

fn spans(deliveries: &[Delivery]) -> Vec<Span> {
    let request = |delivery: &Delivery| {
        ExportTraceServiceRequest::decode(delivery.body.as_slice()).expect("a request of OTLP")
    };
    let resources = deliveries.iter().map(request).flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Attribute> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

fn text(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Attribute::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn a_collector_gets_the_spans_of_requests() {
    let (url, deliveries) = collect("200 OK");
    let endpoint = format!("traces.endpoint={url}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let secret = dir.path().join("authorization");
    std::fs::write(&secret, "Bearer of-the-collector\n").expect("it is ours");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let file = format!("traces.authorization_file={}", secret.display());
    let server = Server::start(&["--set", &endpoint, "--set", &file, "--set", "log.level=debug"]);
    server.run(&["account", "add", "dana", "--password-stdin"], PASSWORD);
    let sign_in = |password: &str, parent: &str| {
        let body = json!({ "username": "dana", "password": password });
        let headers = [("Content-Type", "application/json"), ("traceparent", parent)];
        request(server.address, "POST", "/api/token/", &headers, body.to_string().as_bytes())
            .expect("an answer")
    };
    let pair = sign_in(PASSWORD, PARENT);
    assert_eq!((pair.status, sign_in("wrong wrong", NOT_TRACED).status), (200, 401));
    assert_eq!(server.get("/docs/errors/unknown-and-secret", None).status, 404);
    let stopped = server.terminate();
    assert_eq!(stopped.code(), 0, "{}", stopped.stderr);

    let deliveries: Vec<_> = deliveries.try_iter().collect();
    let spans = spans(&deliveries);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let signed_in =
        spans.iter().find(|span| span.name == "POST /api/token/").unwrap_or_else(|| panic!("{names:?}"));
    assert_eq!(
        signed_in.trace_id,
        [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c]
    );
    assert_eq!(signed_in.parent_span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert_eq!(
        (
            text(signed_in, "http.route"),
            text(signed_in, "http.request.method"),
            attribute(signed_in, "http.response.status_code")
        ),
        ("/api/token/".into(), "POST".into(), Some(Attribute::IntValue(200)))
    );
    assert_eq!(Some(text(signed_in, "quash.request_id").as_str()), pair.header("x-request-id"));
    for part in ["hash", "commit"] {
        let part = spans
            .iter()
            .find(|span| span.name == part && span.trace_id == signed_in.trace_id)
            .unwrap_or_else(|| panic!("{part}: {names:?}"));
        assert_eq!(part.parent_span_id, signed_in.span_id, "{}", part.name);
        assert!(part.start_time_unix_nano >= signed_in.start_time_unix_nano);
        assert!(part.end_time_unix_nano <= signed_in.end_time_unix_nano);
    }
    assert!(names.contains(&"GET /docs/errors/{code}"), "{names:?}");
    assert_eq!(
        names.iter().filter(|name| **name == "POST /api/token/").count(),
        1,
        "its sender doesn't trace it"
    );
    for delivery in &deliveries {
        assert_eq!(delivery.path, "/v1/traces");
        assert_eq!(delivery.authorization.as_deref(), Some("Bearer of-the-collector"));
        let body = String::from_utf8_lossy(&delivery.body);
        let token = pair.body["access"].as_str().expect("a token");
        for secret in [PASSWORD, "wrong wrong", "dana", token, "of-the-collector", "unknown-and-secret"] {
            assert!(!body.contains(secret), "{secret}");
        }
    }
    assert!(
        !stopped.stderr.contains("of-the-collector") && !stopped.stderr.contains("request{"),
        "{}",
        stopped.stderr
    );
}

#[test]
fn without_its_collector_a_server_works() {
    let (refusing, deliveries) = collect("503 Service Unavailable");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    for (url, cause) in
        [(refusing, "the collector answered 503"), (format!("http://{closed}"), "Connection refused")]
    {
        let server = Server::start(&["--set", &format!("traces.endpoint={url}")]);
        assert_eq!(server.get("/livez", None).status, 200);
        let stopped = server.terminate();
        assert_eq!(stopped.code(), 0, "{}", stopped.stderr);
        let lines: Vec<_> =
            stopped.stderr.lines().filter(|line| line.contains("traces can't be delivered")).collect();
        assert!(lines.len() == 1 && lines[0].contains(cause), "{}", stopped.stderr);
    }
    assert!(deliveries.try_iter().count() >= 1);
}
