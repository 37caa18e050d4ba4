//! Opens the store and starts the service, from the settings and a data directory. Creates keys if there are
//! none.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{AuditSeal, Clock, ProcessLabel};
use quash_service::{
    FailOverSetup, HashSettings, MasterKey, NodeSetup, Service, Setup, StartError, begin_if_gone_back,
    check_master_key_of, take_over_at_start,
};
use quash_store::{
    Coordination, Counters, MemoryCoordination, MemoryCounters, MemoryStore, OpenError, PostgresCoordination,
    PostgresCounters, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, Store, StoreError,
    StoreFile,
};

use crate::audit_file::{AuditFile, SealRecorder};
use crate::data_dir::DataDir;
use crate::entropy::SystemEntropy;
use crate::epoch_file::{AnnouncedEnd, EpochFile, EpochRecorder};
use crate::error::{CommandError, Exit};
use crate::fetch::HttpsFetch;
use crate::settings::{Engine, SecretText, Settings};
use quash_server::SystemClock;

/// A service, with the files and keys that had to be created for it.
pub(crate) struct Opened {
    pub(crate) service: Service,
    /// `None`: the store is in memory and ends with this process.
    pub(crate) state_files: Option<StateFiles>,
    /// The created objects, each in a few words and without secrets.
    pub(crate) made: Vec<String>,
}

/// The files next to the database that reveal a database replaced or changed by another party.
#[derive(Clone, Debug)]
pub(crate) struct StateFiles {
    epoch: EpochRecorder,
    audit: SealRecorder,
}

impl StateFiles {
    /// Brings the files up to date.
    pub(crate) fn record(&self) {
        self.epoch.record();
        self.audit.record();
    }

    /// Keeps the files up to date for as long as the store is open.
    pub(crate) async fn follow(self) {
        tokio::join!(self.epoch.follow(), self.audit.follow());
    }
}

/// The store and keys of a service.
struct OpenedStore {
    store: Arc<dyn Store>,
    file: Option<Arc<dyn StoreFile>>,
    /// `None`: no other process uses the store.
    shared: Option<Shared>,
    master: MasterKey,
    audit_seal: Option<AuditSeal>,
    state_files: Option<(EpochRecorder, AuditFile)>,
    made: Vec<String>,
}

/// The rule for a node whose settings that define tokens differ from the stored ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FencedSettings {
    /// It doesn't start.
    Compare,
    /// It stores its own.
    Apply,
}

/// The state besides the data that the processes over a database share, and this process's place among them.
struct Shared {
    coordination: Arc<dyn Coordination>,
    counters: Arc<dyn Counters>,
    node: NodeSetup,
}

/// The time after which a start says that it waits for a commit.
const CONFIRMED_SOON: Duration = Duration::from_secs(5);
/// The time after which a start gives up waiting for a commit.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(60);

/// Opens the store and starts the use cases on it. Must be called inside a tokio runtime.
///
/// # Errors
/// The store or a key can't be used.
pub(crate) async fn open(
    settings: &Settings,
    fenced: FencedSettings,
    data_dir: &DataDir,
) -> Result<Opened, CommandError> {
    let OpenedStore { store, file, shared, master, audit_seal, state_files, made } = match &settings.engine {
        Engine::Sqlite => open_sqlite(settings, data_dir).await?,
        Engine::Postgres(url) => open_postgres(url, settings, fenced, data_dir).await?,
        Engine::Memory => {
            let (store, master) = (Arc::new(MemoryStore::new()), MasterKey::new(&SystemEntropy));
            let made = Vec::new();
            OpenedStore { store, file: None, shared: None, master, audit_seal: None, state_files: None, made }
        }
    };
    let hasher = settings
        .argon2
        .hasher()
        .map_err(|fault| CommandError::failure(format!("{} can't be used: it {fault}", settings.argon2)))?;
    let (coordination, counters, node) = match shared {
        Some(Shared { coordination, counters, node }) => (coordination, counters, Some(node)),
        None => {
            let term = settings.policy.feed.term;
            let coordination = MemoryCoordination::beside(Arc::clone(&store), term, SystemClock.uptime());
            let coordination = coordination.await.map_err(|error| start_error(error.into(), data_dir))?;
            let counters = MemoryCounters::new(settings.policy.lockout);
            (Arc::new(coordination) as _, Arc::new(counters) as _, None)
        }
    };
    let service = Service::start(Setup {
        store,
        file,
        node,
        coordination,
        counters,
        audit_seal: audit_seal.clone(),
        policy: settings.policy.clone(),
        keys: settings.keys.clone(),
        fetch: Arc::new(HttpsFetch::new()?),
        master,
        hasher: Arc::new(hasher),
        hashing: HashSettings::default(),
        rehash: settings.rehash,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    })
    .await
    .map_err(|error| start_error(error, data_dir))?;
    let state_files = state_files.map(|(epoch, file)| StateFiles {
        epoch,
        audit: SealRecorder::new(file, audit_seal, service.audit_seals()),
    });
    // The first seal is written before the service is used.
    state_files.iter().for_each(|state_files| state_files.audit.record());
    Ok(Opened { service, state_files, made })
}

