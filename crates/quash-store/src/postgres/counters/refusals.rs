//! Refusals that are remembered until they can change, so that a flood of attempts costs no statement.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::KEY;
use crate::counters::CounterKey;
use crate::counters::bounded_map::BoundedMap;

/// The reason for a refusal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Refusal {
    /// A counter is locked.
    Lock([u8; KEY]),
    /// A window has no failure left.
    Window(i16, CounterKey),
    /// One of these limits is used up.
    Requests(Vec<(i16, CounterKey)>),
}

/// The refusals of this process, and the uptime until which each holds.
pub(super) struct Refusals(Mutex<BoundedMap<Refusal, Duration>>);

/// The most refusals remembered. Others cost a statement each.
const REMEMBERED: usize = 20_000;

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(REMEMBERED)))
    }
}

impl Refusals {
    /// The time for which this refusal still holds.
    pub(super) fn left(&self, refusal: &Refusal, now: Duration) -> Option<Duration> {
        let until = self.with(|refusals| refusals.of(refusal))?;
        until.checked_sub(now).filter(|left| !left.is_zero())
    }

    pub(super) fn remember(&self, refusal: Refusal, until: Duration) {
        self.with(|refusals| refusals.put(refusal, until));
    }

    pub(super) fn forget(&self, refusal: &Refusal) {
        self.with(|refusals| refusals.remove(refusal));
    }

    /// A poisoned lock is safe to use: a panic in other code can't have left an entry half written.
    fn with<T>(&self, run: impl FnOnce(&mut BoundedMap<Refusal, Duration>) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
