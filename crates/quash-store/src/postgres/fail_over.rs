//! Implements the trait [`FailOver`]: inspects a promoted server, and takes it over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand;
use quash_core::model::{Change, Entry, InstanceId, KeyRecord, NotedEnd, Receipt};
use tokio::sync::watch;

use super::apply;
use super::fault::PostgresError;
use super::params::Params;
use super::read::reader;
use super::rows;
use super::server::identity::{History, Identity};
use super::statements;
use super::transaction::{Database, Statement};
use crate::StoreError;
use crate::columns::ReadColumns;
use crate::fail_over::{FailOver, PromotedServer};

/// [`FailOver`] for a PostgreSQL store.
#[derive(Debug)]
pub struct PostgresFailOver {
    /// The server that the store uses.
    own: Arc<Database>,
    history: Arc<History>,
    wait: Duration,
    /// The server that was found, and connections to it alone.
    found: Mutex<Option<(Identity, Arc<Database>)>>,
    /// The end that this process knows of a log which the server doesn't continue.
    doubted: Mutex<Option<NotedEnd>>,
}

const STATE: &str = "SELECT timeline, is_synchronous, \
    NOT EXISTS (SELECT 1 FROM lease WHERE kind = 'node' AND NOT has_left AND compared_on IS DISTINCT FROM $1), \
    (SELECT coalesce(max(term_ms), 0) FROM lease WHERE kind = 'node' AND NOT has_left) FROM cluster WHERE id = 1";

/// The numbers and hashes of entries.
const CHAINS: &str = "SELECT seq, chain FROM revocation_log WHERE seq = ANY($1)";

const COMPARED: &str = "UPDATE lease SET compared_on = $3 WHERE (name, instance) = ($1, $2)";

/// Sets `settled` to false: the new server may lack leases that the old one had, until a process has waited for a
/// term.
const TAKE_OVER: &str = "UPDATE cluster SET timeline = $1, is_synchronous = $2, settled = false \
    WHERE id = 1 AND timeline IS DISTINCT FROM $1";

/// Sets the version of the key ring above any that a process which uses the server has counted.
const ADVANCE_RING: &str = "UPDATE cluster SET ring = greatest(ring, $1) + 1 WHERE id = 1";

impl PostgresFailOver {
    pub(super) fn new(own: Arc<Database>, history: Arc<History>, wait: Duration) -> Self {
        Self { own, history, wait, found: Mutex::default(), doubted: Mutex::default() }
    }

