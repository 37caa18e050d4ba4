//! Coordination by rows that all processes of the issuer share. No process knows another one, and no clock is
//! compared with another's: a row expires a term after this process has first seen its renewal.
//!
//! A lease is a row that is committed durably before the head is read for it. So the first read of the rows that
//! begins after a commit sees every lease whose head lacks that commit.

mod nodes;
mod rounds;
mod rows;
mod sights;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{Clock, InstanceId, Seq, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use self::rounds::{Confirmation, Departure, Recording};
use self::sights::Sights;
use super::PostgresStore;
use super::transaction::Database;
use crate::coordination::{
    Coordination, Known, LEFT, LISTED, Lease, ListedNode, NewLease, NodeDescription, NotRecorded, Standing,
    counted,
};
use crate::{OpenError, StoreError};

/// [`Coordination`] for a database that several processes share.
pub struct PostgresCoordination {
    shared: Arc<Shared>,
    recordings: mpsc::Sender<Recording>,
    confirmations: mpsc::Sender<Confirmation>,
    departures: mpsc::Sender<Departure>,
}

/// The state that the background tasks and the callers share.
struct Shared {
    database: Database,
    sights: Sights,
    changes: watch::Sender<()>,
    wanted: watch::Sender<Seq>,
    unsettled: Mutex<Unsettled>,
    /// The longest term of a lease.
    term: Duration,
}

/// The time in which leases may be unknown to a promoted server.
#[derive(Clone, Copy, Default)]
struct Unsettled {
    /// The number of servers that this process had taken over when it was computed.
    taken: u64,
    /// The uptime at which all of them have expired.
    until: Duration,
    /// Whether that time has passed, and the database says so.
    is_settled: bool,
}

/// The connections: one for rounds of leases, one for confirmations, one for reads.
const CONNECTIONS: usize = 3;
/// The longest time to wait for one of them.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);
/// The shortest term of a node's lease.
const NODE_TERM: Duration = Duration::from_secs(10);
/// The most requests that wait for a round.
const WAITING: usize = 16_384;
/// The interval at which a barrier reads the rows, and at which numbers that others wait for are read.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The interval at which all rows are read, so that those of processes that are gone are known to have expired
/// before anyone waits for them.
const READ_EVERY: Duration = Duration::from_secs(1);

impl PostgresCoordination {
    /// Uses a store's database, with connections of its own. `term` is the longest of a lease. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// The leases can't be read.
    pub async fn beside(
        store: &PostgresStore,
        clock: Arc<dyn Clock>,
        term: Duration,
    ) -> Result<Self, OpenError> {
        let database = store.database().with_own_pool(CONNECTIONS, CONNECTION_WAIT)?;
        let store = database.target.shown().to_owned();
        let shared = Arc::new(Shared {
            database,
            sights: Sights::new(clock),
            changes: watch::Sender::new(()),
            wanted: watch::Sender::new(Seq::ZERO),
            unsettled: Mutex::default(),
            term: term.max(NODE_TERM),
        });
        let unusable = |error: StoreError| OpenError::Unusable { store, detail: error.to_string() };
        shared.sights.read(&shared.database).await.map_err(unusable)?;
        let (recordings, recorded) = mpsc::channel(WAITING);
        let (confirmations, confirmed) = mpsc::channel(WAITING);
        let (departures, departed) = mpsc::channel(WAITING);
        tokio::spawn(rounds::record(Arc::clone(&shared), recorded));
        tokio::spawn(rounds::confirm(Arc::clone(&shared), confirmed));
        tokio::spawn(rounds::leave(Arc::clone(&shared), departed));
        for follow in [Follow::Rows, Follow::Changes, Follow::Wanted] {
            tokio::spawn(follow.run(Arc::downgrade(&shared)));
        }
        Ok(Self { shared, recordings, confirmations, departures })
    }
}

/// Sends a request to a round, and waits for its answer.
async fn asked<Q, A>(
    queue: &mpsc::Sender<Q>,
    request: impl FnOnce(oneshot::Sender<A>) -> Q,
) -> Result<A, StoreError> {
    let (answer, answered) = oneshot::channel();
    let full = |_| StoreError::Unavailable("too many leases are requested at once".into());
    queue.try_send(request(answer)).map_err(full)?;
    answered.await.map_err(|_| StoreError::Unavailable("the round was ended".into()))
}

#[async_trait]
impl Coordination for PostgresCoordination {
    async fn record(&self, lease: NewLease<'_>, _arrived: Duration) -> Result<(), NotRecorded> {
        let NewLease { id, binding, label, term } = lease;
        let (id, label) = (id.clone(), label.clone());
        asked(&self.recordings, |answer| Recording { id, binding, label, term, answer }).await?
    }

