//! `quash backup` and `quash restore`: a copy of all that quash keeps, and the way back.

use std::path::PathBuf;

use clap::Args;
use quash_core::model::{Clock, Epoch, KeyRecord, Kid, OldSessions, Seq};
use quash_service::{
    Beyond, MasterKey, StruckAgain, audit_seal_of, begin_after_restore, renew_store_id, strike_after_restore,
};
use quash_store::{Replaced, SqliteStore, StagedRestore};

use super::place::{Place, unexpected};
use crate::audit_file::AuditFile;
use crate::control::{Reply, Request, RestoredShown};
use crate::data_dir::{Absent, DataDir};
use crate::entropy::SystemEntropy;
use crate::epoch_file::EpochFile;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;
use crate::opening;
use crate::output;
use crate::settings::{Engine, LogFormat, LogSettings};
use quash_server::SystemClock;

/// What `quash backup` takes.
#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file to write; nothing may stand there
    path: PathBuf,
}

/// What `quash restore` takes.
#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup
    path: PathBuf,
    /// Number what is revoked from now on above this epoch, too: one that is known from elsewhere
    #[arg(long, value_name = "N")]
    epoch_above: Option<u64>,
    /// Dangerous: let sessions go on that the backup knows, those too that were ended since
    #[arg(long)]
    keep_sessions: bool,
    /// Make another installation of it, beside the one that the backup is of: a staging system, for example
    #[arg(long)]
    as_copy: bool,
}

pub(super) async fn back_up(args: BackupArgs, place: &Place) -> Result<(), CommandError> {
    let absolute = std::path::absolute(&args.path).ok().and_then(|path| path.to_str().map(str::to_owned));
    let to = absolute.ok_or_else(|| {
        CommandError::new(Exit::Usage, "the path of the backup can't be used: it isn't UTF-8")
    })?;
    let asked = place.asked(Absent::Refuse)?;
    let Reply::BackedUp(written) = asked.ask(Request::BackUp { to }).await? else { return Err(unexpected()) };
    place.print(&written, || {
        let seq = if place.verbose {
            format!(", which knows the log up to seq {}", written.seq)
        } else {
            String::new()
        };
        format!("wrote {}{seq}", output::clean(&written.path))
    })?;
    let master = asked.data_dir().master_key_path();
    output::note(&format!(
        "the master key is not in it: keep a copy of {} apart from it, without which nobody can use the backup; \
         with both, anybody can make tokens",
        master.display()
    ));
    Ok(())
}

pub(super) async fn restore(args: RestoreArgs, place: &Place) -> Result<(), CommandError> {
    let settings = place.settings()?;
    place.start_log(LogSettings {
        level: settings.log.level.min(tracing::level_filters::LevelFilter::WARN),
        format: LogFormat::Text,
    });
    if settings.engine == Engine::Memory {
        return Err(CommandError::new(
            Exit::Usage,
            "with storage.engine = \"memory\" there is nothing to restore into",
        ));
    }
    let (data_dir, _) = place.data_dir(Absent::Refuse, &settings)?;
    let _lock = data_dir.lock_for_server()?;
    let sessions = if args.keep_sessions { OldSessions::Keep } else { OldSessions::End };
    let restored = put_back(&args, sessions, &data_dir).await?;
    place.print(&restored, || {
        let kids = restored.struck.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ");
        let struck = if kids.is_empty() {
            kids
        } else {
            format!("; struck again, as in the database from before: {kids}")
        };
        let kept = restored
            .kept
            .as_ref()
            .map(|kept| format!("; the database from before is kept as {kept}"))
            .unwrap_or_default();
        let then = match sessions {
            OldSessions::End => "everybody must sign in again",
            OldSessions::Keep => "sessions go on, those too that were ended since the backup",
        };
        let seq = if place.verbose {
            format!("the log goes on with seq {} in epoch {}; ", restored.seq, restored.epoch)
        } else {
            String::new()
        };
        output::clean(&format!("restored: {seq}{then}{struck}{kept}"))
    })
}

