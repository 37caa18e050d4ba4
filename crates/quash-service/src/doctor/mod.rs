//! Judges an installation: each check is a pure function over [`Facts`]. [`CHECKS`] lists all of them.
//! `use_cases/operation/doctor.rs` gathers the facts of the store, `observed.rs` keeps what a running server notices.

mod facts;
mod files;
mod http;
mod mail;
mod observed;
mod postgres;
mod public;
mod server;
mod store;
mod tokens;

use async_trait::async_trait;
use serde::Serialize;

pub use facts::{
    AccountFacts, AuditFacts, BackupFacts, BackupFile, CertificateEnd, ClientFacts, EngineKind, Facts,
    FileEntry, FileFacts, FileKind, InstanceFacts, InstanceState, KeyFacts, KeyPhase, Listens, MailFacts,
    NodeFacts, PublicAnswer, PublicFacts, PublicUrlFacts, ServerFacts, SettingsFacts, StoreFacts, StoreFault,
    TrustedNetwork, WaitingMails,
};
pub(crate) use observed::Observed;

/// A check of an installation.
pub struct Check {
    pub name: &'static str,
    /// The condition that it finds, as the reference lists it.
    pub about: &'static str,
    judge: fn(&Facts) -> Option<Verdict>,
}

/// The weight of a finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Ok,
    /// The facts weren't gathered.
    Skipped,
    /// Right for some installations.
    Note,
    /// To be corrected, without haste.
    Warning,
    /// Something fails or is unsafe now.
    Problem,
}

/// The result of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub level: Level,
    /// `None` if nothing was found.
    pub finding: Option<String>,
    pub reason: Option<&'static str>,
    pub remedy: Option<String>,
}

/// The judgement of a check whose facts were gathered.
enum Verdict {
    Fine,
    Found(Level, String, &'static str, String),
}

impl Check {
    const fn new(name: &'static str, about: &'static str, judge: fn(&Facts) -> Option<Verdict>) -> Self {
        Self { name, about, judge }
    }

    /// Judges the facts.
    pub fn judge(&self, facts: &Facts) -> Finding {
        let (level, finding, reason, remedy) = match (self.judge)(facts) {
            None => (Level::Skipped, None, None, None),
            Some(Verdict::Fine) => (Level::Ok, None, None, None),
            Some(Verdict::Found(level, finding, reason, remedy)) => {
                (level, Some(finding), Some(reason), Some(remedy))
            }
        };
        Finding { check: self.name, level, finding, reason, remedy }
    }
}

impl Verdict {
    fn note(finding: impl Into<String>, reason: &'static str, remedy: impl Into<String>) -> Self {
        Self::Found(Level::Note, finding.into(), reason, remedy.into())
    }

    fn warning(finding: impl Into<String>, reason: &'static str, remedy: impl Into<String>) -> Self {
        Self::Found(Level::Warning, finding.into(), reason, remedy.into())
    }

    fn problem(finding: impl Into<String>, reason: &'static str, remedy: impl Into<String>) -> Self {
        Self::Found(Level::Problem, finding.into(), reason, remedy.into())
    }
}

/// Gathers the facts that the store doesn't have.
#[async_trait]
pub trait FactSource: Send + Sync {
    /// Gathers the facts of this machine, without those of the store and without requests to other machines.
    async fn facts(&self) -> Facts;

    /// Finds the file of a backup; `None`: it isn't at its path any more.
    fn backup(&self, path: &str) -> Option<BackupFile>;
}

impl Facts {
    /// Adds the contents of the store, and finds the backup that it names.
    #[must_use]
    pub fn with_store(mut self, store: Result<StoreFacts, StoreFault>, source: &dyn FactSource) -> Self {
        let backup = store.as_ref().ok().and_then(|store| store.backup.as_ref());
        if let (Some(files), Some(backup)) = (&mut self.files, backup) {
            files.backup = source.backup(&backup.path);
        }
        Self { store: Some(store), ..self }
    }

    /// The contents of the store, if they could be read.
    fn stored(&self) -> Option<&StoreFacts> {
        self.store.as_ref()?.as_ref().ok()
    }
}

/// Judges the facts by all checks, in their order.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    CHECKS.iter().map(|check| check.judge(facts)).collect()
}

