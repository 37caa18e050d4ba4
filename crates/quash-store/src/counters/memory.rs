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
pub struct MemoryCounters {
    counts: Mutex<Counts>,
    is_shared: bool,
}

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
        let counts = Counts {
            tallies: Tallies::new(policy),
            running: HashMap::new(),
            subnets: Windows::new(),
            homes: Windows::new(),
            sites: Windows::new(),
            devices: Windows::new(),
            requests: Requests::default(),
        };
        Self { counts: Mutex::new(counts), is_shared: false }
    }

    /// Creates empty counters that say that others use them, too, as processes share those in a database. For tests.
    pub fn shared(policy: LockoutPolicy) -> Self {
        Self { is_shared: true, ..Self::new(policy) }
    }

    /// A poisoned lock is safe to use: a panic in other code can't have left a count half written.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// All maps are bounded, and forget when something is added.
    async fn upkeep(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