    /// Connections to the server that was found, and to no other.
    fn found(&self) -> Result<(Identity, Arc<Database>), StoreError> {
        let unavailable = |detail: &str| StoreError::Unavailable(detail.to_owned());
        let Some(identity) = self.history.found() else {
            return Err(unavailable("no other server was found"));
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, database)) = found.as_ref().filter(|(known, _)| *known == identity) {
            return Ok((identity, Arc::clone(database)));
        }
        let mut writer = [0; 16];
        rand::fill(&mut writer).map_err(|_| unavailable("no random bytes"))?;
        let history = History::new(self.history.reading().clone(), identity.clone());
        let target = self.own.target.clone().compared_with(history);
        let pool = target.clone().pool(2, self.wait).map_err(|error| unavailable(&error.to_string()))?;
        let database = Arc::new(Database::new(target, pool, writer));
        *found = Some((identity.clone(), Arc::clone(&database)));
        Ok((identity, database))
    }

    /// The server that was inspected last, unless another one was found since.
    fn inspected(&self) -> Result<(Identity, Arc<Database>), StoreError> {
        let inspected = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        inspected
            .filter(|(identity, _)| self.history.found().as_ref() == Some(identity))
            .ok_or_else(|| StoreError::Unavailable("another server was found meanwhile".into()))
    }

    async fn inspect_server(
        &self,
        identity: &Identity,
        database: &Database,
        noted: NotedEnd,
    ) -> Result<PromotedServer, PostgresError> {
        let (recent, own) = (self.own.recent.all(), self.history.own());
        let mut numbers: Vec<i64> = vec![rows::bound(noted.seq.as_u64())];
        numbers.extend(recent.iter().map(|entry| rows::bound(entry.seq.as_u64())));
        let snapshot = database.begin_read().await?;
        let head = rows::only(&snapshot.query(statements::HEAD, &[]).await?, rows::head)?;
        let (timeline, was_synchronous, all_compared, longest_ms) =
            rows::only(&snapshot.query(STATE, &[&identity.timeline]).await?, |columns| {
                Ok((columns.take::<Option<i32>>()?, columns.take()?, columns.take()?, columns.take::<i64>()?))
            })?;
        let chains = rows::all(&snapshot.query(CHAINS, &[&numbers]).await?, |columns| {
            Ok((columns.seq()?, columns.bytes::<32>()?))
        })?;
        snapshot.roll_back().await;
        let chain_at = |seq| chains.iter().find(|(other, _)| *other == seq).map(|(_, chain)| *chain);
        let is_lost = |entry: &Entry| {
            entry.seq.epoch() == head.seq.epoch()
                && match chain_at(entry.seq) {
                    Some(chain) => chain != entry.chain,
                    // Below, it may have been deleted.
                    None => entry.seq > head.forgotten.seq,
                }
        };
        Ok(PromotedServer {
            head,
            noted_chain: chain_at(noted.seq),
            is_decided: timeline == identity.timeline,
            // A server that wasn't its standby proves nothing.
            was_synchronous: was_synchronous && own.is_synchronous && own.may_be_followed_by(identity),
            all_compared,
            longest_term: Duration::from_millis(u64::try_from(longest_ms).unwrap_or_default()),
            lost: recent.into_iter().filter(is_lost).collect(),
        })
    }
}

#[async_trait]
impl FailOver for PostgresFailOver {
    fn is_due(&self) -> watch::Receiver<bool> {
        self.history.is_due()
    }

    fn seen(&self) -> NotedEnd {
        let doubted = *self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        doubted.unwrap_or_else(|| *self.own.end.borrow())
    }

    fn doubt(&self, known: NotedEnd) {
        // Reads of the server's log may have moved the end that was seen.
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(known);
        if self.history.found().is_none() {
            self.history.find(self.history.own());
        }
    }

    async fn inspect(&self, noted: NotedEnd) -> Result<PromotedServer, StoreError> {
        let (identity, database) = self.found()?;
        Ok(self.inspect_server(&identity, &database, noted).await?)
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let (_, database) = self.found()?;
        Ok(reader::keys(&database).await?)
    }

    async fn compared(&self, id: &InstanceId) -> Result<(), StoreError> {
        let (identity, database) = self.inspected()?;
        let (name, number) = (id.name.as_str(), id.number.as_slice());
        write(&database, COMPARED, &[&name, &number, &identity.timeline]).await
    }

    async fn begin_epoch(&self, change: Change) -> Result<Receipt, StoreError> {
        let (identity, database) = self.inspected()?;
        let taken: Statement<'_> = (TAKE_OVER, vec![&identity.timeline, &identity.is_synchronous]);
        Ok(apply::commit_with(&database, &change, &[taken]).await?)
    }

    async fn advance_ring(&self, known: u64) -> Result<(), StoreError> {
        let (_, database) = self.inspected()?;
        write(&database, ADVANCE_RING, &[&rows::bound(known)]).await
    }

    async fn take_over(&self) -> Result<(), StoreError> {
        let (identity, database) = self.inspected()?;
        write(&database, TAKE_OVER, &[&identity.timeline, &identity.is_synchronous]).await?;
        self.history.take_over(identity);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Last: a doubt that comes in between makes the server due again.
        *self.doubted.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// Runs a statement durably. It may be repeated when its outcome is unknown.
async fn write(database: &Database, statement: &str, params: Params<'_>) -> Result<(), StoreError> {
    let transaction = database.begin_durable_unmarked().await?;
    transaction.execute(statement, params).await?;
    transaction.commit().await
}