/// Formats a time in its largest unit, rounded down.
fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Lists names, at most five.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 5;
    let names: Vec<_> = names.into_iter().collect();
    let more = names.len().saturating_sub(MOST);
    let list = names[..names.len() - more].join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

/// All checks.
pub const CHECKS: &[Check] = &[
    Check::new(
        "access_lifetime",
        "access tokens live longer than an hour, or less than 30 seconds",
        tokens::access_lifetime,
    ),
    Check::new(
        "lifetime_order",
        "access tokens live as long as refresh tokens, or longer",
        tokens::lifetime_order,
    ),
    Check::new("refresh_lifetime", "refresh tokens live longer than 90 days", tokens::refresh_lifetime),
    Check::new(
        "sliding_lifetime",
        "sliding tokens are accepted, and live longer than an hour",
        tokens::sliding_lifetime,
    ),
    Check::new(
        "session_lifetime",
        "sessions have no absolute end, or end before a refresh token does",
        tokens::session_lifetime,
    ),
    Check::new("rotation", "refresh tokens aren't rotated, or a spent one isn't noticed", tokens::rotation),
    Check::new("lease_term", "a lease of the feed lasts longer than an access token", tokens::lease_term),
    Check::new("weak_secret", "a secret of the settings is short or publicly known", tokens::weak_secret),
    Check::new("shared_secret", "the algorithm is HS*, and verifiers exist", tokens::shared_secret),
    Check::new(
        "foreign_tokens",
        "tokens of other issuers are accepted without an end",
        tokens::foreign_tokens,
    ),
    Check::new("risky_settings", "the settings accept a risk that each start logs", tokens::risky_settings),
    Check::new(
        "lockout",
        "an account is locked only after more than 20 failures, or for less than 10 seconds",
        tokens::lockout,
    ),
    Check::new(
        "password_cost",
        "a password hash takes less than 50 ms or more than 1 s on this machine",
        tokens::password_cost,
    ),
    Check::new("audit_retention", "entries of the audit are deleted within 30 days", tokens::audit_retention),
    Check::new("log_level", "the log has lines for debugging", tokens::log_level),
    Check::new("memory_engine", "the data is in memory only", tokens::memory_engine),
    Check::new(
        "public_url",
        "other machines reach the server, and http.public_url is missing or loopback",
        http::public_url,
    ),
    Check::new(
        "cors_origins",
        "pages over plain HTTP, or of a developer's machine, may read responses",
        http::cors_origins,
    ),
    Check::new(
        "cookie_origins",
        "refresh tokens are in a cookie, which pages of another site can't send",
        http::cookie_origins,
    ),
    Check::new(
        "cookie_transport",
        "refresh tokens are in a cookie, which browsers send only over HTTPS",
        http::cookie_transport,
    ),
    Check::new("wide_proxies", "a trusted network is a large part of the internet", http::wide_proxies),
    Check::new(
        "needless_proxies",
        "proxies are trusted, and clients connect directly",
        http::needless_proxies,
    ),
    Check::new(
        "unnamed_proxy",
        "a proxy must be in front of the server, and none is trusted",
        http::unnamed_proxy,
    ),
    Check::new(
        "untrusted_forwarding",
        "forwarding headers arrive from a peer that isn't trusted",
        http::untrusted_forwarding,
    ),
    Check::new(
        "idle_timeout",
        "the server closes idle connections before its proxy does",
        http::idle_timeout,
    ),
    Check::new(
        "certificate_file",
        "the certificate of http.tls_cert expires within 14 days, or can't be used",
        http::certificate_file,
    ),
    Check::new(
        "registration_mail",
        "registration is open, and its mails aren't sent",
        mail::registration_mail,
    ),
    Check::new("mail_delivery", "mails of a public server aren't sent", mail::mail_delivery),
    Check::new("smtp", "the SMTP server can't be reached, or refuses the credentials", mail::smtp),
    Check::new("mails_waiting", "a mail waits for longer than 10 minutes", mail::mails_waiting),
    Check::new("mails_failing", "three attempts to send a mail have failed", mail::mails_failing),
    Check::new("public_answer", "http.public_url doesn't answer", public::answer),
    Check::new("public_redirect", "http.public_url redirects", public::redirect),
    Check::new("public_instance", "another server answers at http.public_url", public::instance),
    Check::new(
        "public_certificate",
        "the certificate at http.public_url expires within 14 days, or has expired",
        public::certificate,
    ),
    Check::new("clock", "the clock differs from the Date of http.public_url", public::clock),
    Check::new("directory_mode", "other users may read or write the data directory", files::directory_mode),
    Check::new("master_key_mode", "other users may read the master key", files::master_key_mode),
    Check::new("data_mode", "other users may read the database", files::data_mode),
    Check::new("socket_mode", "other users may use the control socket", files::socket_mode),
    Check::new("settings_mode", "other users may write the settings file", files::settings_mode),
    Check::new("owner", "a file belongs to another user than the data directory", files::owner),
    Check::new("file_system", "the data directory is on a network or in memory", files::file_system),
    Check::new("disk_space", "the disk is nearly full", files::disk_space),
    Check::new("wal_size", "SQLite's write-ahead log is larger than 256 MiB", files::wal_size),
    Check::new(
        "backup_age",
        "no backup is recorded, or the last one is older than 7 days",
        files::backup_age,
    ),
    Check::new("backup_place", "the last backup is in the data directory", files::backup_place),
    Check::new("backup_key", "the master key is beside the last backup", files::backup_key),
    Check::new("epoch", "the database is older than the file epoch says", files::epoch),
    Check::new("database", "the database can't be opened or read", store::database),
    Check::new("ready", "the server refuses requests", store::ready),
    Check::new("signing_key", "no key signs", store::signing_key),
    Check::new("key_rotation", "the signing key is older than keys.rotate_every", store::key_rotation),
    Check::new(
        "key_age",
        "a signing key that isn't rotated automatically is older than a year",
        store::key_age,
    ),
    Check::new("retired_keys", "a key is kept a day after its last token has expired", store::retired_keys),
    Check::new("key_count", "the key set has nearly as many keys as it may have", store::key_count),
    Check::new("stale_verifiers", "a verifier's lease has expired", store::stale_verifiers),
    Check::new("unbound_verifiers", "a verifier accepts tokens without a lease", store::unbound_verifiers),
    Check::new(
        "absent_verifiers",
        "a verifier's credential wasn't used within the last hour",
        store::absent_verifiers,
    ),
    Check::new("secret_age", "a client's secret is older than two years", store::secret_age),
    Check::new(
        "unconfirmed_accounts",
        "accounts have an unconfirmed address for longer than 30 days",
        store::unconfirmed_accounts,
    ),
    Check::new("audit_chain", "the audit isn't what was sealed", store::audit_chain),
    Check::new(
        "audit_accepted",
        "an operator has accepted a part of the audit that isn't sealed",
        store::audit_accepted,
    ),
    Check::new("audit_sealing", "entries of the audit aren't sealed", store::audit_sealing),
    Check::new("clock_set_back", "the newest seal of the audit is in the future", store::clock_set_back),
    Check::new("log_length", "the log remembers more than a million revocations", store::log_length),
    Check::new("server", "no server runs", server::server),
    Check::new("server_version", "the server runs another version than the command", server::server_version),
    Check::new(
        "server_settings",
        "the server runs with other settings than the command reads",
        server::server_settings,
    ),
    Check::new("expired_nodes", "a node's lease has expired", server::expired_nodes),
    Check::new("node_settings", "nodes have different settings", server::node_settings),
    Check::new("node_versions", "nodes run different versions", server::node_versions),
    Check::new("postgres_version", "the PostgreSQL server gets no more fixes", postgres::version),
    Check::new("postgres_commit", "synchronous_commit is off for the user of quash", postgres::commit),
    Check::new("postgres_superuser", "quash's database user is a superuser", postgres::superuser),
    Check::new("postgres_standby", "a standby exists, and PostgreSQL doesn't wait for it", postgres::standby),
    Check::new(
        "postgres_encryption",
        "the connection to another machine's PostgreSQL isn't encrypted",
        postgres::encryption,
    ),
];

#[cfg(test)]
mod tests;
