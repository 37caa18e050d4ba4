//! The record of the keys that this process has loaded, so that it notices a change of the store's keys.

use std::time::Duration;

use quash_core::model::{KeyRecord, KeyState, Kid};

/// The keys that this process has loaded.
#[derive(Default)]
pub(crate) struct LoadedKeys {
    /// The store's keys and their states when they were loaded.
    pub(crate) known: Option<Vec<(Kid, KeyState)>>,
    /// The next key, and the uptime since which the guard has it.
    pub(crate) next: Option<(Kid, Duration)>,
}

impl LoadedKeys {
    pub(crate) fn knows(&self, records: &[KeyRecord]) -> bool {
        self.known
            .as_ref()
            .is_some_and(|known| known.iter().map(|(kid, state)| (kid, state)).eq(key_states(records)))
    }

    pub(crate) fn set(&mut self, records: &[KeyRecord], uptime: Duration) {
        self.known = Some(key_states(records).map(|(kid, state)| (kid.clone(), *state)).collect());
        let next = records.iter().find(|record| matches!(record.state, KeyState::Next { .. }));
        self.next = next.map(|next| match self.next.take() {
            Some(before) if before.0 == next.kid => before,
            _ => (next.kid.clone(), uptime),
        });
    }
}

fn key_states(records: &[KeyRecord]) -> impl Iterator<Item = (&Kid, &KeyState)> {
    records.iter().map(|record| (&record.kid, &record.state))
}
