//! The SQLite store: one file, one process, one writer thread, several reader threads. This file opens and
//! closes it; the submodules do the work.

mod apply;
mod audit;
mod fault;
mod file;
mod mail;
mod migrate;
mod moving;
mod named;
#[cfg(test)]
mod plans;
mod reader;
mod rows;
mod search;
mod statements;
mod write;
mod writer;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, AuditFilter, AuditHead, Change, Client, ClientName, Digest,
    EarlierRequests, Ending, Entry, Flow, FlowId, FlowLoaded, Followed, ForeignLoaded, Head, KeyRecord, Mail,
    Receipt, RegistrationBy, ScopeKey, Sealed, SecretDigest, Seq, Session, SessionId, SessionLoaded,
    StoredClient, Subject, Timestamp,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot, watch};

use self::fault::{StoreSignals, unavailable};
use self::file::checkpoint::Checkpoints;
use self::file::{backup, check, checkpoint, lock, restore};
use self::reader::Reads;
use self::writer::{Write, Writer};
use crate::{
    AccountCount, AccountSearch, BackupError, LiveSessions, OpenError, SessionCount, SessionSearch, Store,
    StoreError, StoreFile,
};

pub use self::file::lock::{open_or_create, share_with_group};
pub use self::file::restore::{Replaced, StagedRestore};
pub(crate) use self::moving::{Heads, Snapshot};

/// The longest time that a transaction waits for another process, such as an operator's SQLite shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of prepared statements that a connection caches.
const STATEMENTS: usize = 64;

/// Options of a [`SqliteStore`].
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The number of reader threads, at least one.
    pub readers: usize,
    /// The maximum number of pages (of 4 KiB) in the database. Exceeding it is [`StoreError::Full`].
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { readers: 2, max_pages: None }
    }
}

/// A [`Store`] in a SQLite file. Dropping it completes the submitted work.
///
/// ```
/// use quash_store::{SqliteOptions, SqliteStore};
/// let directory = tempfile::tempdir()?;
/// let store = SqliteStore::open(&directory.path().join("quash.db"), SqliteOptions::default())?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    handles: Option<Handles>,
    threads: Threads,
    signals: Arc<StoreSignals>,
    path: PathBuf,
    /// Holds the lock while the store is open.
    _lock: File,
}

/// Channels for submitting work. The threads end when these are dropped.
struct Handles {
    writes: mpsc::Sender<Write>,
    reads: Reads,
}

#[derive(Default)]
struct Threads {
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<Connection>>,
    checkpointer: Option<(Arc<Checkpoints>, JoinHandle<()>)>,
}

impl SqliteStore {
    /// Opens the database at `path`, creates it if it doesn't exist, and migrates it.
    ///
    /// # Errors
    /// Another process uses the database, a newer or another build wrote it, or it can't be used.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Self, OpenError> {
        let lock = lock::take(path)?;
        restore::finish(path).map_err(|error| unusable(path, &error))?;
        lock::open_or_create(path).map_err(|error| unusable(path, &error))?;
        let conn = open_writer(path, &options)?;
        let newest = rows::head(&conn).map_err(|fault| unusable(path, &format!("{fault:?}")))?.seq;
        let signals = Arc::new(StoreSignals::new(newest));

        let (writes, write_queue) = mpsc::channel(writer::QUEUE);
        let (reads, read_queue) = reader::queue();
        let checkpoints = Arc::new(Checkpoints::default());
        let mut store = Self {
            handles: Some(Handles { writes, reads }),
            threads: Threads::default(),
            signals: Arc::clone(&signals),
            path: path.to_owned(),
            _lock: lock,
        };

        let writer = Writer { conn, signals: Arc::clone(&signals), checkpoints: Arc::clone(&checkpoints) };
        store.threads.writer = Some(spawn(path, "quash-writer", move || writer.run(write_queue))?);

