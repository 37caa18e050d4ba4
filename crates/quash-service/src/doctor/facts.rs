//! The facts about an installation that the checks judge. `use_cases/operation/doctor.rs` reads those of the store; the binary gathers the
//! others. Times are ages, so that the checks need no clock.

use std::time::Duration;

use quash_core::model::Policy;
use quash_core::token::Algorithm;
use quash_store::PostgresServer;
use serde::{Deserialize, Serialize};

/// Everything that is known about an installation. A part that is `None` wasn't gathered, and the checks that need it
/// are skipped.
#[derive(Clone, Default, Debug)]
pub struct Facts {
    /// The settings of the command or, at the admin API, of the server.
    pub settings: Option<SettingsFacts>,
    /// The data directory and its files.
    pub files: Option<FileFacts>,
    /// The time of one password hash with the parameters of the settings.
    pub hash_time: Option<Duration>,
    /// The answer at `http.public_url`.
    pub public: Option<PublicFacts>,
    /// The outcome of a connection to the SMTP server; the error is its fault.
    pub smtp: Option<Result<(), String>>,
    /// The contents of the store.
    pub store: Option<Result<StoreFacts, StoreFault>>,
    /// The server of the store, if it is PostgreSQL.
    pub postgres: Option<PostgresServer>,
}

/// The settings, as they were read.
#[derive(Clone, Debug)]
pub struct SettingsFacts {
    pub policy: Policy,
    /// The algorithm of new tokens.
    pub algorithm: Algorithm,
    /// The age at which a signing key is replaced; `None`: never.
    pub rotate_every: Option<Duration>,
    /// The keys of the settings that can be guessed, each with its weakness.
    pub weak_keys: Vec<String>,
    /// The other warnings that each start logs.
    pub warnings: Vec<String>,
    pub listens: Listens,
    /// The certificate of `http.tls_cert`: the time that it stays valid, or its fault.
    pub certificate: Option<Result<Duration, String>>,
    pub behind_proxy: bool,
    /// The networks of `http.trusted_proxies`.
    pub trusted: Vec<TrustedNetwork>,
    pub public_url: Option<PublicUrlFacts>,
    /// Whether refresh tokens are in a cookie.
    pub has_cookie: bool,
    pub cors_origins: Vec<String>,
    pub registration_is_open: bool,
    pub mail: MailFacts,
    pub engine: EngineKind,
    pub idle_timeout: Duration,
    /// Whether the log has lines of the levels debug or trace.
    pub log_is_verbose: bool,
    /// A hash over the settings.
    pub digest: String,
    /// The version of the program that has read them.
    pub version: String,
}

/// The machines that reach the server's socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listens {
    /// Only this one.
    Loopback,
    /// Only this one, through a unix socket.
    Unix,
    /// Others, too.
    Network,
}

/// A network of trusted proxies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedNetwork {
    pub text: String,
    /// The number of bits in which its addresses differ.
    pub host_bits: u8,
    /// Whether it has addresses of the internet.
    pub is_public: bool,
}

/// `http.public_url`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicUrlFacts {
    pub text: String,
    /// Host and port.
    pub site: String,
    pub is_https: bool,
    pub is_loopback: bool,
}

/// The way that mails are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailFacts {
    /// By SMTP.
    Sent,
    /// They are written to standard error.
    Printed,
    /// They wait until `mail.host` is set.
    Waiting,
}

/// The storage engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineKind {
    Sqlite,
    Memory,
    Postgres,
}

/// The data directory and its files.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// The path of the data directory.
    pub directory: String,
    /// Its permissions.
    pub directory_mode: u32,
    /// Whether `storage.group_access` is set.
    pub group_access: bool,
    pub files: Vec<FileEntry>,
    /// The bytes that may still be written to its disk, and the size of the disk.
    pub free_bytes: u64,
    pub disk_bytes: u64,
    /// The size of SQLite's write-ahead log.
    pub wal_bytes: Option<u64>,
    /// The kind of its file system, if it is one that databases can't rely on.
    pub risky_file_system: Option<String>,
    /// The newest sequence number that the file `epoch` has. It was read before the store.
    pub noted_seq: Option<u64>,
    /// The file of the last backup.
    pub backup: Option<BackupFile>,
}

