//! Requests of verifiers.

use serde_json::Value;

use super::Server;

/// Returns the end of a server's log, as its verifiers know it.
pub(crate) fn cursor(server: &Server, secret: &str) -> String {
    let snapshot = server.get("/v1/feed/snapshot?v=2", Some(secret)).text;
    let head: Value = serde_json::from_str(snapshot.lines().next().expect("a head")).expect("JSON");
    head["cursor"].as_str().expect("a cursor").to_owned()
}

/// Requests a lease at this cursor, and returns the status.
pub(crate) fn lease(server: &Server, secret: &str, cursor: &str) -> u16 {
    lease_of(server, secret, cursor, "01", "")
}

/// The same for an instance, named by a byte in hexadecimal digits, and with further parameters.
pub(crate) fn lease_of(server: &Server, secret: &str, cursor: &str, instance: &str, more: &str) -> u16 {
    let instance = instance.repeat(16);
    let path = format!(
        "/v1/feed/lease?v=2&cursor={cursor}&instance={instance}&nonce=AAAAAAAAAAAAAAAAAAAAAA&policy=deny{more}"
    );
    server.get(&path, Some(secret)).status
}
