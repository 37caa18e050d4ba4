//! Clients that record acknowledged changes, and check afterwards that none was lost.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::http::{Answer, request};
use super::{Pair, Server};

/// A client's knowledge of one session: acknowledged changes must persist, and the last request may have
/// taken effect.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The newest pair from an answer.
    pub(crate) pair: Pair,
    /// Log-out was acknowledged.
    pub(crate) ended: bool,
    /// Log-out was requested, but not answered.
    pub(crate) maybe_ended: bool,
}

/// The shared state of a round's clients.
pub(crate) struct Load {
    address: SocketAddr,
    password: String,
    /// The number of acknowledged requests.
    pub(crate) acknowledged: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// Creates a load on a server; clients sign in as `dana`.
    pub(crate) fn new(server: &Server, password: &str) -> Self {
        Self {
            address: server.address,
            password: password.into(),
            acknowledged: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Makes the clients stop after their next answer.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Runs a client: signs in, refreshes a few times, logs out, and starts again, until the server is gone
    /// or the load is stopped. An unexpected answer fails the test.
    pub(crate) fn client(&self) -> Vec<Entry> {
        let mut journal = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let Ok(answer) =
                self.post("/api/token/", &json!({ "username": "dana", "password": self.password }))
            else {
                break;
            };
            // As the answer says, again later.
            if answer.is_busy() || answer.status == 503 {
                continue;
            }
            journal.push(Entry { pair: answer.pair(), ended: false, maybe_ended: false });
            let Some(entry) = journal.last_mut() else { break };
            if self.use_session(entry).is_err() {
                break;
            }
        }
        journal
    }

    /// Uses a session. Every other one stays open, so that both kinds are checked.
    fn use_session(&self, entry: &mut Entry) -> io::Result<()> {
        for _ in 0..8 {
            let answer = self.post("/api/token/refresh/", &json!({ "refresh": entry.pair.refresh }))?;
            entry.pair = answer.pair();
        }
        if self.acknowledged.load(Ordering::SeqCst).is_multiple_of(2) {
            entry.maybe_ended = true;
            let answer = self.post("/api/token/blacklist/", &json!({ "refresh": entry.pair.refresh }))?;
            assert_eq!(answer.status, 200, "{}", answer.text);
            entry.ended = true;
        }
        Ok(())
    }

    fn post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        let answer = request(
            self.address,
            "POST",
            path,
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )?;
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        Ok(answer)
    }
}

/// Checks that no acknowledged change was lost. The newest acknowledged token of a live session is the
/// current one, or the parent of one whose answer was lost: both give 200.
pub(crate) fn check(server: &Server, journal: &[Entry]) {
    for entry in journal {
        let refreshed =
            server.post_json("/api/token/refresh/", &json!({ "refresh": entry.pair.refresh }), None);
        let me = server.get("/v1/me", Some(&entry.pair.access));
        let said = (refreshed.status, me.status);
        if entry.ended {
            assert_eq!(said, (401, 401), "an acknowledged log-out was lost: {}", refreshed.text);
        } else if entry.maybe_ended {
            assert!(said == (401, 401) || said == (200, 200), "half a log-out: {said:?} {}", refreshed.text);
        } else {
            assert_eq!(said, (200, 200), "an acknowledged sign-in or rotation was lost: {}", refreshed.text);
        }
    }
}
