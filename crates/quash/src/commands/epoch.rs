//! `quash epoch`: opens a PostgreSQL database again that was restored, upgraded or copied. Nodes refuse it before
//! that, because revocations may be missing from it.

use clap::Subcommand;
use quash_core::decide::NotedEntry;
use quash_core::model::{NotedEnd, OldSessions, Seq};
use quash_service::{KnownLogEnd, begin_after_restore, compare, renew_store_id};
use quash_store::{IfAnother, PostgresOptions, PostgresStore, StoreError};
use serde::Serialize;

use super::backup::{epoch_above, note_audit_seal};
use super::context::CommandContext;
use super::migrate;
use crate::data_dir::{DataDir, IfMissing};
use crate::entropy::SystemEntropy;
use crate::epoch_file::EpochFile;
use crate::error::{CommandError, Exit};
use crate::opening;
use crate::output;
use crate::settings::{Engine, SecretText};
use quash_server::SystemClock;

#[derive(Subcommand)]
pub(super) enum EpochCommand {
    /// The database was restored from a backup: begin a new epoch. All users must sign in again
    Begin {
        /// Begin an epoch above this one, too: for an epoch that is known from another source
        #[arg(long, value_name = "N")]
        above: Option<u64>,
    },
    /// Nothing is missing from the database, as after pg_upgrade: compare its log with the file `epoch` of this data
    /// directory, and keep all sessions
    Accept,
    /// The database is a copy for another installation, such as staging: begin a new epoch, and give it an id of its
    /// own. Verifiers that were configured for one installation then prove nothing to the other
    Fork,
}

/// The remedy where the master key is missing.
const WHICH_KEY: &str =
    "put the master key there that belongs to the database: only that decrypts its secrets";

/// An opened database.
#[derive(Serialize)]
struct EpochShown {
    /// The number of the newest entry of the log.
    seq: u64,
    epoch: u64,
    /// Whether all users must sign in again.
    ended: bool,
}

pub(super) async fn run(command: EpochCommand, context: &CommandContext) -> Result<(), CommandError> {
    let settings = context.settings()?;
    context.start_log(&settings);
    let Engine::Postgres(url) = &settings.engine else {
        return Err(CommandError::new(
            Exit::Usage,
            "quash epoch is for PostgreSQL, and this database isn't one",
        )
        .hint("`quash restore` puts an SQLite file back, and begins a new epoch"));
    };
    let (data_dir, _) = context.data_dir(IfMissing::Refuse, &settings)?;
    let _lock = data_dir.lock_for_server()?;
    let shown = match command {
        EpochCommand::Begin { above } => begin(url, &data_dir, above, Installation::Same).await?,
        EpochCommand::Fork => begin(url, &data_dir, None, Installation::Another).await?,
        EpochCommand::Accept => accept(url, &data_dir).await?,
    };
    context.print(&shown, || {
        let seq = if context.verbose {
            format!("; the log's newest number is {}, in epoch {}", shown.seq, shown.epoch)
        } else {
            String::new()
        };
        let then = if shown.ended {
            "a new epoch has begun, so all users must sign in again"
        } else {
            "the log has everything that this node had seen, so all sessions continue"
        };
        format!("{then}{seq}. Start the nodes")
    })
}

/// The installation to which the database's data belongs from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Installation {
    Same,
    Another,
}

async fn begin(
    url: &SecretText,
    data_dir: &DataDir,
    above: Option<u64>,
    installation: Installation,
) -> Result<EpochShown, CommandError> {
    let above = above.map(epoch_above).transpose()?;
    let master = data_dir.existing_master_key(WHICH_KEY)?;
    let file = EpochFile::in_directory(data_dir.path());
    let beyond = KnownLogEnd { seq: file.read()?.map(|end| end.seq), epoch: above };
    let store = open(url, data_dir).await?;
    let seq = begin_after_restore(&store, &master, beyond, OldSessions::End, &SystemClock)
        .await
        .map_err(|error| opening::start_error(error, data_dir))?;
    if installation == Installation::Another {
        renew_store_id(&store, &SystemEntropy)
            .await
            .map_err(|error| opening::start_error(error, data_dir))?;
    }
    note_audit_seal(&store, &master, data_dir).await?;
    record(&store, &file, data_dir).await?;
    if installation == Installation::Same {
        output::note(
            "a key that was revoked since the backup would sign again: see `quash key list`, and run `quash revoke key \
             KID` for each of them",
        );
    }
    Ok(EpochShown { seq: seq.as_u64(), epoch: seq.epoch(), ended: true })
}

async fn accept(url: &SecretText, data_dir: &DataDir) -> Result<EpochShown, CommandError> {
    let file = EpochFile::in_directory(data_dir.path());
    let instead =
        "run it with the data directory of the node that was stopped last, or run `quash epoch begin`";
    let refused = |fault: &str| CommandError::failure(fault).hint(instead);
    let noted = file.read()?.filter(|end| end.chain.is_some()).ok_or_else(|| {
        refused("this data directory has no file `epoch` with the end of the log, so there is nothing to compare it with")
    })?;
    data_dir.existing_master_key(WHICH_KEY)?;
    let store = open(url, data_dir).await?;
    let start_error = |error: StoreError| opening::start_error(error.into(), data_dir);
    let (head, noted_entry) = compare(&store, noted).await.map_err(start_error)?;
    match noted_entry {
        NotedEntry::Present if head.seq.epoch() == noted.seq.epoch() => {}
        NotedEntry::Present => {
            return Err(refused("the log is in another epoch than the one that this node has seen"));
        }
        NotedEntry::Lost => {
            return Err(CommandError::failure(format!(
                "the log lacks entries: this node has seen number {}, and the log ends at {}, or has another entry there",
                noted.seq, head.seq
            ))
            .hint("revocations are missing: run `quash epoch begin`"));
        }
        NotedEntry::Deleted => {
            return Err(refused("the newest entry that this node has seen was deleted since"));
        }
    }
    record(&store, &file, data_dir).await?;
    Ok(EpochShown { seq: head.seq.as_u64(), epoch: head.seq.epoch(), ended: false })
}

/// Opens a database that may be another one than before, and that no node uses.
async fn open(url: &SecretText, data_dir: &DataDir) -> Result<PostgresStore, CommandError> {
    let options = PostgresOptions { if_another: IfAnother::Open, ..PostgresOptions::new(url.expose()) };
    let store = PostgresStore::open(options).await.map_err(opening::open_error)?;
    store.wait_for_nodes().await.map_err(|error| migrate::refused(error, data_dir))?;
    Ok(store)
}

/// Records the database as the one to use, and notes the end of its log.
async fn record(store: &PostgresStore, file: &EpochFile, data_dir: &DataDir) -> Result<(), CommandError> {
    store.record_identity().await.map_err(|error| opening::start_error(error.into(), data_dir))?;
    let end: NotedEnd = *store.newest_end().borrow();
    if end.seq > Seq::ZERO
        && let Err(error) = file.write(&end)
    {
        output::note(&format!("failed to write the end of the log ({error}): the next start writes it"));
    }
    Ok(())
}
