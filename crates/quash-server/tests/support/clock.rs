//! A clock that tests move by hand.

use std::sync::Arc;
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

/// A clock that is moved by hand, and shows no uptime twice, as a real one.
pub(crate) struct Ticking {
    hand: Arc<HandClock>,
    ticks: AtomicU64,
}

impl Ticking {
    pub(crate) fn new(hand: Arc<HandClock>) -> Self {
        Self { hand, ticks: AtomicU64::default() }
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.hand.now()
    }

    fn uptime(&self) -> Duration {
        self.hand.uptime() + Duration::from_nanos(self.ticks.fetch_add(1, Ordering::SeqCst))
    }
}
