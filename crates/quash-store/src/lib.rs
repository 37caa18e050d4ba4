//! Stores quash's data durably.
//!
//! The trait [`Store`] has three implementations: an in-memory model, which tests compare the others with,
//! SQLite, and PostgreSQL for any number of processes. A store makes no decisions: it writes a [`Change`] if
//! its guard still holds, and otherwise returns [`StoreError::Conflict`]. The traits [`Coordination`] and
//! [`Counters`] are for soft state beside the data. This crate contains no rules; no other crate contains
//! SQL.

// For the files that unit tests share with the other tests.
#[cfg(test)]
extern crate self as quash_store;

mod audit_index;
mod columns;
mod coordination;
mod counters;
mod django;
mod fail_over;
mod log;
mod memory;
mod moving;
mod postgres;
mod search;
mod sqlite;

use std::path::Path;

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, AuditFilter, AuditHead, Change, Client, ClientName, Digest,
    EarlierRequests, Ending, Entry, Flow, FlowId, FlowLoaded, Followed, ForeignLoaded, Head, KeyRecord, Mail,
    Receipt, RegistrationBy, ScopeKey, Sealed, SecretDigest, Seq, Session, SessionId, SessionLoaded,
    StoredClient, Subject, Timestamp,
};
use tokio::sync::watch;

pub use coordination::{
    Coordination, Known, Lease, LeaseRows, ListedNode, MemoryCoordination, NewLease, NodeCoordination,
    NodeDescription, NotRecorded, Standing, counted,
};
pub use counters::{
    AGAIN_AFTER, ASK_AGAIN, Allowance, Bucket, Counted, CounterKey, Counters, EVALUATED_WITHIN,
    MemoryCounters, RequestKind, RequestLimit, Window, WindowKind,
};
pub use django::{Cell, DjangoColumn, DjangoSource, Rows, SourceError, UserQuery};
pub use fail_over::{FailOver, PromotedServer};
pub use memory::MemoryStore;
pub use moving::{MoveError, MoveProgress, MoveStage, RunningNode, check_log};
pub use postgres::{
    IfAnother, MoveSource, PostgresCoordination, PostgresCounters, PostgresFailOver, PostgresOptions,
    PostgresServer, PostgresStore, StatementNames, UrlFault, check_postgres_url, copy_to_postgres,
};
pub use search::{AccountCount, AccountSearch, LiveSessions, SessionCount, SessionSearch};
pub use sqlite::{Replaced, SqliteOptions, SqliteStore, StagedRestore, open_or_create, share_with_group};

/// The connections of a store to its server.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StoreConnections {
    pub in_use: usize,
    pub idle: usize,
    /// The requests that wait for one.
    pub waiting: usize,
    /// The number of requests for one that have failed.
    pub errors: u64,
}

/// The storage of quash's data.
///
/// Each read is a consistent snapshot; reads that return a head read it first. [`Store::commit`] is the only
/// write: one change, one transaction.
#[async_trait]
pub trait Store: Send + Sync {
    /// The connections to the store's server, if it has one.
    fn connections(&self) -> Option<StoreConnections> {
        None
    }

    async fn head(&self) -> Result<Head, StoreError>;

    /// An account, with its sessions counted as of `now`.
    async fn account(&self, by: &AccountBy, now: Timestamp) -> Result<AccountLoaded, StoreError>;

