//! The load: clients that each hold a session and rotate its refresh token again as soon as the last rotation
//! is answered. Works with any server that has Simple JWT's two endpoints.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::Client;
use crate::failure::{Failure, Result};

/// The account on every measured server.
pub(super) const USERNAME: &str = "bench";
/// Its password. A measured server ends with its measurement.
pub(super) const PASSWORD: &str = "measured twice, cut once";

/// A session and its connection.
pub(super) struct Session {
    client: Client,
    refresh: String,
}

/// Signs clients in one after the other. Password hashing is slow on purpose and isn't measured.
///
/// # Errors
/// Returns an error if a sign-in fails.
pub(super) fn sign_in(address: SocketAddr, clients: usize) -> Result<Vec<Session>> {
    (0..clients).map(|_| Session::open(address)).collect()
}

/// Rotates for a while and returns the answered rotations per second. A failed rotation ends the measurement,
/// because it would distort the figure.
///
/// # Errors
/// Returns an error if a rotation fails.
pub(super) fn rotations_per_second(sessions: &mut [Session], span: Duration) -> Result<f64> {
    let start = Barrier::new(sessions.len() + 1);
    let (outcomes, took) = std::thread::scope(|scope| {
        let start = &start;
        let clients: Vec<_> =
            sessions.iter_mut().map(|session| scope.spawn(move || session.rotate_for(start, span))).collect();
        start.wait();
        let began = Instant::now();
        let outcomes: Vec<Result<u64>> = clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| Err(Failure::new("a client panicked"))))
            .collect();
        // Each client finishes its last rotation, so the time ends with the last answer.
        (outcomes, began.elapsed())
    });
    let rotations: u64 = outcomes.into_iter().sum::<Result<u64>>()?;
    Ok(rotations as f64 / took.as_secs_f64())
}

impl Session {
    fn open(address: SocketAddr) -> Result<Self> {
        let mut client = Client::new(address);
        let answer = client.post("/api/token/", &json!({"username": USERNAME, "password": PASSWORD}))?;
        Ok(Self { client, refresh: refresh_of(&answer)? })
    }

    fn rotate_for(&mut self, start: &Barrier, span: Duration) -> Result<u64> {
        self.client.disconnect();
        start.wait();
        let deadline = Instant::now() + span;
        let mut rotations = 0;
        while Instant::now() < deadline {
            self.rotate()?;
            rotations += 1;
        }
        Ok(rotations)
    }

    fn rotate(&mut self) -> Result<()> {
        let answer = self.client.post("/api/token/refresh/", &json!({"refresh": self.refresh}))?;
        let newest = refresh_of(&answer)?;
        if newest == self.refresh {
            return Err(Failure::new("the refresh token wasn't rotated"));
        }
        self.refresh = newest;
        Ok(())
    }
}

fn refresh_of(answer: &Value) -> Result<String> {
    let refresh = answer["refresh"].as_str().map(str::to_owned);
    refresh
        .filter(|_| answer["access"].is_string())
        .ok_or_else(|| Failure::new("the answer lacks its refresh or its access token"))
}
