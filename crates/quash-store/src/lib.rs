//! The memory of quash: what is kept, and how it is written so that it stays.
//!
//! One trait, [`Store`]; one model of it in memory, which is also what the others are compared with; one store for
//! SQLite. A store never decides: it writes a [`Change`] if its guard still holds, else it says
//! [`StoreError::Conflict`]. No rule lives here, and no SQL lives anywhere else.

mod log;
mod memory;
mod sqlite;

use std::path::Path;

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Asked, Audit, AuditHead, Change, Client, ClientName, Digest, Ending,
    Entry, Flow, FlowId, FlowLoaded, ForeignLoaded, Head, KeyRecord, Mail, Receipt, RegistrationBy, ScopeKey,
    Sealed, SecretDigest, Seq, Session, SessionId, SessionLoaded, Subject, Timestamp,
};
use tokio::sync::watch;

pub use memory::MemoryStore;
pub use sqlite::{Replaced, SqliteOptions, SqliteStore, StagedRestore};

/// Where quash keeps what it must not forget.
///
/// Each read is one consistent look; those that return a head have read it first. [`Store::commit`] is the only
/// write: one change, one transaction.
#[async_trait]
pub trait Store: Send + Sync {
    /// The head of the log.
    async fn head(&self) -> Result<Head, StoreError>;

    /// An account, with its sessions counted as of `now`.
    async fn account(&self, by: &AccountBy, now: Timestamp) -> Result<AccountLoaded, StoreError>;

    /// What there is about the token of another issuer whose scope is `key`: the session that it has opened, whether
    /// the log has an entry with one of `scopes`, when an account last lost the name or address whose scope is `user`, and the
    /// account that it names.
    async fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        account: Option<&AccountBy>,
        now: Timestamp,
    ) -> Result<ForeignLoaded, StoreError>;

    /// Up to `limit` accounts in the order of their folded names, after the name `after`.
    async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// The largest subject that is a number ([`Subject::number`]), of accounts that are there or were deleted; 0 where there
    /// is none.
    async fn largest_number(&self) -> Result<u64, StoreError>;

    /// Up to `limit` of the classes that are kept beside passwords' hashes, each once, in order.
    async fn password_classes(&self, limit: u32) -> Result<Vec<String>, StoreError>;

    /// A session with its account.
    async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError>;

    /// Up to `limit` sessions of an account in the order of their ids (oldest first), after the id `after`: ended,
    /// watermarked and expired ones too.
    async fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError>;

    /// Up to `limit` entries of the log in the order of their numbers, after the number `after`; marked ones too.
    async fn entries_after(&self, after: Seq, limit: u32) -> Result<Vec<Entry>, StoreError>;

    /// Up to `limit` entries of the log in the order of their numbers, after the number `after` and up to `until`, each with
    /// whether it is the newest of its scope up to there.
    async fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Result<Vec<(Entry, bool)>, StoreError>;

    /// The entries of the log with one of these keys, in the order of their numbers.
    async fn entries_of(&self, keys: &[ScopeKey]) -> Result<Vec<Entry>, StoreError>;

    /// Up to `limit` entries of the audit in the order of their numbers, after the number `after`; those of one account,
    /// where one is given.
    async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, StoreError>;

    /// How far the audit has come, and what vouches for it.
    async fn audit_head(&self) -> Result<AuditHead, StoreError>;

    /// A deleted account about which the audit may still hold what is personal.
    async fn unblanked(&self) -> Result<Option<Subject>, StoreError>;
    /// A flow with its account.
    async fn flow(&self, id: FlowId) -> Result<FlowLoaded, StoreError>;

    /// The flows about some matters, and how many mails there have been for somebody after `since`.
    async fn asked(&self, matters: &[Digest], whom: Digest, since: Timestamp) -> Result<Asked, StoreError>;

    /// The flow of the newest registration under a name or for an address that hasn't expired by `now`.
    async fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Result<Option<Flow>, StoreError>;

    /// Up to `limit` mails that weren't sent and are due by `until`, in the order of their priorities, then of the moments
    /// when they are due.
    async fn mails_due(&self, until: Timestamp, limit: u32) -> Result<Vec<Mail>, StoreError>;

    /// When the next mail is due after `after`.
    async fn next_mail(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// For each of these numbers, the first entry of the audit after it that raised a watermark over an account or over
    /// everything, as the end that it was for the sessions which had been opened at that number.
    async fn endings(&self, of: &Subject, after: &[Seq]) -> Result<Vec<Option<Ending>>, StoreError>;

    /// The signing keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// The client whose secret has this digest.
    async fn client(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError>;

    /// Up to `limit` clients in the order of their names, after the name `after`.
    async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<Client>, StoreError>;

    /// The secret of a name.
    async fn secret(&self, name: &str) -> Result<Option<Sealed>, StoreError>;

    /// The setting that was remembered under a name.
    async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// The longest lifetime ever configured, in milliseconds.
    async fn longest_lifetime(&self) -> Result<u64, StoreError>;

    /// Writes a change if its guard holds. Once this returns `Ok`, the change is durable.
    async fn commit(&self, change: Change) -> Result<Receipt, StoreError>;

    /// Copies all that is kept, as it is at one moment, to a new file, and says up to which number the copy knows the log.
    /// The copy is durable once this returns. Nobody is kept from writing meanwhile.
    async fn back_up(&self, to: &Path) -> Result<Seq, BackupError>;

    /// Follows the number of the newest durable entry. A wake-up: the truth is in [`Store::entries_after`].
    fn newest(&self) -> watch::Receiver<Seq>;

    /// Becomes `true` when the store can't promise durability any more, because the disk refused to keep what it was
    /// given. The process must end; what was acknowledged is safe.
    fn broken(&self) -> watch::Receiver<bool>;

    /// The first damage that was found in what is kept, since the store was opened. It doesn't heal.
    fn damage(&self) -> Option<String> {
        None
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The guard doesn't hold: somebody else was faster. Load and decide again.
    #[error("what was read has changed meanwhile")]
    Conflict,
    /// The disk or the file's page limit is full. Nothing was written; it works again once there is room.
    #[error("the disk is full")]
    Full,
    /// It can't be reached or used now. Nothing was written, or nobody can tell; the detail is for the log.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Why there is no backup.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BackupError {
    /// Something stands where it should be written: nothing is overwritten.
    #[error("{path} is there already")]
    Exists {
        /// The file.
        path: String,
    },
    /// It can't be written.
    #[error("cannot write the backup {path}: {detail}")]
    Unusable {
        /// The file.
        path: String,
        /// What the operating system or SQLite says.
        detail: String,
    },
    /// What is kept in memory has no copies.
    #[error("what is kept in memory can't be backed up")]
    InMemory,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process is using {path}")]
    InUse {
        /// The file.
        path: String,
    },
    /// The file can't be used.
    #[error("cannot open {path}: {detail}")]
    Unusable {
        /// The file.
        path: String,
        /// What the operating system or SQLite says.
        detail: String,
    },
    /// The file is damaged.
    #[error("the database {path} is damaged: {detail}")]
    Damaged {
        /// The file.
        path: String,
        /// What SQLite says.
        detail: String,
    },
    /// A newer quash has written it.
    #[error("{path} was written by a newer quash (migration {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: String,
        /// The newest migration in it.
        found: u32,
        /// The newest one this program knows.
        known: u32,
    },
    /// A migration that was applied isn't the one this program knows by that number.
    #[error("{path} was written by another build of quash: migration {number} differs")]
    Altered {
        /// The file.
        path: String,
        /// The migration.
        number: u32,
    },
}
