//! A store that tests can break in part, and repair. While intact it is the store that `QUASH_TEST_STORE` chooses:
//! by default the one in memory.

use std::ops::Deref;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, AuditFilter, AuditHead, Change, Client, ClientName, Digest,
    EarlierRequests, Ending, Ends, Entry, Flow, FlowId, FlowLoaded, Followed, ForeignLoaded, Head, KeyRecord,
    Mail, NewEntry, Receipt, RegistrationBy, ScopeKey, ScopeKind, Sealed, SecretDigest, Seq, Session,
    SessionEnd, SessionId, SessionLoaded, StoredClient, Subject, Timestamp,
};
use quash_store::{
    AccountCount, AccountSearch, LiveSessions, MemoryStore, PostgresOptions, PostgresStore, SessionCount,
    SessionSearch, SqliteOptions, SqliteStore, Store, StoreError,
};
use quash_verify::issuer::Guard;
use tempfile::TempDir;
use tokio::sync::watch;

use super::postgres::{self, Kind, TestDatabase};

/// A part of the store that can break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Every write.
    Writes,
    /// Reads of accounts, sessions and the head.
    Rows,
    /// Reads of the log.
    Log,
}

/// A moment in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// After it has listed the sessions of an account.
    AfterList,
    /// After it has decided.
    BeforeWrite,
}

/// A store that can be broken.
pub(crate) struct FaultyStore {
    inner: Box<dyn Store>,
    /// The data of the store, which is deleted after it.
    _data: Data,
    written: AtomicUsize,
    calls: watch::Sender<Calls>,
    broken: Mutex<Option<(Part, StoreError)>>,
    meanwhile: Mutex<Option<(Change, Guard)>>,
    /// A change of another request, and when it is committed.
    between: Mutex<Option<(Moment, Change)>>,
    /// Set if reads fail after the next change is written.
    breaks_after_write: Mutex<bool>,
    /// Set if the answer to the next change is lost, with whether the change is written.
    loses_answer: Mutex<Option<bool>>,
    /// The number of entries that were changed to cover nothing. `None` leaves entries unchanged.
    emptied: Mutex<Option<u8>>,
}

/// Where a store keeps its data.
enum Data {
    Memory,
    Directory(TempDir),
    Database(TestDatabase),
}

impl FaultyStore {
    /// A new, empty store.
    pub(crate) async fn open() -> Self {
        let kind = kind();
        let (inner, data): (Box<dyn Store>, Data) = match kind {
            Kind::Memory => (Box::new(MemoryStore::new()), Data::Memory),
            Kind::Sqlite => {
                let directory = tempfile::tempdir().expect("a directory");
                let path = directory.path().join("quash.db");
                let store = SqliteStore::open(&path, SqliteOptions::default()).expect("a store");
                (Box::new(store), Data::Directory(directory))
            }
            Kind::Postgres | Kind::Pgbouncer => {
                let database = postgres::database().await.expect("a server, which QUASH_TEST_STORE needs");
                let options = PostgresOptions::new(database.url_of(kind));
                let store = PostgresStore::open(options).await.expect("a store");
                (Box::new(store), Data::Database(database))
            }
        };
        // The id that distinguishes it from others under the same master key: tests take one store for another's past.
        let id = Change::Remember { name: "store_id", value: String::new() };
        inner.commit(id).await.expect("a setting");
        Self {
            inner,
            _data: data,
            written: AtomicUsize::default(),
            calls: watch::Sender::default(),
            broken: Mutex::default(),
            meanwhile: Mutex::default(),
            between: Mutex::default(),
            breaks_after_write: Mutex::default(),
            loses_answer: Mutex::default(),
            emptied: Mutex::default(),
        }
    }

    /// The error of a broken part. None of its words may reach a client.
    pub(crate) fn away() -> StoreError {
        StoreError::Unavailable("disk secret path /var/lib/quash/quash.db: SQLITE_IOERR".into())
    }

    /// The error after a lost answer. None of its words may reach a client.
    pub(crate) fn in_doubt() -> StoreError {
        StoreError::Unknown("disk secret path /var/lib/quash/quash.db: SQLITE_IOERR_FSYNC".into())
    }

    /// Breaks a part.
    pub(crate) fn break_part(&self, part: Part, error: StoreError) {
        *self.broken.lock().expect("a switch") = Some((part, error));
    }

    /// Breaks reads of rows right after the next change is written.
    pub(crate) fn break_after_write(&self) {
        *self.breaks_after_write.lock().expect("a switch") = true;
    }

    /// Loses the answer to the next change, after or before it is written.
    pub(crate) fn lose_answer(&self, written: bool) {
        *self.loses_answer.lock().expect("a switch") = Some(written);
    }

