//! Gates on a process's line to the store. A closed gate holds messages back until it is opened, so that faults can
//! be put in an order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::wait::pass;

/// The gates of one line.
#[derive(Default)]
pub(crate) struct Gates {
    /// Requests about leases, on their way to the store.
    pub(crate) leases: Gate,
    /// Deletions of lease rows, after the rows were read that have expired.
    pub(crate) deletions: Gate,
    /// Reads of the keys, on their way to the store.
    pub(crate) keys: Gate,
    /// Answers to other reads.
    pub(crate) reads: Gate,
    /// Answers to changes.
    pub(crate) commits: Gate,
}

#[derive(Default)]
pub(crate) struct Gate {
    is_closed: AtomicBool,
    /// Whether it has stopped a message since it was closed.
    has_stopped_one: AtomicBool,
}

/// The pause between two looks at a closed gate.
const LOOK: Duration = Duration::from_millis(1);

impl Gate {
    pub(crate) fn close(&self) {
        self.has_stopped_one.store(false, Ordering::Relaxed);
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) {
        self.is_closed.store(false, Ordering::Relaxed);
    }

    /// Returns whether it has stopped a message since it was closed.
    pub(crate) fn has_stopped_one(&self) -> bool {
        self.has_stopped_one.load(Ordering::Relaxed)
    }

    /// Waits until it is open. No gate is closed while nothing goes wrong.
    pub(crate) async fn passed(&self, calm: &AtomicBool) {
        while self.is_closed.load(Ordering::Relaxed) && !calm.load(Ordering::Relaxed) {
            self.has_stopped_one.store(true, Ordering::Relaxed);
            pass(LOOK).await;
        }
    }
}
