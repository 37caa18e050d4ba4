//! Time that advances in steps, and the clocks that show it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use quash_core::model::{Clock, Timestamp};

use crate::chance::Chance;

/// The time in steps, and the seconds by which wall clocks have been set forwards.
#[derive(Default)]
pub(crate) struct Time {
    steps: AtomicU64,
    everybodys: AtomicI64,
    issuers: AtomicI64,
}

/// A verifier's clock, which runs too fast or too slow by this many millionths.
pub(crate) struct Drifting {
    pub(crate) time: Arc<Time>,
    pub(crate) ppm: i64,
}

/// The issuer's clock.
pub(crate) struct Issuers(pub(crate) Arc<Time>);

const START: i64 = 1_800_000_000;
const WEEK: i64 = 7 * 86_400;

impl Time {
    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.steps.load(Ordering::Relaxed))
    }

    /// Advances by one step, a millisecond.
    pub(crate) fn goes_on(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the clocks: all of them, or the issuer's alone.
    pub(crate) fn is_set(&self, chance: &Chance) {
        let clocks = if chance.once_in(3) { &self.issuers } else { &self.everybodys };
        clocks.fetch_add(if chance.once_in(2) { WEEK } else { -WEEK }, Ordering::Relaxed);
    }

    fn wall(&self, set: i64) -> Timestamp {
        Timestamp::from_secs(START + self.everybodys.load(Ordering::Relaxed) + set) + self.now()
    }
}

impl Clock for Drifting {
    fn now(&self) -> Timestamp {
        self.time.wall(0)
    }

    fn uptime(&self) -> Duration {
        let micros = i64::try_from(self.time.now().as_micros()).expect("a short run");
        Duration::from_micros(
            u64::try_from(micros + micros * self.ppm / 1_000_000).expect("it runs forwards"),
        )
    }
}

impl Clock for Issuers {
    fn now(&self) -> Timestamp {
        self.0.wall(self.0.issuers.load(Ordering::Relaxed))
    }

    fn uptime(&self) -> Duration {
        self.0.now()
    }
}