    /// The number of changes written so far.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// Repairs it.
    pub(crate) fn mend(&self) {
        *self.broken.lock().expect("a switch") = None;
    }

    /// Commits a change right after the next read of a session, and updates the guard before the reader
    /// continues.
    pub(crate) fn meanwhile(&self, change: Change, guard: Guard) {
        *self.meanwhile.lock().expect("a switch") = Some((change, guard));
    }

    /// Commits a change of another request once, at a moment between two steps of the next one.
    pub(crate) fn between(&self, moment: Moment, change: Change) {
        *self.between.lock().expect("a switch") = Some((moment, change));
    }

    async fn pass(&self, now: Moment) -> Result<(), StoreError> {
        let change = self.between.lock().expect("a switch").take_if(|(moment, _)| *moment == now);
        match change {
            Some((_, change)) => self.intact().commit(change).await.map(drop),
            None => Ok(()),
        }
    }

    /// From now on log entries of changes cover nothing: everything is written except the effective entry.
    pub(crate) fn empty_entries(&self) {
        self.emptied.lock().expect("a switch").get_or_insert(0);
    }

    /// Waits until no call is in progress. Returns the number of calls so far.
    pub(crate) async fn idle(&self) -> usize {
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| calls.begun == calls.ended).await.expect("its sender is here").begun
    }

    fn whole(&self, part: Part) -> Result<InProgress<'_>, StoreError> {
        match &*self.broken.lock().expect("a switch") {
            Some((broken, error)) if *broken == part => Err(error.clone()),
            _ => Ok(self.intact()),
        }
    }

    fn intact(&self) -> InProgress<'_> {
        self.calls.send_modify(|calls| calls.begun += 1);
        InProgress(self)
    }
}

/// The numbers of calls so far.
#[derive(Default)]
struct Calls {
    begun: usize,
    ended: usize,
}

/// The store for one call, which is in progress until this is dropped.
struct InProgress<'a>(&'a FaultyStore);

