//! A verifier's state in one process. A child process gets an empty slot: the threads of its parent don't
//! exist in it, and the locks that they held are never released.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::follower::Follower;

/// The place of a verifier's slot, which changes at a fork and at `close()`.
pub(crate) struct Place {
    slot: ArcSwap<Slot>,
}

/// The state in one process.
pub(crate) struct Slot {
    generation: u64,
    /// The verifier was closed in this process and doesn't start again.
    is_closed: bool,
    /// Held while the follower starts.
    starting: Mutex<()>,
    follower: OnceLock<Arc<Follower>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { slot: ArcSwap::from_pointee(Slot::new(false)) }
    }

    /// Returns this process's slot.
    #[inline]
    pub(crate) fn slot(&self) -> Guard<Arc<Slot>> {
        let slot = self.slot.load();
        if slot.generation == quash_fork::generation() { slot } else { self.renewed(slot) }
    }

    /// Replaces the slot with one that never starts, and returns its follower.
    pub(crate) fn close(&self) -> Option<Arc<Follower>> {
        let follower = self.slot().follower().map(Arc::clone);
        self.slot.store(Arc::new(Slot::new(true)));
        follower
    }

    /// Replaces a slot that belongs to another process.
    #[cold]
    fn renewed(&self, inherited: Guard<Arc<Slot>>) -> Guard<Arc<Slot>> {
        // The extra reference is never given back: dropping the slot would lock what the parent's threads hold.
        std::mem::forget(Arc::clone(&inherited));
        // Another thread of this process may have replaced it already.
        drop(self.slot.compare_and_swap(&*inherited, Arc::new(Slot::new(false))));
        self.slot.load()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let slot = self.slot.load_full();
        if slot.generation != quash_fork::generation() {
            std::mem::forget(slot);
        }
    }
}

impl Slot {
    fn new(is_closed: bool) -> Self {
        Self {
            generation: quash_fork::generation(),
            is_closed,
            starting: Mutex::new(()),
            follower: OnceLock::new(),
        }
    }

    #[inline]
    pub(crate) fn follower(&self) -> Option<&Arc<Follower>> {
        self.follower.get()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Returns the follower, and starts it unless it runs. `start` must not give the GIL away: another thread
    /// that has it would wait for this one.
    pub(crate) fn follower_or<E>(
        &self,
        start: impl FnOnce() -> Result<Follower, E>,
    ) -> Result<&Arc<Follower>, E> {
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(follower) = self.follower.get() {
            return Ok(follower);
        }
        let follower = Arc::new(start()?);
        Ok(self.follower.get_or_init(|| follower))
    }
}
