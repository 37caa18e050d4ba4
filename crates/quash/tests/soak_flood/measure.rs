//! Measurements of a flood: statuses, latencies, memory and rows.

use std::fmt;
use std::iter::Sum;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::Statuses;
use crate::endpoints::Flood;
use crate::support::Server;
use crate::support::wait::pause;

/// The pause between two requests of a user who isn't part of the flood.
const BETWEEN: Duration = Duration::from_millis(5);

/// The number of answers to a flood with each status.
#[derive(Default)]
pub(crate) struct Rates(pub(crate) Statuses);

impl Rates {
    /// Asserts that no answer is a server error, and that a busy server sends `Retry-After`.
    pub(crate) fn assert_bounded(&self, flood: &Flood) {
        let faults: Vec<_> = self.0.keys().filter(|status| **status >= 500 && **status != 503).collect();
        assert!(faults.is_empty(), "{flood}: {self}");
        assert!(self.0.values().sum::<usize>() > 0, "{flood}: no answer");
    }
}

impl Sum for Rates {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, rates| {
            rates.0.into_iter().for_each(|(status, count)| *sum.0.entry(status).or_default() += count);
            sum
        })
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.0.iter().map(|(status, count)| format!("{count} x {status}")).collect();
        f.write_str(&each.join(", "))
    }
}

/// The latencies of one kind of request.
pub(crate) struct Latencies {
    pub(crate) what: &'static str,
    sorted: Vec<Duration>,
}

impl Latencies {
    /// Measures a request repeatedly until the flood is over.
    #[expect(clippy::disallowed_methods, reason = "latencies are compared within one run")]
    pub(crate) fn of(what: &'static str, over: &AtomicBool, mut request: impl FnMut()) -> Self {
        let mut sorted = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let began = std::time::Instant::now();
            request();
            sorted.push(began.elapsed());
            pause(BETWEEN);
        }
        sorted.sort_unstable();
        Self { what, sorted }
    }

    pub(crate) fn p99(&self) -> Duration {
        self.sorted.get(self.sorted.len() * 99 / 100).copied().unwrap_or_default()
    }
}

/// Returns the server's resident memory, in KiB.
pub(crate) fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Counts the rows of all tables of the server's database.
pub(crate) fn rows(server: &Server) -> u64 {
    let database =
        Connection::open_with_flags(server.data_dir.join("quash.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .expect("a database");
    let mut tables =
        database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").expect("a statement");
    let names: Vec<String> =
        tables.query_map([], |row| row.get(0)).expect("tables").collect::<Result<_, _>>().expect("names");
    let count = |name: &String| {
        database.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get::<_, i64>(0))
    };
    let rows: i64 = names.iter().map(|name| count(name).expect("a count")).sum();
    u64::try_from(rows).expect("a count")
}
