//! Time as an argument. Only the binary's implementation of [`Clock`] reads a clock.

use std::time::Duration;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// A process's source of time.
pub trait Clock: Send + Sync {
    /// The wall clock. It may jump.
    fn now(&self) -> Timestamp;
    /// The time since some fixed moment, including time suspended. It never goes back.
    fn uptime(&self) -> Duration;
}

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: the unit of `exp` and `iat` (RFC 7519 2, NumericDate).
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time rounded down to the second.
    pub const fn floor_to_secs(self) -> Self {
        Self::from_secs(self.as_secs())
    }

    /// Returns whether this time lies within `span` after `start`. A time before `start` doesn't: the clock
    /// was set back, and the elapsed time is unknown.
    pub fn is_within(self, span: Duration, start: Self) -> bool {
        start <= self && self.since(start) < span
    }

    /// The time elapsed since `earlier`; zero if `earlier` is later. To decide whether a time limit has
    /// passed, use [`Timestamp::is_within`], which detects a clock that was set back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_start_are_not_within() {
        let (start, span) = (Timestamp::from_secs(100), Duration::from_secs(30));
        let is_within = |millis| Timestamp::from_millis(millis).is_within(span, start);
        assert_eq!([99_999, 100_000, 129_999, 130_000].map(is_within), [false, true, true, false]);
    }
}
