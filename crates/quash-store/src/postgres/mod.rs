//! The PostgreSQL store: any number of processes over one primary. This file opens it; the submodules do the
//! work.

mod apply;
mod audit;
mod batch;
mod connect;
mod coordination;
mod counters;
mod fault;
mod locks;
mod looks;
mod migrate;
mod moving;
mod newest;
mod params;
mod pipeline;
#[cfg(test)]
mod plans;
mod reader;
mod rows;
mod server;
mod statements;
mod store;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;

use self::batch::Lanes;
use self::connect::{Pool, Target};
use self::looks::Looks;
use self::transaction::Database;
use crate::OpenError;

pub use self::coordination::PostgresCoordination;
pub use self::counters::PostgresCounters;
pub use self::moving::{MoveSource, copy_to_postgres};

/// Options of a [`PostgresStore`].
#[derive(Clone)]
pub struct PostgresOptions {
    /// The database, such as `postgres://quash@db.example.org/quash`. It may contain a password.
    pub url: String,
    /// The most connections for reads and for changes that aren't written in batches.
    pub connections: usize,
    /// The longest time that a request waits for a connection.
    pub wait: Duration,
}

/// A [`Store`](crate::Store) in a PostgreSQL database, which other processes may use at the same time.
pub struct PostgresStore {
    database: Arc<Database>,
    lanes: Lanes,
    looks: Looks,
    /// The connection of the follower, which mustn't wait for changes that wait for locks.
    following: Pool,
}

impl PostgresOptions {
    /// The defaults, for a database.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections: 8, wait: Duration::from_secs(5) }
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
        let unusable = |detail: String| OpenError::Unusable { store: target.shown().to_owned(), detail };
        let connection = server::connect(&target).await?;
        migrate::run(&connection, target.shown()).await?;
        drop(connection);
        let mut writer = [0; 16];
        rand::fill(&mut writer).map_err(|_| unusable("no random bytes".into()))?;
        let pool = target.clone().pool(options.connections.max(2), options.wait)?;
        let database = Arc::new(Database::new(target.clone(), pool, writer));
        let lane = || target.clone().pool(1, options.wait);
        let lanes = Lanes::start(&database, lane()?, lane()?);
        let looks = Looks::start(&database, vec![lane()?, lane()?]);
        looks.head().await.map_err(|error| unusable(error.to_string()))?;
        newest::watch(&database, lane()?);
        Ok(Self { database, lanes, looks, following: lane()? })
    }

    /// Returns whether no server was ever started on a database, without changing it.
    ///
    /// # Errors
    /// As for [`PostgresStore::open`].
    pub async fn is_new(options: &PostgresOptions) -> Result<bool, OpenError> {
        let target = Target::parse(&options.url)?;
        let connection = server::connect(&target).await?;
        migrate::is_new(&connection, target.shown()).await
    }

    /// The connections, for what is kept beside the data.
    fn database(&self) -> &Arc<Database> {
        &self.database
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("database", &self.database.target).finish_non_exhaustive()
    }
}
