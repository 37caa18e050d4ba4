//! `quash migrate`: moves the data between an SQLite file and PostgreSQL, while no server runs.

use std::path::PathBuf;

use clap::Args;
use quash_core::model::{Clock, Head};
use quash_service::{AuditVerified, MasterKey, verify_audit_of};
use quash_store::{
    MoveError, MoveSource, MoveStage, OpenError, PostgresOptions, SqliteOptions, SqliteStore, StagedRestore,
    Store, StoreError, check_log, copy_to_postgres,
};
use serde::Serialize;

use super::context::CommandContext;
use super::postgres_url::{has_password, is_postgres};
use super::progress::Progress;
use crate::audit_file::AuditFile;
use crate::control::audit_refused;
use crate::data_dir::{DataDir, IfMissing};
use crate::epoch_file::EpochFile;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;
use crate::opening;
use crate::output;
use crate::settings::{Engine, SecretText, Settings};
use quash_server::SystemClock;

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct MigrateArgs {
    /// Where the data goes: `postgres` (the database of storage.url), a postgres:// URL without a password,
    /// or `sqlite` (a new file in the data directory, from the database of storage.url)
    #[arg(long, value_name = "ENGINE|URL")]
    to: Option<String>,
    /// Read the URL of the PostgreSQL database from this file, which other users can't access
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
}

/// The remedy where the master key is missing.
const WHICH_KEY: &str = "put the master key there that belongs to the data";

