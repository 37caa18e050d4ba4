//! Upkeep: what has had its time is marked, and deleted later. Nothing here decides what may be forgotten; the
//! entries say it themselves.
//!
//! An entry past its time is first marked, and deleted only if it still is past it after an hour of this process's
//! own uptime: a wall clock that jumped ahead for a while forgets nothing. Of the audit nothing is forgotten before the
//! process has run for that long.

use std::time::Duration;

use quash_core::model::{Change, Timestamp};

use crate::desk::Service;
use crate::failure::Failure;
use crate::feed::remember_term;
use crate::passwords::MAX_CLASSES;

/// What one round of upkeep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Upkept {
    /// Rows marked, and session rows forgotten.
    pub marked: u32,
    /// Entries deleted.
    pub deleted: u32,
}

/// How often upkeep looks, where there is nothing left to do.
const EVERY: Duration = Duration::from_secs(60);
/// How long a marked entry waits.
const MARKED_FOR: Duration = Duration::from_secs(3600);
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
            tracing::error!("the wall clock has moved by more than five minutes: nothing is forgotten until it has been right for an hour");
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
        while desk.store.commit(Change::ForgetExpired { now, limit: BATCH }).await?.pruned >= BATCH {}
        rounds.marked.push((uptime, now));
        while let Some(marked_until) = rounds.ripe(uptime) {
            let receipt = desk.store.commit(Change::DeleteMarked { now, marked_until, limit: BATCH }).await?;
            upkept.deleted += receipt.pruned;
            if receipt.pruned < BATCH {
                rounds.forget(marked_until);
            }
        }
        if upkept.deleted > 0 {
            desk.renew.notify_one();
        }
        self.desk.blank_persons().await?;
        if uptime >= MARKED_FOR {
            self.desk.forget_audit(now - self.desk.policy.audit.keep).await?;
        }
        if desk.feed.leases.have_become_shorter(uptime) {
            desk.store.commit(remember_term(desk.policy.feed.term)).await?;
        }
        self.tend_keys().await?;
        self.know_password_classes().await?;
        Ok(upkept)
    }

    /// Forgets the classes of which no account has a hash any more.
    async fn know_password_classes(&self) -> Result<(), Failure> {
        let classes = self.desk.store.password_classes(MAX_CLASSES).await?;
        let classes: Vec<_> = classes.iter().filter_map(|class| class.parse().ok()).collect();
        self.desk.passwords.known_classes(&classes);
        Ok(())
    }
}

/// When this process marked what, by its own uptime.
#[derive(Default)]
struct Rounds {
    marked: Vec<(Duration, Timestamp)>,
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
            self.marked.clear();
        }
        moved
    }

    /// Up to which moment marks have waited long enough.
    fn ripe(&self, uptime: Duration) -> Option<Timestamp> {
        self.marked.iter().filter(|(then, _)| uptime.saturating_sub(*then) >= MARKED_FOR).map(|(_, at)| *at).max()
    }

    fn forget(&mut self, until: Timestamp) {
        self.marked.retain(|(_, at)| *at > until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_forgets_nothing() {
        let (mut rounds, minute) = (Rounds::default(), Duration::from_secs(60));
        let start = Timestamp::from_secs(1_000_000);
        assert!(!rounds.clock_moved(start, minute));
        rounds.marked.push((minute, start));
        assert_eq!(rounds.ripe(minute + MARKED_FOR - Duration::from_secs(1)), None);
        assert_eq!(rounds.ripe(minute + MARKED_FOR), Some(start));
        assert!(rounds.clock_moved(start + Duration::from_secs(7 * 24 * 3600), minute * 2));
        assert_eq!(rounds.ripe(minute + MARKED_FOR), None, "waiting begins anew");
        assert!(rounds.clock_moved(start + minute, minute * 3), "back again");
        assert!(!rounds.clock_moved(start + minute * 2, minute * 4));
    }
}
