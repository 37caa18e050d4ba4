//! The attempts of this process that wait for a free place of their counter.

use std::collections::HashMap;
use std::sync::Arc;

use quash_store::Counted;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// The most attempts waiting for a place of one counter.
pub(super) const WAITING: u32 = 16;

/// The waiting attempts. An entry exists only while there are any.
#[derive(Default)]
pub(super) struct SlotQueues(HashMap<Counted, SlotQueue>);

#[derive(Default)]
struct SlotQueue {
    waiting: u32,
    freed: Arc<Notify>,
}

impl SlotQueues {
    /// Returns whether attempts are waiting, which go first.
    pub(super) fn is_waited_for(&self, counted: Counted) -> bool {
        self.0.contains_key(&counted)
    }

    /// Begins to wait. Returns whether there was room.
    pub(super) fn enter(&mut self, counted: Counted) -> bool {
        let line = self.0.entry(counted).or_default();
        if line.waiting >= WAITING {
            return false;
        }
        line.waiting += 1;
        true
    }

    /// The next time that a place is freed, from now on. Subscribe before asking for a place: one that is freed
    /// in between isn't missed.
    pub(super) fn freed(&mut self, counted: Counted) -> OwnedNotified {
        Arc::clone(&self.0.entry(counted).or_default().freed).notified_owned()
    }

    /// Stops waiting.
    pub(super) fn leave(&mut self, counted: Counted) {
        if let Some(line) = self.0.get_mut(&counted) {
            line.waiting = line.waiting.saturating_sub(1);
            if line.waiting == 0 {
                self.0.remove(&counted);
            }
        }
    }

    /// Wakes the waiting attempts, because a place was freed.
    pub(super) fn wake(&self, counted: Counted) {
        if let Some(line) = self.0.get(&counted) {
            line.freed.notify_waiters();
        }
    }
}
