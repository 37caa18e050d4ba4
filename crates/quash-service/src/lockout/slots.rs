//! Slots: limits the attempts evaluated at once and those waiting. An attempt holds its slot until its
//! outcome is known.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::tallies::Counted;

/// The most attempts waiting for a slot of one counter.
pub(super) const WAITING: u32 = 16;
/// The time after which a client that found no place may retry.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The running and waiting attempts. An entry exists only while it has any.
#[derive(Default)]
pub(super) struct SlotQueues(HashMap<Counted, SlotQueue>);

#[derive(Default)]
struct SlotQueue {
    running: u32,
    waiting: u32,
    freed: Arc<Notify>,
}

/// The answer to a request for a slot.
pub(super) enum SlotAnswer {
    Granted,
    /// Wait until a slot is freed, then ask again.
    Wait(OwnedNotified),
    /// Too many attempts are waiting.
    Crowded,
}

impl SlotQueues {
    /// Requests a slot for the first time.
    pub(super) fn ask(&mut self, counted: Counted, slots: u32) -> SlotAnswer {
        let line = self.0.entry(counted).or_default();
        if line.running < slots && line.waiting == 0 {
            line.running += 1;
            return SlotAnswer::Granted;
        }
        if line.waiting >= WAITING {
            return SlotAnswer::Crowded;
        }
        line.waiting += 1;
        SlotAnswer::Wait(Arc::clone(&line.freed).notified_owned())
    }

    /// Requests a slot again after waiting.
    pub(super) fn ask_again(&mut self, counted: Counted, slots: u32) -> SlotAnswer {
        let line = self.0.entry(counted).or_default();
        if line.running < slots {
            line.waiting = line.waiting.saturating_sub(1);
            line.running += 1;
            return SlotAnswer::Granted;
        }
        SlotAnswer::Wait(Arc::clone(&line.freed).notified_owned())
    }

    /// Stops waiting.
    pub(super) fn give_up(&mut self, counted: Counted) {
        self.leave(counted, |line| line.waiting = line.waiting.saturating_sub(1));
    }

    /// Frees a slot.
    pub(super) fn end(&mut self, counted: Counted) {
        self.leave(counted, |line| line.running = line.running.saturating_sub(1));
    }

    fn leave(&mut self, counted: Counted, leave: impl FnOnce(&mut SlotQueue)) {
        if let Some(line) = self.0.get_mut(&counted) {
            leave(line);
            line.freed.notify_waiters();
            if line.running == 0 && line.waiting == 0 {
                self.0.remove(&counted);
            }
        }
    }
}
