//! The store and the leases that all nodes share, as one process reaches them over its line.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, AuditFilter, AuditHead, Change, Client, ClientName, Digest,
    EarlierRequests, Ending, Entry, Flow, FlowId, FlowLoaded, Followed, ForeignLoaded, Generation, Head,
    InstanceId, KeyRecord, Mail, Receipt, RegistrationBy, ScopeKey, Sealed, SecretDigest, Seq, Session,
    SessionId, SessionLoaded, StoredClient, Subject, Timestamp,
};
use quash_store::{
    AccountCount, AccountSearch, Coordination, Known, Lease, LiveSessions, MemoryStore, NewLease,
    NodeCoordination, NotRecorded, SessionCount, SessionSearch, Standing, Store, StoreError,
};
use tokio::sync::watch;

use crate::TERM;
use crate::chance::Chance;
use crate::line::{Act, Line, Reached};
use crate::wait::pass;

/// Whether a node reads from a replica at times.
const REPLICAS: bool = false;

pub(crate) struct StoreLink {
    pub(crate) line: Arc<Line>,
    pub(crate) shared: Arc<Shared>,
    newest: watch::Sender<Seq>,
}

/// The store, and what the world notes about it.
pub(crate) struct Shared {
    pub(crate) store: Arc<MemoryStore>,
    /// The rotations that were written.
    pub(crate) rotated: Mutex<BTreeSet<(SessionId, Generation)>>,
    /// The entries' numbers and the times at which they were committed, in order.
    pub(crate) committed: Mutex<Vec<(Seq, Duration)>>,
    /// A copy of the store that lags behind.
    replica: Mutex<Option<(Duration, Arc<MemoryStore>)>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let (rotated, committed) = (Mutex::default(), Mutex::default());
        Self { store: Arc::default(), rotated, committed, replica: Mutex::default() }
    }

    /// The time at which an entry was committed.
    pub(crate) fn committed_at(&self, seq: Seq) -> Option<Duration> {
        let committed = self.committed.lock().expect("no panic");
        let place = committed.partition_point(|(known, _)| *known < seq);
        committed.get(place).map(|(_, at)| *at)
    }

    /// A copy that is at most half a second old.
    fn replica(&self, now: Duration) -> Arc<MemoryStore> {
        let mut replica = self.replica.lock().expect("no panic");
        match &*replica {
            Some((copied_at, copy)) if *copied_at + Duration::from_millis(500) > now => Arc::clone(copy),
            Some(_) | None => {
                let copy = Arc::new(self.store.copy());
                *replica = Some((now, Arc::clone(&copy)));
                copy
            }
        }
    }
}

impl StoreLink {
    pub(crate) fn new(line: Arc<Line>, shared: Arc<Shared>) -> Self {
        let newest = watch::Sender::new(*shared.store.newest().borrow());
        Self { line, shared, newest }
    }

    async fn reaches(&self, act: Act) -> Result<Arc<MemoryStore>, StoreError> {
        match self.line.reaches(act).await? {
            Reached::Primary if REPLICAS && act != Act::Write => {
                Ok(self.shared.replica(self.line.time.now()))
            }
            Reached::Primary => Ok(Arc::clone(&self.shared.store)),
            Reached::OldPrimary(old_primary) => Ok(old_primary),
        }
    }
}

/// Implements [`Store`] with these reads, each over the line, and with `commit` and `newest`.
macro_rules! store_with_reads {
    ($($act:ident $read:ident($($argument:ident: $type:ty),*) -> $found:ty;)*) => {
        #[async_trait]
        impl Store for StoreLink {
            $(
                async fn $read(&self, $($argument: $type),*) -> Result<$found, StoreError> {
                    let store = self.reaches(Act::$act).await?;
                    let found = store.$read($($argument),*).await;
                    self.line.returns(Act::$act, found).await
                }
            )*

            async fn commit(&self, change: Change) -> Result<Receipt, StoreError> {
                let store = self.reaches(Act::Write).await?;
                let rotation = match &change {
                    Change::Rotate { session, from, .. } => Some((*session, *from)),
                    _ => None,
                };
                let receipt = store.commit(change).await;
                if let Ok(receipt) = &receipt {
                    if let Some(rotation) = rotation {
                        let is_first = self.shared.rotated.lock().expect("no panic").insert(rotation);
                        assert!(is_first, "winner: {rotation:?} was rotated twice");
                        self.line.rotated();
                    }
                    if let Some(seq) = receipt.seq {
                        let now = self.line.time.now();
                        self.shared.committed.lock().expect("no panic").push((seq, now));
                    }
                }
                let receipt = self.line.returns(Act::Write, receipt).await?;
                if let Some(seq) = receipt.seq {
                    self.newest.send_if_modified(|newest| std::mem::replace(newest, seq.max(*newest)) < seq);
                }
                Ok(receipt)
            }

            /// A hint: only this node's own changes.
            fn newest(&self) -> watch::Receiver<Seq> {
                self.newest.subscribe()
            }
        }
    };
}

