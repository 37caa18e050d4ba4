//! Turns: how many attempts are evaluated at a time, and how many may wait. An attempt has its turn until it is known
//! how it ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::tallies::Counted;

/// How many attempts may wait for a turn at one tally.
pub(super) const WAITING: u32 = 16;
/// When whoever found no place to wait should come again.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Those that are evaluated, and those that wait for them. There is an entry only while there is somebody.
#[derive(Default)]
pub(super) struct Turns(HashMap<Counted, Line>);

#[derive(Default)]
struct Line {
    running: u32,
    waiting: u32,
    freed: Arc<Notify>,
}

/// What becomes of an attempt that asks for a turn.
pub(super) enum Asked {
    /// It has it.
    Granted,
    /// It may wait until a turn ends, and ask again.
    Wait(OwnedNotified),
    /// There is no place to wait.
    Crowded,
}

impl Turns {
    /// Asks for the first time.
    pub(super) fn ask(&mut self, counted: Counted, slots: u32) -> Asked {
        let line = self.0.entry(counted).or_default();
        if line.running < slots && line.waiting == 0 {
            line.running += 1;
            return Asked::Granted;
        }
        if line.waiting >= WAITING {
            return Asked::Crowded;
        }
        line.waiting += 1;
        Asked::Wait(Arc::clone(&line.freed).notified_owned())
    }

    /// Asks again, after having waited.
    pub(super) fn ask_again(&mut self, counted: Counted, slots: u32) -> Asked {
        let line = self.0.entry(counted).or_default();
        if line.running < slots {
            line.waiting = line.waiting.saturating_sub(1);
            line.running += 1;
            return Asked::Granted;
        }
        Asked::Wait(Arc::clone(&line.freed).notified_owned())
    }

    /// Waits no longer.
    pub(super) fn give_up(&mut self, counted: Counted) {
        self.leave(counted, |line| line.waiting = line.waiting.saturating_sub(1));
    }

    /// A turn ends.
    pub(super) fn end(&mut self, counted: Counted) {
        self.leave(counted, |line| line.running = line.running.saturating_sub(1));
    }

    fn leave(&mut self, counted: Counted, leave: impl FnOnce(&mut Line)) {
        if let Some(line) = self.0.get_mut(&counted) {
            leave(line);
            line.freed.notify_waiters();
            if line.running == 0 && line.waiting == 0 {
                self.0.remove(&counted);
            }
        }
    }
}
