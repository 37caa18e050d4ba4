//! A clock that tests move by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quash_core::model::{Clock, Timestamp};

/// A clock that stands still until it is moved.
pub(crate) struct HandClock {
    start: Timestamp,
    gone: AtomicU64,
    back: AtomicU64,
}

impl HandClock {
    pub(crate) fn at(start: Timestamp) -> Self {
        Self { start, gone: AtomicU64::default(), back: AtomicU64::default() }
    }

    /// Sets the wall clock back. The uptime continues.
    pub(crate) fn set_back(&self, span: Duration) {
        self.back.fetch_add(u64::try_from(span.as_millis()).expect("a span"), Ordering::SeqCst);
    }

    /// Advances the clock.
    pub(crate) fn go_on(&self, span: Duration) {
        self.gone.fetch_add(u64::try_from(span.as_millis()).expect("a span"), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        self.start + self.uptime() - Duration::from_millis(self.back.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.gone.load(Ordering::SeqCst))
    }
}
