//! `quash backup` and `quash restore`: copies the database, and puts a copy in its place.

use std::path::PathBuf;

use clap::Args;
use quash_core::model::{Clock, Epoch, KeyRecord, Kid, OldSessions, Seq};
use quash_service::{
    KeysRevokedAgain, KnownLogEnd, MasterKey, audit_seal_of, begin_after_restore, renew_store_id,
    revoke_after_restore,
};
use quash_store::{Replaced, SqliteStore, StagedRestore, Store};

use super::context::{CommandContext, unexpected};
use crate::audit_file::AuditFile;
use crate::control::{Reply, Request, RestoredShown};
use crate::data_dir::{DataDir, IfMissing};
use crate::entropy::SystemEntropy;
use crate::epoch_file::EpochFile;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;
use crate::opening;
use crate::output;
use crate::settings::Engine;
use quash_server::SystemClock;

#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file to write; it must not exist
    path: PathBuf,
}

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup file
    path: PathBuf,
    /// Begin an epoch above this one, too: for an epoch that is known from another source
    #[arg(long, value_name = "N")]
    epoch_above: Option<u64>,
    /// Dangerous: keep the sessions in the backup, including those that were ended since
    #[arg(long)]
    keep_sessions: bool,
    /// Make another installation from the backup, such as a staging system next to the original
    #[arg(long)]
    as_copy: bool,
}

pub(super) async fn back_up(args: BackupArgs, context: &CommandContext) -> Result<(), CommandError> {
    let absolute = std::path::absolute(&args.path).ok().and_then(|path| path.to_str().map(str::to_owned));
    let to = absolute.ok_or_else(|| {
        CommandError::new(Exit::Usage, "the path of the backup can't be used: it isn't UTF-8")
    })?;
    let executor = context.executor(IfMissing::Refuse)?;
    let Reply::BackedUp(written) = executor.ask(Request::BackUp { to }).await? else {
        return Err(unexpected());
    };
    context.print(&written, || {
        let seq = if context.verbose {
            format!(", which knows the log up to seq {}", written.seq)
        } else {
            String::new()
        };
        format!("wrote {}{seq}", output::clean(&written.path))
    })?;
    let master = executor.data_dir().master_key_path();
    output::note(&format!(
        "the master key is not in it: keep a copy of {} apart from it. The backup is unusable without the key; \
        anyone with both can forge tokens",
        master.display()
    ));
    Ok(())
}

pub(super) async fn restore(args: RestoreArgs, context: &CommandContext) -> Result<(), CommandError> {
    let settings = context.settings()?;
    context.start_log(&settings);
    match settings.engine {
        Engine::Sqlite => {}
        Engine::Memory => {
            return Err(CommandError::new(
                Exit::Usage,
                "with storage.engine = \"memory\" there is nothing to restore into",
            ));
        }
        Engine::Postgres(_) => {
            return Err(CommandError::new(
                Exit::Usage,
                "quash restore puts an SQLite file back, and the database is PostgreSQL",
            )
            .hint("stop all nodes, restore it with PostgreSQL's own tools, such as pg_restore, and then run `quash epoch begin`"));
        }
    }
    let (data_dir, _) = context.data_dir(IfMissing::Refuse, &settings)?;
    let _lock = data_dir.lock_for_server()?;
    let sessions = if args.keep_sessions { OldSessions::Keep } else { OldSessions::End };
    let restored = put_back(&args, sessions, &data_dir).await?;
    context.print(&restored, || {
        let kids = restored.revoked_again.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let revoked = if kids.is_empty() {
            kids
        } else {
            format!("; revoked again, as in the previous database: {kids}")
        };
        let kept = restored
            .kept
            .as_ref()
            .map(|kept| format!("; the previous database is kept as {kept}"))
            .unwrap_or_default();
        let then = match sessions {
            OldSessions::End => "all users must sign in again",
            OldSessions::Keep => "sessions continue, including those that were ended since the backup",
        };
        let seq = if context.verbose {
            format!("the log continues with seq {} in epoch {}; ", restored.seq, restored.epoch)
        } else {
            String::new()
        };
        output::clean(&format!("restored: {seq}{then}{revoked}{kept}"))
    })
}

