//! Upkeep: marks expired entries and rows, and deletes them later. Their own expiry times decide; nothing
//! here does.
//!
//! Data is deleted only if it was expired an hour of this process's uptime ago and still is, so a wall clock
//! that jumps ahead for a while deletes nothing. A log entry is marked first, and read as before.
//! `docs/concepts/revocation.md` describes the effects of a clock that stays wrong for longer: users may have
//! to sign in again, and attackers gain no access.

use std::time::Duration;

use quash_core::model::{Change, Entropy, Timestamp, draw};

use crate::context::Service;
use crate::failure::Failure;
use crate::passwords::MAX_CLASSES;

/// The result of one round of upkeep.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UpkeepReport {
    /// Log entries marked.
    pub marked: u32,
    /// Log entries deleted.
    pub deleted: u32,
    /// Rows of sessions, flows and mails deleted.
    pub forgotten: u32,
}

/// The interval between rounds.
const EVERY: Duration = Duration::from_secs(60);
/// The time for which data must have been expired.
const RIPE_AFTER: Duration = Duration::from_secs(3600);
/// The most rows changed in one transaction, so that clients' transactions don't wait long.
const BATCH: u32 = 500;
/// A wall clock that moved by more than this against the uptime isn't trusted.
const CLOCK_MOVED: Duration = Duration::from_secs(300);

impl Service {
    /// Runs upkeep for as long as the process runs.
    pub async fn upkeep(&self) {
        let mut rounds = Rounds::default();
        if self.context.node.is_some() {
            tokio::time::sleep(offset(&*self.context.entropy)).await;
        }
        loop {
            if let Err(failure) = self.upkeep_round(&mut rounds).await {
                tracing::warn!(%failure, "a round of upkeep failed");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn upkeep_round(&self, rounds: &mut Rounds) -> Result<UpkeepReport, Failure> {
        let context = &*self.context;
        let (now, uptime) = (context.clock.now(), context.clock.uptime());
        if rounds.clock_moved(now, uptime) {
            tracing::error!(
                "the wall clock has moved by more than five minutes; nothing is deleted until it has been steady for an hour"
            );
            return Ok(UpkeepReport::default());
        }
        if self.node_status().is_some_and(|status| status.has_wrong_clock) {
            // What it takes for expired may be valid by the others' clocks.
            return Ok(UpkeepReport::default());
        }
        let mut upkept = UpkeepReport::default();
        loop {
            let receipt = context.store.commit(Change::MarkExpired { now, limit: BATCH }).await?;
            upkept.marked += receipt.pruned;
            if receipt.pruned < BATCH {
                break;
            }
        }
        rounds.done.push((uptime, now));
        if let Some(then) = rounds.ripe(uptime) {
            self.forget(then, now, &mut upkept).await?;
            rounds.drop_until(then);
        }
        self.context.blank_persons().await?;
        self.context.record_client_uses().await?;
        context.feed.coordination.upkeep(uptime).await?;
        context.lockout.upkeep().await?;
        self.compare_nodes().await?;
        self.apply_due_key_changes().await?;
        self.refresh_password_classes().await?;
        self.context.recount().await?;
        Ok(upkept)
    }

    /// Deletes data that was expired at `then` and still is at `now`.
    async fn forget(
        &self,
        then: Timestamp,
        now: Timestamp,
        upkept: &mut UpkeepReport,
    ) -> Result<(), Failure> {
        let context = &*self.context;
        loop {
            let receipt =
                context.store.commit(Change::DeleteMarked { now, marked_until: then, limit: BATCH }).await?;
            upkept.deleted += receipt.pruned;
            if receipt.pruned > 0 {
                context.renew.notify_one();
            }
            if receipt.pruned < BATCH {
                break;
            }
        }
        let past = then.min(now);
        loop {
            let receipt = context.store.commit(Change::ForgetExpired { now: past, limit: BATCH }).await?;
            upkept.forgotten += receipt.pruned;
            if receipt.pruned < BATCH {
                break;
            }
        }
        context.forget_audit(past - context.policy.audit.keep).await?;
        Ok(())
    }

    /// Forgets the classes that no account's hash has any more.
    async fn refresh_password_classes(&self) -> Result<(), Failure> {
        let classes = self.context.store.password_classes(MAX_CLASSES).await?;
        let classes: Vec<_> = classes.iter().filter_map(|class| class.parse().ok()).collect();
        self.context.passwords.set_classes(&classes);
        Ok(())
    }
}

/// A random part of the interval: nodes that were started together don't work on the same rows.
fn offset(entropy: &dyn Entropy) -> Duration {
    EVERY * u32::from(u16::from_be_bytes(draw(entropy))) / (u32::from(u16::MAX) + 1)
}

/// The rounds since the clock was last seen to jump, by this process's uptime and by the wall clock.
#[derive(Default)]
struct Rounds {
    done: Vec<(Duration, Timestamp)>,
    last: Option<(Timestamp, Duration)>,
}

impl Rounds {
    /// Returns whether the wall clock has moved against the uptime since the last round. If so, the rounds
    /// are forgotten.
    fn clock_moved(&mut self, now: Timestamp, uptime: Duration) -> bool {
        let moved = self.last.is_some_and(|(last_now, last_uptime)| {
            let by_uptime = uptime.saturating_sub(last_uptime);
            let expected = last_now + by_uptime;
            now.since(expected).max(expected.since(now)) > CLOCK_MOVED
        });
        self.last = Some((now, uptime));
        if moved {
            self.done.clear();
        }
        moved
    }

    /// The wall-clock time of the last round that is old enough.
    fn ripe(&self, uptime: Duration) -> Option<Timestamp> {
        self.done
            .iter()
            .filter(|(then, _)| uptime.saturating_sub(*then) >= RIPE_AFTER)
            .map(|(_, at)| *at)
            .max()
    }

    fn drop_until(&mut self, until: Timestamp) {
        self.done.retain(|(_, at)| *at > until);
    }
}

#[cfg(test)]
mod tests;
