//! Revocations that wait until the issuer accepts them: `Verifier.revoke_later`. They belong to one process
//! and are lost when it ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::revocations::Batch;

/// The batches in their order.
#[derive(Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Arc<Batch>>,
    /// The number of revocations in all batches.
    revocations: usize,
    /// A task sends them.
    is_sending: bool,
    /// The task waits after a failure.
    is_paused: bool,
}

/// The most revocations that wait.
pub(crate) const CAPACITY: usize = 10_000;

impl Outbox {
    /// Adds a batch and returns whether the caller must start the task that sends it; `None` if there is no
    /// room for it.
    pub(crate) fn push(&self, batch: Batch) -> Option<bool> {
        let mut waiting = self.lock();
        let revocations = waiting.revocations + batch.revocations.len();
        if revocations > CAPACITY {
            return None;
        }
        waiting.revocations = revocations;
        waiting.batches.push_back(Arc::new(batch));
        Some(!std::mem::replace(&mut waiting.is_sending, true))
    }

    /// Returns the oldest batch. `None` ends the task: the next batch starts another.
    pub(crate) fn first(&self) -> Option<Arc<Batch>> {
        let mut waiting = self.lock();
        waiting.is_paused = false;
        let first = waiting.batches.front().map(Arc::clone);
        waiting.is_sending = first.is_some();
        first
    }

    pub(crate) fn remove_first(&self) {
        let mut waiting = self.lock();
        let removed = waiting.batches.pop_front().map_or(0, |batch| batch.revocations.len());
        waiting.revocations -= removed;
    }

    /// Notes that the task waits after a failure.
    pub(crate) fn pause(&self) {
        self.lock().is_paused = true;
    }

    /// Returns whether a request is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        let waiting = self.lock();
        waiting.is_sending && !waiting.is_paused
    }

    /// Returns the number of revocations that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().revocations
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
