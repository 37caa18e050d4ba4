//! The PostgreSQL store: any number of processes over one primary. This file opens it; the submodules do the
//! work.

mod apply;
mod audit;
mod coordination;
mod counters;
mod django;
mod fail_over;
mod fault;
mod migrate;
mod moving;
mod params;
mod pipeline;
#[cfg(test)]
mod plans;
mod read;
mod rows;
mod server;
mod statements;
mod store;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use quash_core::model::NotedEnd;
use tokio::sync::watch;

use self::apply::batch::Lanes;
use self::fault::message;
use self::read::newest;
use self::read::queue::ReadQueue;
use self::server::connect::{Pool, Target};
use self::server::identity::{History, Identity, Reading, Relation};
use self::server::url::{DatabaseUrl, Encryption};
use self::server::{connect, requirements};
use self::transaction::Database;
use crate::{MoveError, OpenError, StoreConnections, StoreError};

pub use self::coordination::PostgresCoordination;
pub use self::counters::PostgresCounters;
pub(crate) use self::django::PostgresSource;
pub use self::fail_over::PostgresFailOver;
pub use self::moving::{MoveSource, copy_to_postgres};
pub use self::server::about::PostgresServer;
pub use self::server::url::UrlFault;

/// Options of a [`PostgresStore`].
#[derive(Clone)]
pub struct PostgresOptions {
    /// The database, such as `postgres://quash@db.example.org/quash`. It may contain a password.
    pub url: String,
    /// The most connections for reads and for changes that aren't written in batches.
    pub connections: usize,
    /// The longest time that a request waits for a connection.
    pub wait: Duration,
    /// Whether the server prepares statements.
    pub names: StatementNames,
    /// Whether to open a database that is a copy of the recorded one, or on another server.
    pub if_another: IfAnother,
}

/// Whether statements have names on the server, which then parses and plans each once for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatementNames {
    /// They have none, so that they work behind a pooler that gives each transaction another connection.
    None,
    /// Statements are prepared. A pooler must tell those of its clients apart: otherwise a statement may run in place of
    /// another one.
    Prepared,
}

/// The rule for a database that isn't the recorded one: a restored or upgraded one, or a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IfAnother {
    /// Don't open it: it may lack revocations.
    Refuse,
    /// Open it. [`PostgresStore::record_identity`] records what it is now.
    Open,
}

/// A [`Store`](crate::Store) in a PostgreSQL database, which other processes may use at the same time.
pub struct PostgresStore {
    database: Arc<Database>,
    lanes: Lanes,
    reads: ReadQueue,
    /// The connection of the follower, which mustn't wait for changes that wait for locks.
    following: Pool,
    /// All of its pools.
    pools: Vec<Pool>,
    history: Arc<History>,
    untold: Vec<String>,
    fail_over: Arc<PostgresFailOver>,
}

impl PostgresOptions {
    /// The defaults, for a database.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 8,
            wait: Duration::from_secs(5),
            names: StatementNames::None,
            if_another: IfAnother::Refuse,
        }
    }
}

/// Checks a database's URL, and the file of authorities that it names, without connecting.
///
/// # Errors
/// [`PostgresStore::open`] would refuse it.
pub fn check_postgres_url(url: &str) -> Result<(), UrlFault> {
    match DatabaseUrl::parse(url)?.encryption {
        Encryption::Verified(Some(roots)) => connect::authorities(&roots).map(drop),
        Encryption::Verified(None) | Encryption::Off => Ok(()),
    }
}

impl From<UrlFault> for OpenError {
    fn from(fault: UrlFault) -> Self {
        Self::Unusable { store: "the PostgreSQL database".into(), detail: fault.to_string() }
    }
}