/// The result of a move.
#[derive(Debug, Serialize)]
struct MovedShown {
    from: String,
    to: String,
    /// The number of entries in the log.
    entries: u64,
    /// The sequence number at which the log ends.
    seq: u64,
    /// The number of entries of the audit that match their seals.
    audit: u64,
    /// The path of an older file of the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

/// The state of a store before it was moved.
struct Checked {
    head: Head,
    entries: u64,
    audit: AuditVerified,
}

enum Target {
    Postgres(SecretText),
    Sqlite,
}

pub(super) async fn run(args: MigrateArgs, context: &CommandContext) -> Result<(), CommandError> {
    let settings = context.settings()?;
    let target = target(&args, &settings)?;
    context.start_log(&settings);
    let (data_dir, _) = context.data_dir(IfMissing::Refuse, &settings)?;
    let _lock = data_dir.lock_for_server()?;
    let moved = match target {
        Target::Postgres(url) => to_postgres(&url, &data_dir).await?,
        Target::Sqlite => to_sqlite(&settings, &data_dir).await?,
    };
    context.print(&moved, || {
        let MovedShown { from, to, entries, audit, kept, .. } = &moved;
        let seq = if context.verbose { format!(" up to seq {}", moved.seq) } else { String::new() };
        let kept = kept.as_ref().map(|kept| format!("\nthe previous file is kept as {kept}")).unwrap_or_default();
        format!(
            "moved the data of {from} to {to}\nchecked: {entries} entries of the log{seq}, {audit} sealed entries of the \
             audit{kept}"
        )
    })?;
    output::note(match args.to.as_deref() {
        Some("sqlite") => "leave storage.url and storage.url_file out of the settings, and start quash",
        Some("postgres") => "start quash; other nodes need a copy of master.key",
        _ => "name the database in storage.url_file, and start quash; other nodes need a copy of master.key",
    });
    Ok(())
}

/// Returns the target. A password isn't taken from the command line, which other users can read.
fn target(args: &MigrateArgs, settings: &Settings) -> Result<Target, CommandError> {
    let usage = |message: &str, hint: &str| Err(CommandError::new(Exit::Usage, message).hint(hint));
    if matches!(settings.engine, Engine::Memory) {
        return usage(
            "with storage.engine = \"memory\" there is nothing to move",
            "start with an SQLite file",
        );
    }
    if let Some(path) = &args.to_file {
        return SecretText::read(path).map(Target::Postgres).map_err(|fault| {
            CommandError::new(Exit::Usage, format!("{} {}", path.display(), fault.fault)).hint(fault.remedy)
        });
    }
    match (args.to.as_deref().unwrap_or_default(), &settings.engine) {
        ("sqlite", _) => Ok(Target::Sqlite),
        ("postgres", Engine::Postgres(url)) => Ok(Target::Postgres(url.clone())),
        ("postgres", _) => usage(
            "the settings name no PostgreSQL database",
            "set storage.url_file to a file with its URL, or name that file with --to-file",
        ),
        (url, _) if !is_postgres(url) => usage(
            "--to names neither an engine nor a database",
            "use `postgres`, `sqlite` or a postgres:// URL",
        ),
        (url, _) if has_password(url) => usage(
            "--to contains a password, which other users of this machine can read",
            "write the URL into a file with mode 0600, and name it with --to-file or in storage.url_file",
        ),
        (url, _) => Ok(Target::Postgres(SecretText::new(url.to_owned()))),
    }
}

fn reached(progress: &Progress, stage: MoveStage) {
    match stage {
        MoveStage::Copying { table, rows, of } => progress.reached(format!("copying {table}"), rows, of),
        MoveStage::Comparing { table, rows, of } => progress.reached(format!("comparing {table}"), rows, of),
        MoveStage::Present => progress.says("the data was copied before"),
    }
}

async fn to_postgres(url: &SecretText, data_dir: &DataDir) -> Result<MovedShown, CommandError> {
    let database = data_dir.database();
    if !database.exists() {
        return Err(CommandError::new(Exit::NotFound, format!("there is no {}", database.display()))
            .hint("name the data directory of the SQLite file with --data-dir or QUASH_DATA_DIR"));
    }
    let master = data_dir.existing_master_key(WHICH_KEY)?;
    let store = SqliteStore::open(&database, SqliteOptions::default()).map_err(opening::open_error)?;
    let progress = Progress::start("rows");
    progress.says("checking the log and the audit");
    let checked = check(&store, &master, data_dir).await?;
    if let Some(noted) = EpochFile::in_directory(data_dir.path()).read()?
        && checked.head.seq < noted.seq
    {
        return Err(CommandError::failure(format!("{} is an older copy of itself", database.display()))
            .hint("start `quash serve` on it once, which begins a new epoch, and move it after that"));
    }
    let report = |stage| reached(&progress, stage);
    let copied = copy_to_postgres(&store, &PostgresOptions::new(url.expose()), &report).await;
    let to = copied.map_err(|error| refused(error, data_dir))?;
    progress.says("marking the SQLite file as moved");
    store.mark_moved(&to).map_err(|error| {
        opening::open_error(error)
            .hint("the data is in PostgreSQL: run the same command again, before you start quash")
    })?;
    progress.end();
    Ok(checked.moved(database.display().to_string(), to, None))
}

async fn to_sqlite(settings: &Settings, data_dir: &DataDir) -> Result<MovedShown, CommandError> {
    let Engine::Postgres(url) = &settings.engine else {
        return Err(CommandError::new(Exit::Usage, "the settings name no PostgreSQL database to move from")
            .hint("set storage.url_file to a file with its URL"));
    };
    let (database, master) = (data_dir.database(), data_dir.existing_master_key(WHICH_KEY)?);
    if database.exists() {
        match SqliteStore::open(&database, SqliteOptions::default()) {
            Err(OpenError::Moved { .. }) => {}
            Err(error) => return Err(opening::open_error(error)),
            Ok(_) => {
                return Err(CommandError::new(Exit::Conflict, format!("{} exists", database.display())).hint(
                    "if an earlier move has put it there, leave storage.url and storage.url_file out, and start quash; \
                     otherwise move it away",
                ));
            }
        }
    }
    let progress = Progress::start("rows");
    progress.says("waiting until no node uses the database");
    let source = MoveSource::begin(&PostgresOptions::new(url.expose())).await;
    let source = source.map_err(|error| refused(error, data_dir))?;
    let from = source.name().to_owned();
    if let Some(earlier) = source.earlier() {
        progress.says(&format!(
            "an earlier move to {earlier} was begun: if quash was started on that file since, use only that one"
        ));
    }
    let staged = StagedRestore::empty(&database).map_err(opening::open_error)?;
    let store = staged.open().map_err(opening::open_error)?;
    source
        .copy_to(&store, &|stage| reached(&progress, stage))
        .await
        .map_err(|error| refused(error, data_dir))?;
    progress.says("checking the log and the audit");
    let checked = check(&store, &master, data_dir).await?;
    // Closing the store merges its journal into one file.
    drop(store);
    // From here on, only a repetition of this command can use the database.
    progress.says("marking the PostgreSQL database as moved");
    let to = database.display().to_string();
    source.mark_moved(&to).await.map_err(|error| refused(error, data_dir))?;
    progress.says("putting the SQLite file in place");
    let kept = staged.put_in_place(&Moment(SystemClock.now()).to_label()).map_err(|error| {
        opening::open_error(error)
            .hint("run the same command again: the PostgreSQL database still has all data")
    })?;
    progress.end();
    Ok(checked.moved(from, to, kept.map(|kept| kept.display().to_string())))
}

/// Recomputes the chain of the log, and compares the audit with its seals.
async fn check(store: &SqliteStore, master: &MasterKey, data_dir: &DataDir) -> Result<Checked, CommandError> {
    let failed = |error| opening::start_error(error, data_dir);
    let noted = AuditFile::in_directory(data_dir.path()).read()?;
    if store.keys().await.map_err(|error| failed(error.into()))?.is_empty() {
        return Err(CommandError::new(
            Exit::NotFound,
            "there is nothing to move: no server was ever started on it",
        ));
    }
    let audit = verify_audit_of(store, master, noted).await.map_err(failed)?.map_err(audit_refused)?;
    let (head, entries) = check_log(store).await.map_err(|error| refused(error, data_dir))?;
    Ok(Checked { head, entries, audit })
}

impl Checked {
    fn moved(self, from: String, to: String, kept: Option<String>) -> MovedShown {
        let Self { head, entries, audit } = self;
        MovedShown { from, to, entries, seq: head.seq.as_u64(), audit: audit.entries, kept }
    }
}

/// Describes why the data wasn't moved, or can't be taken from the nodes.
pub(super) fn refused(error: MoveError, data_dir: &DataDir) -> CommandError {
    let message = error.to_string();
    match error {
        MoveError::Open(error) => opening::open_error(error),
        MoveError::Store(error @ StoreError::Unavailable(_)) => {
            CommandError::new(Exit::Unavailable, error.to_string())
        }
        MoveError::Store(error) => opening::start_error(error.into(), data_dir),
        MoveError::NotEmpty { .. } => CommandError::new(Exit::Conflict, message).hint(
            "use an empty database: create another one, or drop this one and create it again if nothing in it is needed",
        ),
        MoveError::InUse { .. } => CommandError::new(Exit::InUse, message).hint(
            "stop all nodes (`quash serve`), and run the command again; it waits for the lease of a node that was killed",
        ),
        MoveError::Log(_) => CommandError::new(Exit::Refused, message)
            .hint("nothing was moved; another program has changed the data: compare it with a backup"),
        MoveError::Unknown { .. } => CommandError::new(Exit::Unavailable, message)
            .hint("run the same command again: it finishes what was begun, or begins anew"),
        MoveError::Differs { .. } => CommandError::failure(message).hint("nothing was moved: report this as a fault"),
        MoveError::Unsuitable { .. } | MoveError::Failed { .. } => {
            CommandError::failure(message).hint("nothing was moved; run the command again once the cause is gone")
        }
    }
}
