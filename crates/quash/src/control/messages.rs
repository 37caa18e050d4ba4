//! Messages for operators: refusals and failures of the service.

use quash_core::model::{NameFault, Refusal, ScopeKind};
use quash_service::{
    AddFault, BackupError, BackupFault, ChangeFault, ClaimsFault, Failure, Unavailable, ValueFault,
};

use crate::error::{CommandError, Exit};

/// The hint for names that are numbers.
const NUMERIC_NAMES: &str =
    "to allow names that are numbers, such as telephone numbers, set accounts.numeric_names = true";

/// Returns the name of a scope's kind.
pub(super) fn scope(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Everything => "everything",
        ScopeKind::Key => "key",
        ScopeKind::Client => "client",
        ScopeKind::Subject => "account",
        ScopeKind::Session => "session",
        ScopeKind::Token => "token",
    }
}

/// The error for a namespace that the settings don't have.
pub(super) fn no_namespace(name: &str) -> CommandError {
    CommandError::new(Exit::NotFound, format!("the settings have no namespace \"{name}\""))
        .hint("write it into a section [foreign.<name>]: `namespace = \"…\"`")
}

/// Describes a temporary failure. Only a lost answer to a commit leaves it open whether a change was made.
pub(super) fn unavailable(unavailable: &Unavailable) -> CommandError {
    let error = CommandError::new(Exit::Unavailable, unavailable.to_string());
    match unavailable {
        Unavailable::OutcomeUnknown(_) => {
            error.hint("the change may or may not have been made: check, and try again")
        }
        Unavailable::StoreFull => error.hint("free space on the disk of the database, and try again"),
        Unavailable::StoreFailed(_) | Unavailable::Stale => {
            error.hint("check that the database answers, and try again")
        }
        Unavailable::NoSigningKey => {
            error.hint("set another tokens.signing_key, or none, and restart the server")
        }
        Unavailable::Contended
        | Unavailable::HashQueueFull { .. }
        | Unavailable::NetworkQueueFull { .. }
        | Unavailable::NetworkThrottled { .. }
        | Unavailable::AccountThrottled { .. }
        | Unavailable::AccountQueueFull { .. }
        | Unavailable::ForeignKeysUnavailable
        | Unavailable::Unsigned => error.hint("try again"),
    }
}

/// Describes why the result of a change couldn't be read, which was made.
pub(super) fn made(error: CommandError) -> CommandError {
    error.hint("the change was made, and only its result couldn't be read: check it")
}

/// Describes why a session or an account wasn't ended.
pub(super) fn not_ended(what: &str, failure: &Failure) -> CommandError {
    match failure {
        Failure::Unavailable(fault) => unavailable(fault),
        Failure::Refused(Refusal::TokenRevoked(reason)) => {
            let why = reason.map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default();
            CommandError::new(Exit::Conflict, format!("{what} has ended already{why}"))
        }
        Failure::Refused(_) => CommandError::new(Exit::NotFound, format!("there is no {what}")),
    }
}

/// Describes why an account wasn't changed.
pub(super) fn not_changed(fault: &ChangeFault) -> CommandError {
    match fault {
        ChangeFault::Failed(Failure::Unavailable(fault)) => unavailable(fault),
        ChangeFault::Failed(Failure::Refused(_)) => CommandError::failure(fault.to_string()),
        ChangeFault::Gone => CommandError::new(Exit::NotFound, fault.to_string()),
        ChangeFault::Already(_) | ChangeFault::Taken | ChangeFault::VersionDiffers => {
            CommandError::new(Exit::Conflict, fault.to_string())
        }
        ChangeFault::Deactivated => CommandError::new(Exit::Conflict, fault.to_string())
            .hint("`quash account reactivate` lets it sign in again"),
        ChangeFault::Value(fault) => wrong_value(fault),
    }
}

/// Describes why a value is refused.
pub(super) fn wrong_value(fault: &ValueFault) -> CommandError {
    let error = CommandError::new(Exit::Usage, fault.to_string());
    match fault {
        ValueFault::Claims(ClaimsFault::Reserved(_)) => {
            error.hint("choose another name; docs/reference/http.md lists quash's own")
        }
        ValueFault::Name(NameFault::Number) => error.hint(NUMERIC_NAMES),
        _ => error,
    }
}

/// Describes why a backup failed.
pub(super) fn not_backed_up(fault: &BackupFault) -> CommandError {
    match fault {
        BackupFault::Failed(BackupError::Exists { .. }) => {
            CommandError::new(Exit::Conflict, fault.to_string())
                .hint("nothing is overwritten: name another file")
        }
        BackupFault::Failed(BackupError::Unusable { .. }) => CommandError::failure(fault.to_string())
            .hint("the server writes the file: its user needs permission, and the disk needs space"),
        BackupFault::NoFile => CommandError::new(Exit::Usage, fault.to_string()).hint(
            "back up PostgreSQL with its own tools, such as pg_dump, and run `quash epoch begin` after a restore; a store in memory can't be backed up",
        ),
    }
}

/// Describes why an account wasn't added.
pub(super) fn not_added(fault: &AddFault) -> CommandError {
    match fault {
        AddFault::Failed(Failure::Unavailable(fault)) => unavailable(fault),
        AddFault::Failed(Failure::Refused(_)) => CommandError::failure(fault.to_string()),
        AddFault::Taken => CommandError::new(Exit::Conflict, fault.to_string()),
        AddFault::Value(fault) => wrong_value(fault),
    }
}