store_with_reads! {
    Read head() -> Head;
    Read account(by: &AccountBy, now: Timestamp) -> AccountLoaded;
    Read foreign(
        key: ScopeKey, scopes: &[ScopeKey], user: ScopeKey, account: Option<&AccountBy>, now: Timestamp
    ) -> ForeignLoaded;
    Read accounts(after: Option<&str>, limit: u32) -> Vec<Account>;
    Read search_accounts(
        search: &AccountSearch, after: Option<&str>, now: Timestamp, limit: u32
    ) -> Vec<Account>;
    Read count_accounts(after: Option<&Subject>, now: Timestamp, limit: u32) -> AccountCount;
    Read live_sessions(
        search: &SessionSearch, before: Option<SessionId>, now: Timestamp, limit: u32
    ) -> LiveSessions;
    Read count_sessions(after: Option<SessionId>, now: Timestamp, limit: u32) -> SessionCount;
    Read is_gone(subject: &Subject) -> bool;
    Read largest_number() -> u64;
    Read password_classes(limit: u32) -> Vec<String>;
    Read session(id: SessionId) -> SessionLoaded;
    Read sessions_of(subject: &Subject, after: Option<SessionId>, limit: u32) -> Vec<Session>;
    Read entries_after(after: Seq, limit: u32) -> Vec<Entry>;
    Read follow(after: Seq, limit: u32) -> Followed;
    Read entries_between(after: Seq, until: Seq, limit: u32) -> Vec<(Entry, bool)>;
    Read entries_of(keys: &[ScopeKey]) -> Vec<Entry>;
    Read audit(after: u64, of: Option<&Subject>, limit: u32) -> Vec<Audit>;
    Read audit_before(before: (Timestamp, u64), filter: &AuditFilter, limit: u32) -> Vec<Audit>;
    Read audit_head() -> AuditHead;
    Read unblanked() -> Option<Subject>;
    Read flow(id: FlowId) -> FlowLoaded;
    Read earlier_requests(subject_hashes: &[Digest], recipient_hash: Digest, now: Timestamp) -> EarlierRequests;
    Read registration(by: &RegistrationBy, now: Timestamp) -> Option<Flow>;
    Read mails_due(now: Timestamp, limit: u32) -> Vec<Mail>;
    Read next_mail(after: Timestamp) -> Option<Timestamp>;
    Read endings(of: &Subject, after: &[Seq]) -> Vec<Option<Ending>>;
    Keys keys() -> Vec<KeyRecord>;
    Read client(digest: SecretDigest) -> Option<Client>;
    Read clients(after: Option<&ClientName>, limit: u32) -> Vec<StoredClient>;
    Read client_named(name: &ClientName) -> Option<StoredClient>;
    Read secret(name: &str) -> Option<Sealed>;
    Read remembered(name: &str) -> Option<String>;
}

pub(crate) struct LeaseLink {
    pub(crate) line: Arc<Line>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rows: NodeCoordination,
    pub(crate) chance: Chance,
}

impl LeaseLink {
    /// An old primary commits no lease, and its rows are of no use.
    async fn reaches(&self, act: Act) -> Result<(), StoreError> {
        match self.line.reaches(act).await? {
            Reached::Primary => Ok(()),
            Reached::OldPrimary(_) => Err(StoreError::Unavailable("an old primary".into())),
        }
    }

    /// The uptime of the process, unless it is paused meanwhile.
    fn uptime(&self) -> Duration {
        quash_core::model::Clock::uptime(&*self.line)
    }
}

#[async_trait]
impl Coordination for LeaseLink {
    async fn record(&self, lease: NewLease<'_>, _: Duration) -> Result<(), NotRecorded> {
        self.reaches(Act::Lease).await?;
        let is_of_node = lease.id.is_node();
        let recorded = self.rows.record(lease, self.uptime()).await;
        if is_of_node && self.line.is_left_alone_after_lease() {
            self.line.isolate(self.shared.store.copy(), TERM * 3);
            pass(self.chance.millis(900)).await;
        }
        self.line.returns(Act::Lease, Ok(())).await?;
        recorded
    }

    async fn confirm(&self, id: &InstanceId, known: Known) -> Result<(), StoreError> {
        self.reaches(Act::Lease).await?;
        let confirmed = self.rows.confirm(id, known).await;
        self.line.returns(Act::Lease, confirmed).await
    }

    async fn leave(&self, id: &InstanceId, _: Duration) -> Result<(), StoreError> {
        self.reaches(Act::Lease).await?;
        let left = self.rows.leave(id, self.uptime()).await;
        self.line.returns(Act::Lease, left).await
    }

    async fn leases(&self, _: Duration) -> Result<Vec<Lease>, StoreError> {
        self.reaches(Act::Read).await?;
        let leases = self.rows.leases(self.uptime()).await;
        self.line.returns(Act::Read, leases).await
    }

    async fn standings(&self, of: &[Lease]) -> Result<Vec<Standing>, StoreError> {
        self.reaches(Act::Read).await?;
        let standings = self.rows.standings(of).await;
        self.line.returns(Act::Read, standings).await
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.rows.changes()
    }

    async fn want(&self, seq: Seq) -> Result<(), StoreError> {
        self.reaches(Act::Lease).await?;
        self.rows.want(seq).await
    }

    fn wanted(&self) -> watch::Receiver<Seq> {
        self.rows.wanted()
    }

    fn unlisted_until(&self) -> Duration {
        self.rows.unlisted_until()
    }

    /// Reads the rows, and deletes the old ones later.
    async fn upkeep(&self, _: Duration) -> Result<(), StoreError> {
        self.reaches(Act::Read).await?;
        let expired = self.rows.expired(self.uptime());
        pass(self.chance.millis(300)).await;
        self.line.gates.deletions.passed(&self.line.calm).await;
        self.reaches(Act::Lease).await?;
        for (id, renewal) in expired {
            self.rows.delete(&id, renewal);
        }
        Ok(())
    }
}
