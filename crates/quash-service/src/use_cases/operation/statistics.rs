//! The number of accounts by their status, and of live sessions. They are counted part by part, so that no read takes
//! long, and with many rows only by upkeep.

use crate::context::{Context, Service};
use crate::counted::{Counted, Counts};
use crate::failure::Failure;
use crate::metrics::SignIns;

/// The rows of one read.
const PART: u32 = 5_000;

impl Service {
    /// The accounts and live sessions: as of now if there are few, or as of upkeep. Requests share a count for a
    /// hundred times as long as it took.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn counts(&self) -> Result<Counts, Failure> {
        let mut counted = self.context.counted.lock().await;
        match &*counted {
            Some(last) if !last.is_quick() || !last.is_due(self.context.clock.uptime()) => Ok(last.counts),
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
    async fn count_rows(&self) -> Result<Counts, Failure> {
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
