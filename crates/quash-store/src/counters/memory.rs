//! Counters in the memory of the only process. A restart empties them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::LockoutPolicy;

use super::requests::Requests;
use super::tallies::Tallies;
use super::windows::Windows;
use super::{Allowance, Counted, Counters, RequestLimit, Window, WindowKind};
use crate::StoreError;

/// [`Counters`] for a store that only one process uses.
pub struct MemoryCounters(Mutex<Counts>);

struct Counts {
    tallies: Tallies,
    /// The attempts being evaluated. An entry exists only while there are any.
    running: HashMap<Counted, u32>,
    subnets: Windows,
    homes: Windows,
    sites: Windows,
    devices: Windows,
    requests: Requests,
}

impl MemoryCounters {
    /// Creates empty counters.
    pub fn new(policy: LockoutPolicy) -> Self {
        Self(Mutex::new(Counts {
            tallies: Tallies::new(policy),
            running: HashMap::new(),
            subnets: Windows::new(),
            homes: Windows::new(),
            sites: Windows::new(),
            devices: Windows::new(),
            requests: Requests::default(),
        }))
    }

    /// A poisoned lock is safe to use: a panic in other code can't have left a count half written.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn windows(&mut self, kind: WindowKind) -> &mut Windows {
        match kind {
            WindowKind::Subnet => &mut self.subnets,
            WindowKind::Home => &mut self.homes,
            WindowKind::Site => &mut self.sites,
            WindowKind::Devices => &mut self.devices,
        }
    }
}

#[async_trait]
impl Counters for MemoryCounters {
    async fn reserve(&self, counted: Counted, now: Duration) -> Result<bool, StoreError> {
        let mut counts = self.counts();
        let running = counts.running.get(&counted).copied().unwrap_or(0);
        if running >= counts.tallies.slots(counted, now) {
            return Ok(false);
        }
        counts.running.insert(counted, running + 1);
        Ok(true)
    }

    fn release(&self, counted: Counted) {
        let mut counts = self.counts();
        match counts.running.get_mut(&counted) {
            Some(running) if *running > 1 => *running -= 1,
            _ => {
                counts.running.remove(&counted);
            }
        }
    }

    async fn is_locked(&self, counted: Counted, now: Duration) -> Result<bool, StoreError> {
        Ok(self.counts().tallies.is_locked(counted, now))
    }

    async fn failed(&self, counted: Counted, locks: u32, now: Duration) -> Result<bool, StoreError> {
        Ok(self.counts().tallies.failed(counted, locks, now))
    }

    async fn clear(&self, counted: Counted) -> Result<(), StoreError> {
        self.counts().tallies.clear(counted);
        Ok(())
    }

    async fn begin(&self, window: Window, now: Duration) -> Result<Result<(), Duration>, StoreError> {
        Ok(self.counts().windows(window.kind).begin(window, now))
    }

    fn end(&self, window: Window) {
        self.counts().windows(window.kind).end(window);
    }

    async fn failed_in(&self, window: Window, now: Duration) -> Result<(), StoreError> {
        self.counts().windows(window.kind).failed(window, now);
        Ok(())
    }

    async fn allowance(&self, window: Window, now: Duration) -> Result<Allowance, StoreError> {
        Ok(self.counts().windows(window.kind).allowance(window, now))
    }

    async fn take(&self, limits: &[RequestLimit], now: Duration) -> Result<bool, StoreError> {
        Ok(self.counts().requests.take(limits, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{Bucket, CounterKey};

    #[tokio::test]
    async fn a20_failures_and_running_attempts_share_the_places() {
        let counters = MemoryCounters::new(LockoutPolicy::default());
        let counted = Counted { bucket: Bucket::Account, key: CounterKey([1; 16]) };
        let other = Counted { bucket: Bucket::Device, ..counted };
        let (now, minute) = (Duration::from_secs(60), Duration::from_secs(60));
        let reserve = async |counted| counters.reserve(counted, now).await.expect("a place");
        let failed = async |counted| counters.failed(counted, 0, now).await.expect("it is counted");
        for _ in 0..5 {
            assert!(reserve(counted).await);
        }
        assert!(!reserve(counted).await, "one past the edge");
        assert!(reserve(other).await, "another counter");
        for _ in 0..4 {
            assert!(!failed(counted).await);
            counters.release(counted);
            assert!(!reserve(counted).await, "one place, and one attempt that has it");
        }
        assert!(failed(counted).await, "the fifth failure locks");
        counters.release(counted);
        assert!(counters.is_locked(counted, now).await.expect("an answer"));
        assert!(reserve(counted).await, "an attempt under a lock has a place, too");
        assert!(!counters.is_locked(counted, now + minute).await.expect("an answer"));
        counters.clear(counted).await.expect("it is cleared");
        assert!(!counters.is_locked(counted, now).await.expect("an answer"));
    }
}