impl fmt::Debug for PostgresOptions {
    /// Without the URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connections", &self.connections)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the database, checks the server, and migrates the database.
    ///
    /// # Errors
    /// The URL is wrong, the server can't be reached or isn't one that quash can use, or another version or
    /// another program wrote the database.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let target = Target::parse(&options.url)?;
        let store = target.shown().to_owned();
        let unusable = |detail: String| OpenError::Unusable { store: store.clone(), detail };
        let connection = requirements::connect(&target).await?;
        migrate::run(&connection, &store).await?;
        let (history, untold) = history(&connection, &store, options.if_another).await?;
        drop(connection);
        let target = target.compared_with(Arc::clone(&history)).with(options.names);
        let mut writer = [0; 16];
        rand::fill(&mut writer).map_err(|_| unusable("no random bytes".into()))?;
        let pool = target.clone().pool(options.connections.max(2), options.wait)?;
        let database = Arc::new(Database::new(target.clone(), pool, writer));
        let mut pools = vec![database.pool.clone()];
        let mut lane = || {
            let lane = target.clone().pool(1, options.wait)?;
            pools.push(lane.clone());
            Ok::<_, OpenError>(lane)
        };
        let lanes = Lanes::start(&database, lane()?, lane()?);
        let reads = ReadQueue::start(&database, vec![lane()?, lane()?]);
        // A promoted server answers once it is taken over.
        if history.found().is_none() {
            reads.head().await.map_err(|error| unusable(error.to_string()))?;
        }
        newest::watch(&database, lane()?);
        let following = lane()?;
        let fail_over = PostgresFailOver::new(Arc::clone(&database), Arc::clone(&history), options.wait);
        let fail_over = Arc::new(fail_over);
        Ok(Self { database, lanes, reads, following, pools, history, untold, fail_over })
    }

    /// Waits until the server confirms a commit, if its commits wait for a standby. Dropping the future cancels nothing
    /// on the server.
    ///
    /// # Errors
    /// The server can't be reached or isn't one that quash can use.
    pub async fn confirms_commits(options: &PostgresOptions) -> Result<(), OpenError> {
        let target = Target::parse(&options.url)?;
        let connection = requirements::connect(&target).await?;
        let failed = |error: tokio_postgres::Error| OpenError::Unusable {
            store: target.shown().to_owned(),
            detail: message(&error),
        };
        let waits = connection.query_typed(requirements::WAITS_FOR_STANDBY, &[]).await.map_err(failed)?;
        if waits.first().map_or(Ok(false), |row| row.try_get(0)).map_err(failed)? {
            // A server that refuses it has answered, and the start finds out what else it refuses.
            let _ = connection.batch_execute(requirements::COMMIT_TEST).await;
        }
        Ok(())
    }

    /// Records the server and the database as the ones that the data belongs to: processes open it again.
    ///
    /// # Errors
    /// The database can't be used.
    pub async fn record_identity(&self) -> Result<(), StoreError> {
        let unavailable = |error: tokio_postgres::Error| StoreError::Unavailable(message(&error));
        let connection = self.database.connection().await?;
        let found = self.history.reading().read(&connection).await.map_err(unavailable)?;
        found.record(&connection).await.map_err(unavailable)?;
        // Leases on the server before may be unknown to this one.
        Identity::unsettle(&connection).await.map_err(unavailable)
    }

    /// Waits until the leases of all nodes have expired, for a change that none of them may see.
    ///
    /// # Errors
    /// A node runs ([`MoveError::InUse`]), or the database can't be used.
    pub async fn wait_for_nodes(&self) -> Result<(), MoveError> {
        let connection = self.database.connection().await?;
        moving::wait_for_nodes(&connection, self.database.target.shown()).await
    }

    /// Follows the newest end of the log that this process has seen.
    pub fn newest_end(&self) -> watch::Receiver<NotedEnd> {
        self.database.end.subscribe()
    }

    /// The interface for taking over a promoted server. Between the promotion and that, all requests to the
    /// store fail.
    pub fn fail_over(&self) -> Arc<PostgresFailOver> {
        Arc::clone(&self.fail_over)
    }

    /// The parts of its identity that the server doesn't tell, in words: a copy, or a promotion, may go unnoticed.
    pub fn untold(&self) -> &[String] {
        &self.untold
    }

    /// Returns whether no server was ever started on a database, without changing it.
    ///
    /// # Errors
    /// As for [`PostgresStore::open`].
    pub async fn is_new(options: &PostgresOptions) -> Result<bool, OpenError> {
        let target = Target::parse(&options.url)?;
        let connection = requirements::connect(&target).await?;
        migrate::is_new(&connection, target.shown()).await
    }

    /// Describes the server of a database, without changing the database.
    ///
    /// # Errors
    /// As for [`PostgresStore::open`].
    pub async fn describe_server(options: &PostgresOptions) -> Result<PostgresServer, OpenError> {
        server::about::describe(&Target::parse(&options.url)?).await
    }

    /// The state of the connections.
    fn counted(&self) -> StoreConnections {
        let mut sum =
            StoreConnections { errors: self.database.target.failed(), ..StoreConnections::default() };
        for status in self.pools.iter().map(Pool::status) {
            sum.in_use += status.size.saturating_sub(status.available);
            sum.idle += status.available;
            sum.waiting += status.waiting;
        }
        sum
    }

    /// The connections, for what is kept beside the data.
    fn database(&self) -> &Arc<Database> {
        &self.database
    }
}

/// Compares the database with what is recorded in it, and records what isn't.
async fn history(
    connection: &connect::Connection,
    store: &str,
    if_another: IfAnother,
) -> Result<(Arc<History>, Vec<String>), OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::Unusable {
        store: store.to_owned(),
        detail: message(&error),
    };
    let (reading, untold) = Reading::probe(connection).await.map_err(failed)?;
    let Some(stored) = Identity::stored(connection).await.map_err(failed)? else {
        let detail = "its table cluster has lost its row: restore the database from a backup";
        return Err(OpenError::Unusable { store: store.to_owned(), detail: detail.into() });
    };
    // Read last: another process may record the same identity meanwhile.
    let found = reading.read(connection).await.map_err(failed)?;
    match stored.relation(&found) {
        Relation::Other(part) if if_another == IfAnother::Refuse => {
            return Err(OpenError::Another { store: store.to_owned(), detail: part.to_string() });
        }
        Relation::OtherTimeline if if_another == IfAnother::Refuse => {
            let history = History::new(reading, stored);
            history.find(found);
            return Ok((history, untold));
        }
        Relation::Same if stored.lacks_part_of(&found) || stored.is_synchronous != found.is_synchronous => {
            found.record(connection).await.map_err(failed)?;
        }
        Relation::Same | Relation::Other(_) | Relation::OtherTimeline => {}
    }
    let is_recorded = stored.relation(&found) == Relation::Same;
    let history = History::new(reading, if is_recorded { found.recorded() } else { found });
    if !Identity::is_settled(connection).await.map_err(failed)? {
        history.unsettle();
    }
    Ok((history, untold))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("database", &self.database.target).finish_non_exhaustive()
    }
}