async fn open_sqlite(settings: &Settings, data_dir: &DataDir) -> Result<OpenedStore, CommandError> {
    data_dir.check_owner()?;
    let database = data_dir.database();
    let mut made = Vec::new();
    if !database.exists() {
        made.push(format!("the database {}", database.display()));
    }
    // The store is opened first: its lock keeps two concurrent first starts from creating two master keys.
    let store = Arc::new(SqliteStore::open(&database, SqliteOptions::default()).map_err(open_error)?);
    let newest = AnnouncedEnd::Number(store.newest());
    let opened = beside_directory(Arc::clone(&store) as _, newest, settings, data_dir, made).await?;
    Ok(OpenedStore { file: Some(store), ..opened })
}

async fn open_postgres(
    url: &SecretText,
    settings: &Settings,
    fenced: FencedSettings,
    data_dir: &DataDir,
) -> Result<OpenedStore, CommandError> {
    data_dir.check_owner()?;
    let options = PostgresOptions { names: settings.postgres.names, ..PostgresOptions::new(url.expose()) };
    confirmed(PostgresStore::confirms_commits(&options), CONFIRMED_SOON, CONFIRMED_WITHIN).await?;
    let store = PostgresStore::open(options).await.map_err(open_error)?;
    for part in store.untold() {
        tracing::warn!(
            part,
            "the PostgreSQL server doesn't tell this: a copy or a promotion may go unnoticed"
        );
    }
    let fail_over = FailOverSetup { server: store.fail_over(), rule: settings.postgres.after_failover };
    let node = NodeSetup {
        applies_settings: fenced == FencedSettings::Apply,
        fail_over: Some(fail_over.clone()),
        ..node(settings)
    };
    if *fail_over.server.is_due().borrow() {
        take_over(&fail_over, node.term, data_dir).await?;
    }
    let coordination = PostgresCoordination::beside(&store, Arc::new(SystemClock), node.term);
    let coordination = coordination.await.map_err(open_error)?;
    let counters = PostgresCounters::beside(&store, settings.policy.lockout).map_err(open_error)?;
    let shared = Shared { coordination: Arc::new(coordination), counters: Arc::new(counters), node };
    let newest = AnnouncedEnd::End(store.newest_end());
    let opened = beside_directory(Arc::new(store), newest, settings, data_dir, Vec::new()).await?;
    Ok(OpenedStore { shared: Some(shared), ..opened })
}

const UNCONFIRMED: &str = "the database doesn't confirm a commit: the standby that it waits for \
    (synchronous_standby_names) may be away";

/// Waits for a commit, which may wait for a standby. Says so after `soon`, and gives up after `within`.
async fn confirmed(
    commit: impl Future<Output = Result<(), OpenError>>,
    soon: Duration,
    within: Duration,
) -> Result<(), CommandError> {
    let mut commit = std::pin::pin!(commit);
    if let Ok(done) = tokio::time::timeout(soon, &mut commit).await {
        return done.map_err(open_error);
    }
    tracing::warn!("{UNCONFIRMED}");
    match tokio::time::timeout(within.saturating_sub(soon), commit).await {
        Ok(done) => done.map_err(open_error),
        Err(_) => Err(CommandError::new(Exit::Unavailable, UNCONFIRMED)
            .hint("start the standby, or let commits wait for none: empty synchronous_standby_names")),
    }
}

/// This process among those that share the store.
fn node(settings: &Settings) -> NodeSetup {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let label = ProcessLabel::of(&host, std::process::id());
    NodeSetup::new(label, settings.policy.feed.term, &SystemEntropy)
}

/// Takes a server over that was promoted while this node didn't run. The others have a lease's term to say what they
/// have seen.
async fn take_over(
    fail_over: &FailOverSetup,
    term: Duration,
    data_dir: &DataDir,
) -> Result<(), CommandError> {
    let master = data_dir.existing_master_key("copy it from another node: the database was used before")?;
    let noted = EpochFile::in_directory(data_dir.path()).read()?;
    let taken = take_over_at_start(fail_over, noted, &master, &SystemClock, term).await;
    taken.map_err(|error| start_error(error, data_dir))
}