/// A file of the data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileEntry {
    pub path: String,
    pub kind: FileKind,
    pub mode: u32,
    /// Whether it belongs to another user than the data directory does.
    pub has_other_owner: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    MasterKey,
    /// SQLite's database, its write-ahead log, or a file with noted ends.
    Data,
    /// The control socket.
    Socket,
    /// `quash.toml`.
    Settings,
}

/// The file of the last backup, as far as it is found on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupFile {
    pub path: String,
    /// Whether it is in the data directory.
    pub is_in_data_dir: bool,
    /// Whether a file with this master key is in the same directory.
    pub is_beside_key: bool,
}

/// The answer at `http.public_url`.
#[derive(Clone, Debug)]
pub struct PublicFacts {
    pub answer: Result<PublicAnswer, String>,
    /// The time until its certificate expires, or since it has expired.
    pub certificate: Option<CertificateEnd>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicAnswer {
    /// The status of `/livez`.
    pub status: u16,
    /// The address of a redirect.
    pub location: Option<String>,
    /// The difference between this machine's clock and the header `Date`.
    pub clock_difference: Option<Duration>,
    /// The ids of the published keys; `None` if there is no readable key set.
    pub kids: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateEnd {
    Left(Duration),
    Expired(Duration),
    NotYetValid,
}

/// The reason why the store can't be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreFault {
    pub message: String,
    pub remedy: Option<String>,
}

/// The contents of the store, as the process sees them that has opened it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StoreFacts {
    /// The server that has gathered them; `None`: no server runs.
    pub server: Option<ServerFacts>,
    /// The reason why requests are refused now.
    pub not_ready: Option<String>,
    /// The newest sequence number of the log.
    pub head: u64,
    /// The revoked scopes that the log remembers.
    pub log_entries: u64,
    pub keys: Vec<KeyFacts>,
    pub clients: Vec<ClientFacts>,
    pub nodes: Vec<NodeFacts>,
    pub mails: WaitingMails,
    pub audit: AuditFacts,
    pub accounts: AccountFacts,
    pub backup: Option<BackupFacts>,
}

/// A running server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerFacts {
    pub version: String,
    /// The hash over its settings.
    pub settings: String,
    /// The time since it was started.
    pub runs_for: Duration,
    /// Whether forwarding headers have arrived from a peer that isn't a trusted proxy.
    pub saw_untrusted_forwarding: bool,
}

/// A key that signs or verifies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyFacts {
    pub kid: String,
    pub state: KeyPhase,
    pub age: Duration,
    /// Whether quash has generated it.
    pub is_generated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KeyPhase {
    Next,
    Current,
    /// Verifies until its last token has expired.
    Retiring {
        /// The time since then; zero if it isn't over.
        over_for: Duration,
    },
    Revoked,
}

/// A client or verifier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientFacts {
    pub name: String,
    pub age: Duration,
    /// Whether it follows the feed.
    pub is_verifier: bool,
    /// Whether it has a secret.
    pub has_secret: bool,
    /// The processes that have followed the feed with its secret within the last hour.
    pub instances: Vec<InstanceFacts>,
}

/// A process that follows the feed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstanceFacts {
    /// The host and the process.
    pub label: String,
    pub state: InstanceState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum InstanceState {
    Leased,
    /// Its lease has expired.
    Stale,
    /// It accepts tokens without a lease.
    NotBound,
}

/// One of several servers over a PostgreSQL database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeFacts {
    /// The host and the process.
    pub label: String,
    pub is_leased: bool,
    pub version: String,
    pub settings: String,
}

/// The mails that aren't sent yet.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct WaitingMails {
    /// At most 200 are counted.
    pub count: u64,
    /// The time for which the oldest of them waits.
    pub oldest: Duration,
    /// The most attempts to send one of them.
    pub attempts: u32,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct AuditFacts {
    /// The difference from what was sealed.
    pub fault: Option<String>,
    /// The last entry that an operator has accepted after a fault.
    pub accepted: Option<u64>,
    /// The number of entries that aren't sealed.
    pub unsealed: u64,
    /// The time by which the newest seal is ahead of the clock.
    pub sealed_ahead: Duration,
}

/// The accounts that were examined: the first ones by name.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct AccountFacts {
    pub examined: u64,
    /// Those whose address isn't confirmed 30 days after they were added.
    pub unconfirmed: u64,
}

/// The last backup that `quash backup` has made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackupFacts {
    pub age: Duration,
    pub path: String,
}
