//! The number of accounts by their status, and of live sessions. They are counted part by part, so that no read takes
//! long, and with many rows only by upkeep.

use std::time::Duration;

use quash_core::model::Timestamp;

use crate::context::{Context, Service};
use crate::failure::Failure;

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

/// The attempts to sign in at this process since its start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SignIns {
    pub succeeded: u64,
    pub refused: u64,
    pub unavailable: u64,
}

/// The last count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    counts: Counts,
    /// The uptime at its end, and how long it took.
    uptime: Duration,
    took: Duration,
}

/// The rows of one read.
const PART: u32 = 5_000;
/// A count that takes this long isn't repeated for a request.
const QUICK: Duration = Duration::from_millis(20);
/// Counting takes at most one part in so many of the time.
const SHARE: u32 = 100;

impl Service {
    /// The accounts and live sessions: as of now if there are few, or as of upkeep.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        let mut counted = self.context.counted.lock().await;
        match &*counted {
            Some(last) if !last.is_quick() => Ok(last.counts),
            _ => {
                let now = self.context.count_timed().await?;
                *counted = Some(now);
                Ok(now.counts)
            }
        }
    }

    /// The attempts to sign in at this process since its start.
    pub fn sign_ins(&self) -> SignIns {
        self.context.metrics.sign_ins()
    }
}

impl Counted {
    /// Returns whether a request may wait for another count.
    fn is_quick(&self) -> bool {
        self.took <= QUICK
    }

    /// Returns whether upkeep may count again.
    fn is_due(&self, uptime: Duration) -> bool {
        uptime >= self.uptime + self.took * SHARE
    }
}

impl Context {
    /// Counts again, unless that took so long that it is too early.
    pub(super) async fn recount(&self) -> Result<(), Failure> {
        let last = *self.counted.lock().await;
        if last.is_none_or(|last| last.is_due(self.clock.uptime())) {
            let counted = self.count_timed().await?;
            *self.counted.lock().await = Some(counted);
        }
        Ok(())
    }

    async fn count_timed(&self) -> Result<Counted, Failure> {
        let began = self.clock.uptime();
        let counts = self.count_rows().await?;
        let uptime = self.clock.uptime();
        Ok(Counted { counts, uptime, took: uptime.saturating_sub(began) })
    }

    /// Counts all accounts and sessions. What changes meanwhile may be counted or not.
    pub(crate) async fn count_rows(&self) -> Result<Counts, Failure> {
        let now = self.clock.now();
        let mut counts = Counts { at: now, ..Counts::default() };
        let mut after = None;
        loop {
            let part = self.store.count_accounts(after.as_ref(), now, PART).await?;
            counts.active += part.active;
            counts.unverified += part.unverified;
            counts.locked += part.locked;
            counts.deactivated += part.deactivated;
            let Some(next) = part.next else { break };
            after = Some(next);
        }
        let mut after = None;
        loop {
            let part = self.store.count_sessions(after, now, PART).await?;
            counts.live_sessions += part.live;
            let Some(next) = part.next else { return Ok(counts) };
            after = Some(next);
        }
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