    /// The data about another issuer's token with the scope `key`: the session that it opened, whether the
    /// log has an entry with one of `scopes`, the time at which an account last lost the name or address with
    /// the scope `user`, and the account that the token names.
    async fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        account: Option<&AccountBy>,
        now: Timestamp,
    ) -> Result<ForeignLoaded, StoreError>;

    /// Up to `limit` accounts after the name `after`, ordered by folded name.
    async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// Up to `limit` accounts of a search that follow `after`, in its order: a folded name or address.
    async fn search_accounts(
        &self,
        search: &AccountSearch,
        after: Option<&str>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError>;

    /// Counts up to `limit` accounts after the subject `after` by their status at `now`.
    async fn count_accounts(
        &self,
        after: Option<&Subject>,
        now: Timestamp,
        limit: u32,
    ) -> Result<AccountCount, StoreError>;

    /// Returns whether an account of this subject was deleted.
    async fn is_gone(&self, subject: &Subject) -> Result<bool, StoreError>;

    /// The largest numeric subject ([`Subject::number`]) of existing and deleted accounts; 0 if there is
    /// none.
    async fn largest_number(&self) -> Result<u64, StoreError>;

    /// Up to `limit` distinct classes of password hashes, in order.
    async fn password_classes(&self, limit: u32) -> Result<Vec<String>, StoreError>;

    /// A session with its account.
    async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError>;

    /// Up to `limit` sessions of an account after the id `after`, ordered by id (oldest first), including
    /// ended, watermarked and expired ones.
    async fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Up to `limit` sessions that are live at `now` and older than `before`. A page may be short, or empty,
    /// although another follows: it examines a limited number of rows.
    async fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<LiveSessions, StoreError>;

    /// Counts those of up to `limit` sessions after the id `after` that are live at `now`.
    async fn count_sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<SessionCount, StoreError>;

    /// Up to `limit` entries of the log after the number `after`, ordered by number, including marked ones.
    async fn entries_after(&self, after: Seq, limit: u32) -> Result<Vec<Entry>, StoreError>;

    /// The head, and up to `limit` entries of the log after the number `after`.
    async fn follow(&self, after: Seq, limit: u32) -> Result<Followed, StoreError>;

    /// Up to `limit` entries of the log after the number `after` and up to `until`, ordered by number, each
    /// with whether the newest one of its scope in that range doesn't supersede it. An entry with `until`
    /// supersedes none, and none supersedes entries of a later time: the clock was set back, and tokens of
    /// other issuers are compared by time. Entries of sessions and tokens, which end once, aren't compared.
    async fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Result<Vec<(Entry, bool)>, StoreError>;

    /// The entries of the log with one of these keys, ordered by number.
    async fn entries_of(&self, keys: &[ScopeKey]) -> Result<Vec<Entry>, StoreError>;

    /// Up to `limit` entries of the audit after the number `after`, ordered by number; only those of one
    /// account, if `of` is given. An entry that another process writes meanwhile may get its number later,
    /// when the audit is read again; a number never changes.
    async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, StoreError>;

    /// Up to `limit` entries of the audit that match a filter, newest first: those with a lower time than `before`, or
    /// with the same time and a lower number.
    async fn audit_before(
        &self,
        before: (Timestamp, u64),
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<Audit>, StoreError>;

    /// The audit's newest number and its seal.
    async fn audit_head(&self) -> Result<AuditHead, StoreError>;

    /// A deleted account about which the audit may still contain personal data.
    async fn unblanked(&self) -> Result<Option<Subject>, StoreError>;
    /// A flow with its account.
    async fn flow(&self, id: FlowId) -> Result<FlowLoaded, StoreError>;

    /// The flows with these subject hashes, and the number of mails to a recipient that count at `now`
    /// ([`Mail::is_counted`]).
    async fn earlier_requests(
        &self,
        subject_hashes: &[Digest],
        recipient_hash: Digest,
        now: Timestamp,
    ) -> Result<EarlierRequests, StoreError>;

    /// The flow of the newest registration under a name or for an address that hasn't expired by `now`.
    async fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Result<Option<Flow>, StoreError>;

    /// Up to `limit` mails that are due at `now` ([`Mail::is_due`]), ordered by priority, then by due time.
    async fn mails_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Mail>, StoreError>;

    /// The time at which the next mail after `after` is due.
    async fn next_mail(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// For each of these numbers, the first audit entry after it that raised a watermark over the account or
    /// over everything, as the ending of the sessions that were opened at that number.
    async fn endings(&self, of: &Subject, after: &[Seq]) -> Result<Vec<Option<Ending>>, StoreError>;

    /// The signing keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// The client whose secret has this digest.
    async fn client(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError>;

    /// Up to `limit` clients in the order of their names, after the name `after`.
    async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<StoredClient>, StoreError>;

    /// The client with this name.
    async fn client_named(&self, name: &ClientName) -> Result<Option<StoredClient>, StoreError>;

    /// The secret with this name.
    async fn secret(&self, name: &str) -> Result<Option<Sealed>, StoreError>;

    /// The setting that was stored under this name.
    async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Writes a change if its guard holds. Once this returns `Ok`, the change is durable. After an error it
    /// isn't written and never will be, except after [`StoreError::Unknown`]. Changes that are submitted at
    /// once may be written in any order.
    async fn commit(&self, change: Change) -> Result<Receipt, StoreError>;

    /// Follows the number of the newest durable entry. Only a wake-up: [`Store::entries_after`] is
    /// authoritative.
    fn newest(&self) -> watch::Receiver<Seq>;
}

/// A store that is a file of this process.
#[async_trait]
pub trait StoreFile: Send + Sync {
    /// Copies a consistent snapshot of all data to a new file, and returns the number up to which the copy
    /// contains the log. The copy is durable once this returns. Writes continue meanwhile.
    async fn back_up(&self, to: &Path) -> Result<Seq, BackupError>;

    /// Becomes `true` when the store can't guarantee durability any more, because the disk failed to persist
    /// a write. The process must exit; acknowledged changes are safe.
    fn broken(&self) -> watch::Receiver<bool>;

    /// The first damage that was found in the data since the store was opened. It is permanent.
    fn damage(&self) -> Option<String>;
}

/// The reason why a store operation failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The guard doesn't hold: another change was faster. Load and decide again.
    #[error("the data has changed since it was read")]
    Conflict,
    /// The disk or the file's page limit is full. Nothing was written. Works again once there is space.
    #[error("the disk is full")]
    Full,
    /// The store can't be reached or used now. The change wasn't written. The detail is for the log.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The change may have been written, and its outcome can't be determined. Don't repeat it blindly: load
    /// and decide again. The detail is for the log.
    #[error("it is not known whether the change was written: {0}")]
    Unknown(String),
}

/// The reason why a backup failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BackupError {
    /// The target exists. A backup overwrites nothing.
    #[error("{path} already exists")]
    Exists { path: String },
    /// The target can't be written.
    #[error("cannot write the backup {path}: {detail}")]
    Unusable {
        path: String,
        /// The message of the operating system or SQLite.
        detail: String,
    },
}

/// The reason why a store could not be opened. `store` is its name for operators, such as the path of its
/// file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another process is using {store}")]
    InUse { store: String },
    #[error("cannot open {store}: {detail}")]
    Unusable {
        store: String,
        /// The message of the operating system or SQLite.
        detail: String,
    },
    #[error("the database {store} is damaged: {detail}")]
    Damaged {
        store: String,
        /// SQLite's message.
        detail: String,
    },
    /// Its data was moved, and it isn't used any more.
    #[error("the data of {store} was moved to {to}")]
    Moved {
        store: String,
        /// The name of the other store.
        to: String,
    },
    /// The database is a copy of the recorded one, or was moved to another server: it may lack revocations.
    #[error("{store} isn't the database that quash used before: {detail}")]
    Another {
        store: String,
        /// The difference.
        detail: String,
    },
    /// A newer version of quash wrote the file.
    #[error("{store} was written by a newer quash (migration {found}, this one knows {known})")]
    Newer {
        store: String,
        /// The newest migration in the file.
        found: u32,
        /// The newest migration that this program knows.
        known: u32,
    },
    /// An applied migration differs from the one that this program knows by that number.
    #[error("{store} was written by another build of quash: migration {number} differs")]
    Altered {
        store: String,
        /// The migration's number.
        number: u32,
    },
}