        let conn = open_beside(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let (work, broken) = (Arc::clone(&checkpoints), Arc::clone(&signals));
        store.threads.checkpointer =
            Some((checkpoints, spawn(path, "quash-checkpointer", move || work.run(&conn, &broken))?));

        for _ in 0..options.readers.max(1) {
            let conn = open_beside(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let (queue, signals) = (Arc::clone(&read_queue), Arc::clone(&signals));
            store.threads.readers.push(spawn(path, "quash-reader", move || queue.run(&conn, &signals))?);
        }
        Ok(store)
    }

    fn handles(&self) -> Result<&Handles, StoreError> {
        self.handles.as_ref().ok_or_else(|| unavailable("it is closing"))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.handles = None;
        for reader in self.threads.readers.drain(..) {
            let _ = reader.join();
        }
        let conn = self.threads.writer.take().map(JoinHandle::join);
        if let Some((checkpoints, thread)) = self.threads.checkpointer.take() {
            checkpoints.close();
            let _ = thread.join();
        }
        if let Some(Ok(conn)) = conn {
            checkpoint::close_last(conn, &self.signals);
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("signals", &self.signals).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn head(&self) -> Result<Head, StoreError> {
        self.handles()?.reads.run(|_, head| Ok(head)).await
    }

    async fn account(&self, by: &AccountBy, now: Timestamp) -> Result<AccountLoaded, StoreError> {
        let by = by.clone();
        self.handles()?.reads.run(move |conn, head| reader::account(conn, head, &by, now)).await
    }

    async fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        account: Option<&AccountBy>,
        now: Timestamp,
    ) -> Result<ForeignLoaded, StoreError> {
        let (scopes, account) = (scopes.to_vec(), account.cloned());
        self.handles()?
            .reads
            .run(move |conn, head| reader::foreign(conn, head, key, &scopes, user, account.as_ref(), now))
            .await
    }

    async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, StoreError> {
        let after = after.map(str::to_owned);
        self.handles()?.reads.run(move |conn, _| reader::accounts(conn, after.as_deref(), limit)).await
    }

    async fn search_accounts(
        &self,
        search: &AccountSearch,
        after: Option<&str>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let (search, after) = (search.clone(), after.map(str::to_owned));
        self.handles()?
            .reads
            .run(move |conn, _| search::accounts(conn, &search, after.as_deref(), now, limit))
            .await
    }

    async fn count_accounts(
        &self,
        after: Option<&Subject>,
        now: Timestamp,
        limit: u32,
    ) -> Result<AccountCount, StoreError> {
        let after = after.cloned();
        self.handles()?
            .reads
            .run(move |conn, _| search::count_accounts(conn, after.as_ref(), now, limit))
            .await
    }

    async fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<LiveSessions, StoreError> {
        let search = search.clone();
        self.handles()?
            .reads
            .run(move |conn, _| search::live_sessions(conn, &search, before, now, limit))
            .await
    }

    async fn count_sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<SessionCount, StoreError> {
        self.handles()?.reads.run(move |conn, _| search::count_sessions(conn, after, now, limit)).await
    }

    async fn password_classes(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.handles()?.reads.run(move |conn, _| reader::password_classes(conn, limit)).await
    }

    async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError> {
        self.handles()?.reads.run(move |conn, head| reader::session(conn, head, id)).await
    }

    async fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let subject = subject.clone();
        self.handles()?.reads.run(move |conn, _| reader::sessions_of(conn, &subject, after, limit)).await
    }

    async fn entries_after(&self, after: Seq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.handles()?.reads.run(move |conn, _| reader::entries_after(conn, after, limit)).await
    }

    async fn follow(&self, after: Seq, limit: u32) -> Result<Followed, StoreError> {
        let read = move |conn: &Connection, head| {
            Ok(Followed { head, entries: reader::entries_after(conn, after, limit)? })
        };
        self.handles()?.reads.run(read).await
    }

    async fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Result<Vec<(Entry, bool)>, StoreError> {
        self.handles()?.reads.run(move |conn, _| reader::entries_between(conn, after, until, limit)).await
    }

    async fn entries_of(&self, keys: &[ScopeKey]) -> Result<Vec<Entry>, StoreError> {
        let keys = keys.to_vec();
        self.handles()?.reads.run(move |conn, _| reader::entries_of(conn, &keys)).await
    }

    async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, StoreError> {
        let of = of.cloned();
        self.handles()?.reads.run(move |conn, _| audit::entries(conn, after, of.as_ref(), limit)).await
    }

    async fn audit_before(
        &self,
        before: (Timestamp, u64),
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<Audit>, StoreError> {
        let filter = filter.clone();
        self.handles()?.reads.run(move |conn, _| audit::before(conn, before, &filter, limit)).await
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.handles()?.reads.run(|conn, _| audit::head(conn)).await
    }

    async fn is_gone(&self, subject: &Subject) -> Result<bool, StoreError> {
        let subject = subject.clone();
        self.handles()?.reads.run(move |conn, _| reader::is_gone(conn, &subject)).await
    }

    async fn largest_number(&self) -> Result<u64, StoreError> {
        self.handles()?.reads.run(|conn, _| reader::largest_number(conn)).await
    }

    async fn unblanked(&self) -> Result<Option<Subject>, StoreError> {
        self.handles()?.reads.run(|conn, _| audit::unblanked(conn)).await
    }

    async fn flow(&self, id: FlowId) -> Result<FlowLoaded, StoreError> {
        self.handles()?.reads.run(move |conn, head| mail::flow(conn, head, id)).await
    }

    async fn earlier_requests(
        &self,
        subject_hashes: &[Digest],
        recipient_hash: Digest,
        now: Timestamp,
    ) -> Result<EarlierRequests, StoreError> {
        let subject_hashes = subject_hashes.to_vec();
        self.handles()?
            .reads
            .run(move |conn, _| mail::earlier_requests(conn, &subject_hashes, recipient_hash, now))
            .await
    }

    async fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Result<Option<Flow>, StoreError> {
        let by = by.clone();
        self.handles()?.reads.run(move |conn, _| mail::registration(conn, &by, now)).await
    }

    async fn mails_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Mail>, StoreError> {
        self.handles()?.reads.run(move |conn, _| mail::mails_due(conn, now, limit)).await
    }

    async fn next_mail(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.handles()?.reads.run(move |conn, _| mail::next_mail(conn, after)).await
    }

    async fn endings(&self, of: &Subject, after: &[Seq]) -> Result<Vec<Option<Ending>>, StoreError> {
        let (of, after) = (of.clone(), after.to_vec());
        self.handles()?.reads.run(move |conn, _| reader::endings(conn, &of, &after)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.handles()?.reads.run(|conn, _| reader::keys(conn)).await
    }

    async fn client(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError> {
        self.handles()?.reads.run(move |conn, _| reader::client(conn, digest)).await
    }

    async fn client_named(&self, name: &ClientName) -> Result<Option<StoredClient>, StoreError> {
        let name = name.clone();
        self.handles()?.reads.run(move |conn, _| reader::client_named(conn, &name)).await
    }

    async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<StoredClient>, StoreError> {
        let after = after.cloned();
        self.handles()?.reads.run(move |conn, _| reader::clients(conn, after.as_ref(), limit)).await
    }

    async fn secret(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        let name = name.to_owned();
        self.handles()?.reads.run(move |conn, _| reader::secret(conn, &name)).await
    }

    async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.handles()?.reads.run(move |conn, _| reader::remembered(conn, &name)).await
    }

    async fn commit(&self, change: Change) -> Result<Receipt, StoreError> {
        let (outcome, written) = oneshot::channel();
        self.handles()?
            .writes
            .send(Write { change, outcome })
            .await
            .map_err(|_| unavailable("it is closing"))?;
        written.await.map_err(|_| StoreError::Unknown("the writer thread has ended".into()))?
    }

    fn newest(&self) -> watch::Receiver<Seq> {
        self.signals.newest.subscribe()
    }
}

#[async_trait]
impl StoreFile for SqliteStore {
    async fn back_up(&self, to: &Path) -> Result<Seq, BackupError> {
        let (database, to, ended) = (self.path.clone(), to.to_owned(), self.handles().is_err());
        let unusable = || BackupError::Unusable {
            path: self.path.display().to_string(),
            detail: "it is closing".into(),
        };
        if ended {
            return Err(unusable());
        }
        let (outcome, copied) = oneshot::channel();
        let copying = std::thread::Builder::new().name("quash-backup".into()).spawn(move || {
            // The receiver is gone if the caller stopped waiting.
            let _ = outcome.send(backup::back_up(&database, &to));
        });
        copying.map_err(|error| BackupError::Unusable {
            path: self.path.display().to_string(),
            detail: error.to_string(),
        })?;
        copied.await.map_err(|_| unusable())?
    }

    fn broken(&self) -> watch::Receiver<bool> {
        self.signals.broken.subscribe()
    }

    fn damage(&self) -> Option<String> {
        self.signals.damage.get().cloned()
    }
}

/// Opens the writer's connection to a migrated database.
fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let sqlite = |error: rusqlite::Error| check::refused(path, &error);
    let mut conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(sqlite)?;
    // Before any write: another program's database stays unchanged.
    let applied = migrate::applied(&conn, path)?;
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(sqlite)?;
    if mode != "wal" {
        return Err(unusable(path, &"the file system does not allow a write-ahead log"));
    }
    migrate::apply(&mut conn, applied).map_err(sqlite)?;
    check::quick(&conn, path)?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(sqlite)?;
    }
    Ok(conn)
}

/// Opens an additional connection. Closing it leaves the WAL to the writer.
fn open_beside(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let opened = connect(path, flags).and_then(|conn| {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(conn)
    });
    opened.map_err(|error| unusable(path, &error))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Bound values improve no plan here, but SQLite would replan each statement for them.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Without FULL, a power failure could lose an acknowledged change. Savepoints keep their undo log in
    // memory. A WAL over 64 MiB is truncated when it restarts.
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", checkpoint::FULL_BYTES, |_| Ok(()))?;
    Ok(conn)
}

fn spawn<T: Send + 'static>(
    path: &Path,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, detail: &dyn fmt::Display) -> OpenError {
    OpenError::Unusable { store: path.display().to_string(), detail: detail.to_string() }
}