impl Deref for InProgress<'_> {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.0.inner
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.calls.send_modify(|calls| calls.ended += 1);
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn head(&self) -> Result<Head, StoreError> {
        self.whole(Part::Rows)?.head().await
    }

    async fn account(&self, by: &AccountBy, now: Timestamp) -> Result<AccountLoaded, StoreError> {
        self.whole(Part::Rows)?.account(by, now).await
    }

    async fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        account: Option<&AccountBy>,
        now: Timestamp,
    ) -> Result<ForeignLoaded, StoreError> {
        self.whole(Part::Rows)?.foreign(key, scopes, user, account, now).await
    }

    async fn search_accounts(
        &self,
        search: &AccountSearch,
        after: Option<&str>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        self.whole(Part::Rows)?.search_accounts(search, after, now, limit).await
    }

    async fn count_accounts(
        &self,
        after: Option<&Subject>,
        now: Timestamp,
        limit: u32,
    ) -> Result<AccountCount, StoreError> {
        self.whole(Part::Rows)?.count_accounts(after, now, limit).await
    }

    async fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<LiveSessions, StoreError> {
        self.whole(Part::Rows)?.live_sessions(search, before, now, limit).await
    }

    async fn count_sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<SessionCount, StoreError> {
        self.whole(Part::Rows)?.count_sessions(after, now, limit).await
    }

    async fn password_classes(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.whole(Part::Rows)?.password_classes(limit).await
    }

    async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.whole(Part::Rows)?.accounts(after, limit).await
    }

    async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError> {
        let found = self.whole(Part::Rows)?.session(id).await;
        let meanwhile = self.meanwhile.lock().expect("a switch").take();
        if let Some((change, guard)) = meanwhile {
            let receipt = self.intact().commit(change).await?;
            guard
                .caught_up(receipt.seq.expect("an entry"), Duration::from_secs(5))
                .await
                .expect("a guard that follows");
        }
        found
    }

    async fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let found = self.whole(Part::Rows)?.sessions_of(subject, after, limit).await;
        self.pass(Moment::AfterList).await?;
        found
    }

    async fn entries_after(&self, after: Seq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.whole(Part::Log)?.entries_after(after, limit).await
    }

    async fn follow(&self, after: Seq, limit: u32) -> Result<Followed, StoreError> {
        self.whole(Part::Log)?.follow(after, limit).await
    }

    async fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Result<Vec<(Entry, bool)>, StoreError> {
        self.whole(Part::Log)?.entries_between(after, until, limit).await
    }

    async fn entries_of(&self, keys: &[ScopeKey]) -> Result<Vec<Entry>, StoreError> {
        self.whole(Part::Log)?.entries_of(keys).await
    }

    async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, StoreError> {
        self.whole(Part::Rows)?.audit(after, of, limit).await
    }

    async fn audit_before(
        &self,
        before: (Timestamp, u64),
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<Audit>, StoreError> {
        self.whole(Part::Rows)?.audit_before(before, filter, limit).await
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.whole(Part::Rows)?.audit_head().await
    }

    async fn is_gone(&self, subject: &Subject) -> Result<bool, StoreError> {
        self.whole(Part::Rows)?.is_gone(subject).await
    }

    async fn largest_number(&self) -> Result<u64, StoreError> {
        self.whole(Part::Rows)?.largest_number().await
    }

    async fn unblanked(&self) -> Result<Option<Subject>, StoreError> {
        self.whole(Part::Rows)?.unblanked().await
    }

    async fn flow(&self, id: FlowId) -> Result<FlowLoaded, StoreError> {
        self.whole(Part::Rows)?.flow(id).await
    }

    async fn earlier_requests(
        &self,
        subject_hashes: &[Digest],
        recipient_hash: Digest,
        now: Timestamp,
    ) -> Result<EarlierRequests, StoreError> {
        self.whole(Part::Rows)?.earlier_requests(subject_hashes, recipient_hash, now).await
    }

    async fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Result<Option<Flow>, StoreError> {
        self.whole(Part::Rows)?.registration(by, now).await
    }

    async fn mails_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Mail>, StoreError> {
        self.whole(Part::Rows)?.mails_due(now, limit).await
    }

    async fn next_mail(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.whole(Part::Rows)?.next_mail(after).await
    }

    async fn endings(&self, of: &Subject, after: &[Seq]) -> Result<Vec<Option<Ending>>, StoreError> {
        self.whole(Part::Rows)?.endings(of, after).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.whole(Part::Rows)?.keys().await
    }

    async fn client(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError> {
        self.whole(Part::Rows)?.client(digest).await
    }

    async fn client_named(&self, name: &ClientName) -> Result<Option<StoredClient>, StoreError> {
        self.whole(Part::Rows)?.client_named(name).await
    }

    async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<StoredClient>, StoreError> {
        self.whole(Part::Rows)?.clients(after, limit).await
    }

    async fn secret(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.whole(Part::Rows)?.secret(name).await
    }

    async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.whole(Part::Rows)?.remembered(name).await
    }

    async fn commit(&self, mut change: Change) -> Result<Receipt, StoreError> {
        if let Some(emptied) = &mut *self.emptied.lock().expect("a switch") {
            for entry in entries_of(&mut change) {
                *emptied += 1;
                (entry.kind, entry.key) = (ScopeKind::Token, ScopeKey([*emptied; 16]));
            }
        }
        let lost = self.loses_answer.lock().expect("a switch").take();
        if let Some(written) = lost {
            if written {
                self.intact().commit(change).await?;
            }
            return Err(Self::in_doubt());
        }
        self.pass(Moment::BeforeWrite).await?;
        let receipt = self.whole(Part::Writes)?.commit(change).await?;
        self.written.fetch_add(1, Ordering::SeqCst);
        if std::mem::take(&mut *self.breaks_after_write.lock().expect("a switch")) {
            self.break_part(Part::Rows, Self::away());
        }
        Ok(receipt)
    }

    fn newest(&self) -> watch::Receiver<Seq> {
        self.inner.newest()
    }
}

/// The kind of the tests' stores.
pub(crate) fn kind() -> Kind {
    Kind::chosen().unwrap_or(Kind::Memory)
}

/// The entries that a change appends to the log.
fn entries_of(change: &mut Change) -> Vec<&mut NewEntry> {
    fn of_sessions<'a>(
        ends: impl IntoIterator<Item = &'a mut SessionEnd>,
    ) -> impl Iterator<Item = &'a mut NewEntry> {
        ends.into_iter().flat_map(|end| [Some(&mut end.entry), end.adopted.as_mut()]).flatten()
    }
    match change {
        Change::OpenSession(opening) => of_sessions(&mut opening.evict).collect(),
        Change::EndSessions { sessions, tokens } => of_sessions(sessions).chain(tokens).collect(),
        Change::EditAccount(edit) => match &mut edit.ends {
            Ends::Nothing => Vec::new(),
            Ends::Access(entry) | Ends::Sessions { entry, .. } => vec![entry],
        },
        Change::DeleteAccount { entry, .. }
        | Change::EndEverything { entry }
        | Change::BeginEpoch { entry, .. }
        | Change::Revoke { entry }
        | Change::RevokeKey { entry, .. }
        | Change::AddRevokedKey { entry, .. } => vec![entry],
        Change::ApplySettings { entry, .. } => entry.iter_mut().collect(),
        Change::Together(changes) => changes.iter_mut().flat_map(entries_of).collect(),
        _ => Vec::new(),
    }
}