/// Puts a backup in the database's place. Until the last step but one, nothing is changed that anybody looks at; what
/// then stands there has its new epoch already.
async fn put_back(
    args: &RestoreArgs,
    sessions: OldSessions,
    data_dir: &DataDir,
) -> Result<RestoredShown, CommandError> {
    let above = args.epoch_above.map(with_one_above).transpose()?;
    let master = data_dir.master_key()?.ok_or_else(|| {
        CommandError::failure(format!("the master key {} is missing", data_dir.master_key_path().display()))
            .hint("put the file there that belongs to the backup: only that opens what is in it")
    })?;
    let noted = EpochFile::in_directory(data_dir.path());
    let beyond = Beyond { seq: noted.read()?, epoch: above };
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
        Some(keys) => Some(strike_again(&keys, &store, &master, data_dir).await?),
        None => None,
    };
    note_audit_seal(&store, &master, data_dir).await?;
    // Closing it brings all of it into one file.
    drop(store);
    let kept = staged.put_in_place(&Moment(SystemClock.now()).to_label()).map_err(opening::open_error)?;
    let end = again.as_ref().and_then(|again| again.seq).unwrap_or(seq);
    if let Err(error) = noted.write(end) {
        output::note(&format!(
            "how far the log has come could not be noted ({error}): the next start does it"
        ));
    }
    let struck = again.map(|again| texts(&again.kids));
    Ok(RestoredShown {
        seq: seq.as_u64(),
        epoch: seq.epoch(),
        struck,
        kept: kept.map(|kept| kept.display().to_string()),
    })
}

/// Notes the seal of the backup, which may be older than the noted one. It is done before the backup is in its place: a
/// database that is ahead of its note is none that somebody else has changed.
async fn note_audit_seal(
    store: &SqliteStore,
    master: &MasterKey,
    data_dir: &DataDir,
) -> Result<(), CommandError> {
    let seal = audit_seal_of(store, master).await.map_err(|error| opening::start_error(error, data_dir))?;
    let Some(seal) = seal else {
        output::note(
            "the audit in the backup has no seal of this master key: see `quash audit verify` and `quash audit accept`",
        );
        return Ok(());
    };
    let noted = AuditFile::in_directory(data_dir.path()).write(&seal);
    noted.map_err(|error| {
        CommandError::failure(format!(
            "the seal of the audit could not be noted in {}: {error}",
            data_dir.path().display()
        ))
    })
}

fn with_one_above(number: u64) -> Result<Epoch, CommandError> {
    let fault = || CommandError::new(Exit::Usage, format!("--epoch-above {number} leaves no epoch above it"));
    Epoch::new(number).filter(|epoch| *epoch < Epoch::LAST).ok_or_else(fault)
}

/// The keys of the database that is replaced; `None`: nothing is known of it, and the operator is told. `noted` is a number that
/// its log had come to.
fn known_keys(staged: &StagedRestore, noted: Option<Seq>) -> Option<Vec<KeyRecord>> {
    let what_to_do = "a stolen key would sign again: see `quash key list`, and `quash revoke key KID` for each key that was struck since";
    match staged.replaced() {
        Ok(Some(Replaced { end, keys })) => {
            if noted.is_some_and(|noted| end < noted) {
                output::note(&format!(
                    "the database from before had gone back itself, and may not know of all struck keys; {what_to_do}"
                ));
            }
            Some(keys)
        }
        Ok(None) => {
            output::note(&format!(
                "there is no database from before: which keys were struck since the backup isn't known; {what_to_do}"
            ));
            None
        }
        Err(error) => {
            output::note(&format!(
                "{error}: which keys were struck since the backup isn't known; {what_to_do}"
            ));
            None
        }
    }
}

async fn strike_again(
    replaced: &[KeyRecord],
    store: &SqliteStore,
    master: &MasterKey,
    data_dir: &DataDir,
) -> Result<StruckAgain, CommandError> {
    let again = strike_after_restore(replaced, store, master, &SystemClock, &SystemEntropy).await;
    let again = again.map_err(|error| opening::start_error(error, data_dir))?;
    if !again.unread.is_empty() {
        output::note(&format!(
            "struck in the database from before and sealed with another master key, so that a start would take them: {}; \
             don't name them in the settings",
            texts(&again.unread).join(", ")
        ));
    }
    Ok(again)
}

fn texts(kids: &[Kid]) -> Vec<String> {
    kids.iter().map(ToString::to_string).collect()
}
