//! The last count of accounts and sessions, and when another one may follow.

use std::time::Duration;

use quash_core::model::Timestamp;

/// A count that takes this long isn't repeated for a request.
const QUICK: Duration = Duration::from_millis(20);
/// Counting takes at most one part in so many of the time.
const SHARE: u32 = 100;

/// The accounts and live sessions at a time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    pub active: u64,
    pub unverified: u64,
    pub locked: u64,
    pub deactivated: u64,
    pub live_sessions: u64,
    /// When they were counted.
    pub at: Timestamp,
}

/// The last count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) counts: Counts,
    /// The uptime at its end, and how long it took.
    pub(crate) uptime: Duration,
    pub(crate) took: Duration,
}

impl Counted {
    /// Returns whether a request may wait for another count.
    pub(crate) fn is_quick(&self) -> bool {
        self.took <= QUICK
    }

    /// Returns whether another count may follow.
    pub(crate) fn is_due(&self, uptime: Duration) -> bool {
        uptime >= self.uptime + self.took * SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(took: Duration) -> Counted {
        Counted { counts: Counts::default(), uptime: Duration::from_secs(60), took }
    }

    #[test]
    fn long_counts_are_repeated_by_upkeep_alone_and_seldom() {
        assert!(counted(QUICK).is_quick() && !counted(QUICK + Duration::from_millis(1)).is_quick());
        let two_seconds = counted(Duration::from_secs(2));
        assert!(
            !two_seconds.is_due(Duration::from_secs(259)) && two_seconds.is_due(Duration::from_secs(260))
        );
        assert!(counted(Duration::ZERO).is_due(Duration::from_secs(60)));
    }
}
