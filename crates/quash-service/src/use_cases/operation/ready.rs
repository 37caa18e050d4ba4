//! Whether this process can do its work: it reads and writes the store to find out.

use std::time::Duration;

use quash_core::model::{Change, SessionId};

use crate::context::{Desk, Service};
use crate::failure::{Failure, Unavailable};

/// How long an outcome holds: however often clients ask, the store is read and written once in this time.
const HOLDS: Duration = Duration::from_secs(1);

/// The name under which the check writes.
const NAME: &str = "readiness";
/// More than fits into free space of the row's page: a file that can't grow refuses it.
const GROWTH_BYTES: usize = 3 * 4096;

impl Service {
    /// Returns whether the store can be read and written. Requests within a second share one check.
    ///
    /// # Errors
    /// It can't, or it is damaged.
    pub async fn ready(&self) -> Result<(), Failure> {
        let desk = &*self.desk;
        // Held during the check: requests that come meanwhile wait for its outcome.
        let mut last = desk.checked.lock().await;
        if let Some((at, outcome)) = &*last
            && desk.clock.uptime().saturating_sub(*at) < HOLDS
        {
            return outcome.clone();
        }
        let outcome = desk.check_store().await;
        *last = Some((desk.clock.uptime(), outcome.clone()));
        outcome
    }
}

impl Desk {
    async fn check_store(&self) -> Result<(), Failure> {
        let away = |cause: String| Failure::Unavailable(Unavailable::StoreAway(cause));
        if *self.store.broken().borrow() {
            return Err(away("the disk refused to keep what it was given".into()));
        }
        // A page of each of the tables that sign-ins and refreshes need.
        self.store.accounts(None, 1).await?;
        self.store.session(SessionId::from_bytes([0; 16])).await?;
        let remember = |value: String| Change::Remember { name: NAME, value };
        // The pages that the first takes are given back by the second, in the same transaction.
        self.store
            .commit(Change::Together(vec![remember("-".repeat(GROWTH_BYTES)), remember(String::new())]))
            .await?;
        match self.store.damage() {
            Some(damage) => Err(away(format!("the database is damaged: {damage}"))),
            None => Ok(()),
        }
    }
}
