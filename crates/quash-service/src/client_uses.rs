//! The last uses of clients' secrets, until upkeep writes them down.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use quash_core::model::{ClientName, StoredClient, Timestamp};

/// The clients that were used since upkeep has written this down, each with the time of its last use.
#[derive(Default)]
pub(crate) struct ClientUses(Mutex<BTreeMap<ClientName, Timestamp>>);

impl ClientUses {
    pub(crate) fn used(&self, name: &ClientName, at: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(name) {
            Some(last) => *last = at.max(*last),
            None => drop(uses.insert(name.clone(), at)),
        }
    }

    pub(crate) fn take(&self) -> BTreeMap<ClientName, Timestamp> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the uses of this process that aren't written yet.
    pub(crate) fn complete(&self, stored: StoredClient) -> StoredClient {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An earlier use is that of a removed client of the same name.
        let used = uses.get(&stored.client.name).copied().filter(|at| stored.client.created_at <= *at);
        let last_used_at = stored.last_used_at.max(used);
        StoredClient { last_used_at, ..stored }
    }
}
