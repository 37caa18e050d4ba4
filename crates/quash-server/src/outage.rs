//! The log lines of an outage. Without the store, every request fails for the same reason, and a line for each would
//! fill the disk. Each cause has a line when it is first met; after that, requests are counted, and the count is
//! logged every few seconds and at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The time between two lines of an outage that lasts.
const LOG_EVERY: Duration = Duration::from_secs(5);
/// The time without a refused request after which an outage is over, once the store answers. Shortly after a refused
/// change, a read may be answered.
const OVER_AFTER: Duration = Duration::from_secs(1);
/// The time after which a cause has a line again, in an outage that other causes have kept open.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The most causes that are told apart. Requests with further ones have a line each.
const CAUSES: usize = 32;

/// Counts the requests that are refused because the store can't be used.
#[derive(Default)]
pub(crate) struct Outage {
    /// Whether there is one, so that other requests don't wait for the lock.
    is_open: AtomicBool,
    running: Mutex<Option<Running>>,
}

struct Running {
    began: Duration,
    last: Duration,
    logged_at: Duration,
    refused: u64,
    /// When each was met last.
    causes: BTreeMap<String, Duration>,
}

/// What is to be logged about a refused request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The request with its cause.
    Cause,
    /// That the outage lasts.
    Lasts(Counted),
    Nothing,
}

/// The requests of an outage so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counted {
    pub(crate) refused: u64,
    /// From the first to the last.
    pub(crate) over: Duration,
}

impl Running {
    fn begin(now: Duration) -> Self {
        Self { began: now, last: now, logged_at: now, refused: 0, causes: BTreeMap::new() }
    }

    fn counted(&self) -> Counted {
        Counted { refused: self.refused, over: self.last.saturating_sub(self.began) }
    }
}

impl Outage {
    /// Counts a refused request.
    pub(crate) fn refused(&self, cause: &str, now: Duration) -> Refused {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.get_or_insert_with(|| Running::begin(now));
        self.is_open.store(true, Ordering::Relaxed);
        running.last = running.last.max(now);
        running.refused += 1;
        let met = running.causes.get(cause).copied();
        if met.is_some() || running.causes.len() < CAUSES {
            running.causes.insert(cause.to_owned(), now);
        }
        // Other causes may keep the outage open for days.
        if met.is_none_or(|met| now.saturating_sub(met) >= TOLD_AGAIN_AFTER) {
            return Refused::Cause;
        }
        if now.saturating_sub(running.logged_at) < LOG_EVERY {
            return Refused::Nothing;
        }
        running.logged_at = now;
        Refused::Lasts(running.counted())
    }

    /// Returns the requests of an outage that is over. Called for each request; `answers` says whether the store
    /// answers now.
    pub(crate) fn ended(&self, now: Duration, answers: impl FnOnce() -> bool) -> Option<Counted> {
        if !self.is_open.load(Ordering::Relaxed) || !answers() {
            return None;
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let over = running.take_if(|running| now.saturating_sub(running.last) >= OVER_AFTER)?;
        self.is_open.store(false, Ordering::Relaxed);
        Some(over.counted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_outage_has_a_line_for_each_cause_and_one_every_few_seconds() {
        let outage = Outage::default();
        let refused = |cause, millis| outage.refused(cause, at(millis));
        let ended = |millis| outage.ended(at(millis), || true);
        assert_eq!(ended(0), None);
        assert_eq!(refused("away", 1_000), Refused::Cause);
        for millis in 1_001..2_000 {
            assert_eq!(refused("away", millis), Refused::Nothing);
        }
        assert_eq!(refused("a damaged row", 2_000), Refused::Cause, "another cause is never hidden");
        assert_eq!(refused("away", 5_999), Refused::Nothing);
        assert_eq!(refused("away", 6_000), Refused::Lasts(Counted { refused: 1_003, over: at(5_000) }));
        assert_eq!(refused("away", 6_001), Refused::Nothing);
        assert_eq!(ended(7_000), None, "it may go on");
        assert_eq!(outage.ended(at(60_000), || false), None, "requests wait for the store");
        assert_eq!(ended(7_001), Some(Counted { refused: 1_004, over: at(5_001) }));
        assert_eq!(ended(7_002), None);
        assert_eq!(refused("away", 7_003), Refused::Cause, "the next outage");
        assert_eq!(refused("away", 12_003), Refused::Cause, "after a pause");
    }

    #[test]
    fn causes_beyond_the_limit_have_a_line_each() {
        let outage = Outage::default();
        for number in 0..CAUSES + 10 {
            assert_eq!(outage.refused(&number.to_string(), at(0)), Refused::Cause);
        }
        assert_eq!(outage.refused("0", at(0)), Refused::Nothing);
        assert_eq!(outage.refused(&CAUSES.to_string(), at(0)), Refused::Cause);
    }
}
