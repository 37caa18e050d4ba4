//! Keeps the newest entries that this process has read, so that after a fail-over it can report which of them the
//! promoted server has lost.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use quash_core::model::Entry;

/// The most entries that are kept.
const KEPT: usize = 1_000;

/// The newest entries that were read from the log.
#[derive(Debug, Default)]
pub(in crate::postgres) struct RecentEntries(Mutex<VecDeque<Entry>>);

impl RecentEntries {
    pub(in crate::postgres) fn add(&self, entries: &[Entry]) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            if recent.back().is_none_or(|last| last.seq < entry.seq) {
                recent.push_back(entry.clone());
            }
        }
        let surplus = recent.len().saturating_sub(KEPT);
        recent.drain(..surplus);
    }

    pub(in crate::postgres) fn all(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