    async fn confirm(&self, id: &InstanceId, known: Known) -> Result<(), StoreError> {
        // Most requests for a lease confirm what is known already.
        if self.shared.sights.knows(id, known) {
            return Ok(());
        }
        let id = id.clone();
        asked(&self.confirmations, |answer| Confirmation { id, known, answer }).await?
    }

    async fn leave(&self, id: &InstanceId, _now: Duration) -> Result<(), StoreError> {
        let id = id.clone();
        asked(&self.departures, |answer| Departure { id, answer }).await?
    }

    async fn leases(&self, now: Duration) -> Result<Vec<Lease>, StoreError> {
        self.shared.sights.read(&self.shared.database).await?;
        let leases = self.shared.sights.leases();
        Ok(leases.into_iter().filter(|lease| lease.until + LISTED > now).collect())
    }

    async fn standings(&self, of: &[Lease]) -> Result<Vec<Standing>, StoreError> {
        self.shared.sights.read(&self.shared.database).await?;
        Ok(self.shared.sights.standings(of))
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.shared.changes.subscribe()
    }

    async fn want(&self, seq: Seq) -> Result<(), StoreError> {
        self.shared.sees_wanted(seq);
        self.shared.database.add_wanted(seq).await
    }

    fn wanted(&self) -> watch::Receiver<Seq> {
        self.shared.wanted.subscribe()
    }

    /// Each process can list all leases, but for those that a promoted server has lost.
    fn unlisted_until(&self) -> Duration {
        self.shared.unsettled().until
    }

    async fn shared_time(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(Some(self.shared.database.time().await?))
    }

    /// Deletes rows that this process has seen expired for an hour, unless they were renewed since.
    async fn upkeep(&self, now: Duration) -> Result<(), StoreError> {
        let Shared { database, sights, .. } = &*self.shared;
        sights.read(database).await?;
        database.forget_leases(&sights.renewals(|sight| sight.is_past(now, LISTED, LEFT))).await?;
        database.forget_nodes().await?;
        database.forget_wanted().await
    }

    async fn describe(&self, node: &NodeDescription) -> Result<(), StoreError> {
        self.shared.database.describe_node(node).await
    }

    async fn nodes(&self, now: Duration) -> Result<Vec<ListedNode>, StoreError> {
        let Shared { database, sights, .. } = &*self.shared;
        sights.read(database).await?;
        Ok(database.nodes(sights, now).await?)
    }
}

impl Shared {
    /// Computed when it is asked for: after a promotion, from then on.
    fn unsettled(&self) -> Unsettled {
        let taken = self.database.target.history().map_or(0, |history| history.taken());
        let mut unsettled = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        if unsettled.taken != taken {
            let until = self.sights.uptime() + counted(self.term);
            *unsettled = Unsettled { taken, until, is_settled: false };
        }
        *unsettled
    }

    /// Notes in the database when the time after a promotion has passed.
    async fn settle(&self) {
        let unsettled = self.unsettled();
        if unsettled.taken == 0 || unsettled.is_settled || self.sights.uptime() < unsettled.until {
            return;
        }
        if self.database.settle().await.is_ok() {
            let mut now = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
            now.is_settled = now.taken == unsettled.taken;
        }
    }

    fn sees_wanted(&self, seq: Seq) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, seq.max(*wanted)) < seq);
    }
}

/// A task that looks at the rows for the callers. It ends when the coordination is dropped.
#[derive(Clone, Copy)]
enum Follow {
    /// Reads all leases.
    Rows,
    /// Wakes barriers, which then read the leases.
    Changes,
    /// Reads the numbers that requests of all processes wait for.
    Wanted,
}

impl Follow {
    async fn run(self, shared: std::sync::Weak<Shared>) {
        let mut pace = interval(match self {
            Self::Rows => READ_EVERY,
            Self::Changes | Self::Wanted => LOOK_EVERY,
        });
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let Some(shared) = shared.upgrade() else { return };
            match self {
                // A failure is reported to those who wait for a read.
                Self::Rows => {
                    drop(shared.sights.read(&shared.database).await);
                    shared.settle().await;
                }
                Self::Changes if shared.changes.receiver_count() > 0 => {
                    shared.changes.send_replace(());
                }
                Self::Wanted if shared.wanted.receiver_count() > 0 => {
                    if let Ok(Some(seq)) = shared.database.wanted().await {
                        shared.sees_wanted(seq);
                    }
                }
                Self::Changes | Self::Wanted => {}
            }
        }
    }
}