/// Reads the files in the data directory that belong to a store: the master key, which is created with the first
/// start, and the newest number and seal that are remembered outside of the store.
async fn beside_directory(
    store: Arc<dyn Store>,
    newest: AnnouncedEnd,
    settings: &Settings,
    data_dir: &DataDir,
    mut made: Vec<String>,
) -> Result<OpenedStore, CommandError> {
    let master = match data_dir.master_key()? {
        Some(master) => master,
        None => {
            let keys = store.keys().await.map_err(|error| start_error(error.into(), data_dir))?;
            if !keys.is_empty() {
                return Err(CommandError::failure(format!(
                    "the master key {} is missing, and only it decrypts the secrets in the database",
                    data_dir.master_key_path().display()
                ))
                .hint("restore the file from a backup, or copy it from another node; a new key can't decrypt them"));
            }
            made.push(format!(
                "the master key {} (keep a copy of it apart from the database)",
                data_dir.master_key_path().display()
            ));
            if settings.keys.signing.is_none() {
                made.push(format!("a key for signing tokens with {}", settings.keys.algorithm.as_str()));
            }
            data_dir.make_master_key(&SystemEntropy)?
        }
    };
    // Before this directory's files are compared with the store, or renewed.
    check_master_key_of(&*store, &master).await.map_err(|error| start_error(error, data_dir))?;
    let epoch = detect_rollback(&*store, newest, &master, data_dir).await?;
    let file = AuditFile::in_directory(data_dir.path());
    let audit_seal = file.read()?;
    let state_files = Some((epoch, file));
    Ok(OpenedStore { store, file: None, shared: None, master, audit_seal, state_files, made })
}

/// Begins a new epoch if the database is older than the `epoch` file says, or has another log: revocations may be
/// missing from it.
async fn detect_rollback(
    store: &dyn Store,
    newest: AnnouncedEnd,
    master: &MasterKey,
    data_dir: &DataDir,
) -> Result<EpochRecorder, CommandError> {
    let file = EpochFile::in_directory(data_dir.path());
    let noted = file.read()?;
    if let Some(noted) = noted {
        let went_back = begin_if_gone_back(store, master, noted, &SystemClock)
            .await
            .map_err(|error| start_error(error, data_dir))?;
        went_back.iter().for_each(|went_back| went_back.log("the file epoch says"));
    }
    let recorder = EpochRecorder::new(file, noted, newest);
    recorder.record();
    Ok(recorder)
}

const ANOTHER: &str = "revocations may be missing from it. Stop all nodes, then run one command with the data directory of one of \
    them: `quash epoch begin` if it was restored from a backup (all users sign in again); `quash epoch accept` if nothing \
    is missing, as after pg_upgrade; `quash epoch fork` if it is a copy for another installation, such as staging";

/// The message for the operator if the store can't be opened.
pub(crate) fn open_error(error: OpenError) -> CommandError {
    let message = error.to_string();
    match error {
        OpenError::InUse { .. } => CommandError::new(Exit::InUse, message)
            .hint("another server or command uses it: try again when it is done"),
        OpenError::Unusable { .. } => CommandError::failure(message),
        OpenError::Another { .. } => CommandError::failure(message).hint(ANOTHER),
        OpenError::Damaged { .. } => CommandError::failure(message)
            .hint("keep a copy of the file, and restore the newest backup: quash restore FILE"),
        OpenError::Moved { .. } => CommandError::new(Exit::Conflict, message)
            .hint("name that database: PostgreSQL in storage.url_file, an SQLite file by leaving storage.url out; `quash migrate` moves it back"),
        OpenError::Newer { .. } | OpenError::Altered { .. } => CommandError::failure(message)
            .hint("use the version of quash that wrote it, or another data directory"),
    }
}

/// The message for the operator if the service can't be started.
pub(crate) fn start_error(error: StartError, data_dir: &DataDir) -> CommandError {
    let message = error.to_string();
    match error {
        StartError::Store(StoreError::Full | StoreError::Conflict) => CommandError::new(Exit::Unavailable, message),
        StartError::WrongMasterKey => CommandError::failure(message)
            .hint(format!("put the key that belongs to this database in {}; another node has it", data_dir.master_key_path().display())),
        StartError::OfAnotherAlgorithm(_) => CommandError::failure(message)
            .hint("set a new key for the new algorithm, or none, and quash creates one; the old key keeps verifying until its last token expires"),
        StartError::RevokedKey => CommandError::failure(message)
            .hint("set another in tokens.signing_key or tokens.signing_key_file, or none, and quash creates one"),
        StartError::OtherSettings { .. } => CommandError::failure(message)
            .hint("use the settings of the other nodes, or start this one with --apply-settings and restart the others with the same settings"),
        StartError::SettingsChanged => CommandError::failure(message)
            .hint("use the settings of the other nodes, and start again"),
        StartError::Store(_)
        | StartError::Unsigned
        | StartError::NoEpochLeft
        | StartError::RevokedHalf(_)
        | StartError::NoSigningKey
        | StartError::Key(..)
        | StartError::SigningKey(_)
        | StartError::ForeignKey(..) => CommandError::failure(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_gives_up_waiting_for_a_commit() {
        let span = Duration::from_millis(10);
        let failed = confirmed(std::future::pending(), span, span * 2).await.expect_err("no standby");
        assert!(failed.message.contains("synchronous_standby_names"), "{}", failed.message);
        assert_eq!(failed.exit, Exit::Unavailable);
        assert!(confirmed(std::future::ready(Ok(())), Duration::ZERO, Duration::ZERO).await.is_ok());
    }
}
