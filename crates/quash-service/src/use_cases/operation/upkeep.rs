//! Upkeep: what has had its time is marked, and deleted later. Nothing here decides what may be forgotten; the
//! entries say it themselves.
//!
//! Nothing is forgotten but what was past its time an hour of this process's own uptime ago, and has been since: a wall clock
//! that jumped ahead for a while forgets nothing. An entry of the log is marked first, and read as before. What a clock does that
//! stays wrong for longer is told in `docs/concepts/revocation.md`: users may have to sign in again, and nobody else can.

use std::time::Duration;

use quash_core::model::{Change, Timestamp};

use crate::context::Service;
use crate::failure::Failure;
use crate::feed::remember_term;
use crate::passwords::MAX_CLASSES;

/// What one round of upkeep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Upkept {
    /// Entries marked.
    pub marked: u32,
    /// Entries deleted.
    pub deleted: u32,
    /// Rows of sessions, flows and mails forgotten.
    pub forgotten: u32,
}

/// How often upkeep looks, where there is nothing left to do.
const EVERY: Duration = Duration::from_secs(60);
/// For how long something must have been past its time.
const RIPE_AFTER: Duration = Duration::from_secs(3600);
/// Rows at a time: each is a short transaction among those of the clients.
const BATCH: u32 = 500;
/// A wall clock that moved by more than this against the uptime isn't believed.
const CLOCK_MOVED: Duration = Duration::from_secs(300);

impl Service {
    /// Upkeep for as long as the process runs.
    pub async fn upkeep(&self) {
        let mut rounds = Rounds::default();
        loop {
            if let Err(failure) = self.upkeep_round(&mut rounds).await {
                tracing::warn!(?failure, "upkeep did not finish a round");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn upkeep_round(&self, rounds: &mut Rounds) -> Result<Upkept, Failure> {
        let desk = &*self.desk;
        let (now, uptime) = (desk.clock.now(), desk.clock.uptime());
        if rounds.clock_moved(now, uptime) {
            tracing::error!(
                "the wall clock has moved by more than five minutes: nothing is forgotten until it has been right for an hour"
            );
            return Ok(Upkept::default());
        }
        let mut upkept = Upkept::default();
        loop {
            let receipt = desk.store.commit(Change::MarkExpired { now, limit: BATCH }).await?;
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
        self.desk.blank_persons().await?;
        if desk.feed.leases.have_become_shorter(uptime) {
            desk.store.commit(remember_term(desk.policy.feed.term)).await?;
        }
        self.tend_keys().await?;
        self.know_password_classes().await?;
        Ok(upkept)
    }

    /// Forgets what was past its time at the moment `then`, and is at `now`.
    async fn forget(&self, then: Timestamp, now: Timestamp, upkept: &mut Upkept) -> Result<(), Failure> {
        let desk = &*self.desk;
        loop {
            let receipt =
                desk.store.commit(Change::DeleteMarked { now, marked_until: then, limit: BATCH }).await?;
            upkept.deleted += receipt.pruned;
            if receipt.pruned > 0 {
                desk.renew.notify_one();
            }
            if receipt.pruned < BATCH {
                break;
            }
        }
        let past = then.min(now);
        loop {
            let receipt = desk.store.commit(Change::ForgetExpired { now: past, limit: BATCH }).await?;
            upkept.forgotten += receipt.pruned;
            if receipt.pruned < BATCH {
                break;
            }
        }
        desk.forget_audit(past - desk.policy.audit.keep).await.map(drop)
    }

    /// Forgets the classes of which no account has a hash any more.
    async fn know_password_classes(&self) -> Result<(), Failure> {
        let classes = self.desk.store.password_classes(MAX_CLASSES).await?;
        let classes: Vec<_> = classes.iter().filter_map(|class| class.parse().ok()).collect();
        self.desk.passwords.known_classes(&classes);
        Ok(())
    }
}

/// The rounds that this process has done since its clock was last seen to jump: when, by its own uptime and by the wall clock.
#[derive(Default)]
struct Rounds {
    done: Vec<(Duration, Timestamp)>,
    last: Option<(Timestamp, Duration)>,
}

impl Rounds {
    /// Whether the wall clock has moved against the uptime since the last round. If so, waiting begins anew.
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

    /// What time it was in the last round that is long enough ago.
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