/// Puts a backup in the database's place. The staged copy gets its new epoch before it replaces the database,
/// so that no process sees it with the old one.
async fn put_back(
    args: &RestoreArgs,
    sessions: OldSessions,
    data_dir: &DataDir,
) -> Result<RestoredShown, CommandError> {
    let above = args.epoch_above.map(epoch_above).transpose()?;
    let master = data_dir.existing_master_key(
        "put the master key there that belongs to the backup: only that decrypts its secrets",
    )?;
    let noted = EpochFile::in_directory(data_dir.path());
    let beyond = KnownLogEnd { seq: noted.read()?.map(|end| end.seq), epoch: above };
    let staged = StagedRestore::new(&args.path, &data_dir.database()).map_err(opening::open_error)?;
    let store = staged.open().map_err(opening::open_error)?;
    let begun = begin_after_restore(&store, &master, beyond, sessions, &SystemClock).await;
    let seq = begun.map_err(|error| opening::start_error(error, data_dir))?;
    if args.as_copy {
        renew_store_id(&store, &SystemEntropy)
            .await
            .map_err(|error| opening::start_error(error, data_dir))?;
    }
    let again = match known_keys(&staged, beyond.seq) {
        Some(keys) => Some(revoke_again(&keys, &store, &master, data_dir).await?),
        None => None,
    };
    note_audit_seal(&store, &master, data_dir).await?;
    // Closing the store merges its journal into one file.
    drop(store);
    let kept = staged.put_in_place(&Moment(SystemClock.now()).to_label()).map_err(opening::open_error)?;
    let end = again.as_ref().and_then(|again| again.seq).unwrap_or(seq);
    if let Err(error) = noted.write(&end.into()) {
        output::note(&format!(
            "failed to write the newest sequence number ({error}): the next start writes it"
        ));
    }
    let revoked_again = again.map(|again| texts(&again.kids));
    Ok(RestoredShown {
        seq: seq.as_u64(),
        epoch: seq.epoch(),
        revoked_again,
        kept: kept.map(|kept| kept.display().to_string()),
    })
}

/// Writes the backup's seal, which may be older than the current one, into the seal file. This happens before
/// the backup is in place: a database that is ahead of the seal file doesn't count as tampered with.
pub(super) async fn note_audit_seal(
    store: &dyn Store,
    master: &MasterKey,
    data_dir: &DataDir,
) -> Result<(), CommandError> {
    let seal = audit_seal_of(store, master).await.map_err(|error| opening::start_error(error, data_dir))?;
    let Some(seal) = seal else {
        output::note(
            "the audit in the backup isn't sealed with this master key: see `quash audit verify` and `quash audit accept`",
        );
        return Ok(());
    };
    let noted = AuditFile::in_directory(data_dir.path()).write(&seal);
    noted.map_err(|error| {
        CommandError::failure(format!(
            "failed to write the seal of the audit in {}: {error}",
            data_dir.path().display()
        ))
    })
}

pub(super) fn epoch_above(number: u64) -> Result<Epoch, CommandError> {
    let fault = || CommandError::new(Exit::Usage, format!("--epoch-above {number} leaves no epoch above it"));
    Epoch::new(number).filter(|epoch| *epoch < Epoch::LAST).ok_or_else(fault)
}

/// Returns the keys of the database that is replaced. If they are unknown, tells the operator and returns
/// `None`. `noted` is a sequence number that its log had reached.
fn known_keys(staged: &StagedRestore, noted: Option<Seq>) -> Option<Vec<KeyRecord>> {
    let what_to_do = "a stolen key would sign again: see `quash key list`, and run `quash revoke key KID` for each key that was revoked since";
    match staged.replaced() {
        Ok(Some(Replaced { end, keys })) => {
            if noted.is_some_and(|noted| end < noted) {
                output::note(&format!(
                    "the previous database was itself an older copy, and may not know all revoked keys; {what_to_do}"
                ));
            }
            Some(keys)
        }
        Ok(None) => {
            output::note(&format!(
                "there is no previous database, so the keys that were revoked since the backup are unknown; {what_to_do}"
            ));
            None
        }
        Err(error) => {
            output::note(&format!(
                "{error}: the keys that were revoked since the backup are unknown; {what_to_do}"
            ));
            None
        }
    }
}

async fn revoke_again(
    replaced: &[KeyRecord],
    store: &SqliteStore,
    master: &MasterKey,
    data_dir: &DataDir,
) -> Result<KeysRevokedAgain, CommandError> {
    let again = revoke_after_restore(replaced, store, master, &SystemClock, &SystemEntropy).await;
    let again = again.map_err(|error| opening::start_error(error, data_dir))?;
    if !again.unread.is_empty() {
        output::note(&format!(
            "revoked in the previous database but sealed with another master key, so that a start would accept them: {}; \
            don't name them in the settings",
            texts(&again.unread).join(", ")
        ));
    }
    Ok(again)
}

fn texts(kids: &[Kid]) -> Vec<String> {
    kids.iter().map(ToString::to_string).collect()
}
