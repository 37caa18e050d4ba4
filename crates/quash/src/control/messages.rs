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

/// Returns the reason for a refusal, in words.
pub(crate) fn refusal(refusal: Refusal) -> String {
    match refusal {
        Refusal::TokenInvalid(invalid) => invalid.to_string(),
        Refusal::TokenExpired => "expired".into(),
        Refusal::TokenWithoutExp => "without an exp claim".into(),
        Refusal::TokenWithoutId => "without an id".into(),
        Refusal::TokenWithoutType => "without a type".into(),
        Refusal::TokenOfWrongType => "of another type".into(),
        Refusal::TokenWithoutUser => "without an account".into(),
        Refusal::TokenRevoked(reason) => {
            format!("revoked ({})", reason.map_or("no reason is recorded", |reason| reason.as_str()))
        }
        Refusal::BadCredentials => "wrong name or password".into(),
        Refusal::EmailNotVerified => "an unconfirmed address".into(),
        Refusal::NoActiveAccount => "no active account".into(),
        Refusal::TokenWithoutRefreshExp => "without the time until which it can be exchanged".into(),
        Refusal::TokenRefreshExpired => "past the time until which it can be exchanged".into(),
        Refusal::AccountNotFound => "of an account that doesn't exist".into(),
        Refusal::AccountInactive => "of an account that is deactivated".into(),
        Refusal::PasswordChanged => "from before a change of the password".into(),
        Refusal::TokensOfTwoAccounts => "tokens of two accounts".into(),
        Refusal::PasswordChangeRequired => "a password that must be changed first".into(),
        Refusal::WrongPassword => "a wrong password".into(),
        Refusal::SessionNotFound => "no such session".into(),
        Refusal::SessionRequired => "without a session of this quash".into(),
        Refusal::NameRefused(fault) => format!("a name that {fault}"),
        Refusal::NameTaken => "a name that another account has".into(),
        Refusal::ChangeNotAllowed => "a change that users may not make".into(),
        Refusal::PasswordRefused(fault) => format!("a new password that {fault}"),
        Refusal::RegistrationTaken => "a registration whose name or address another account has taken".into(),
        Refusal::LinkInvalid => "an invalid link or code".into(),
    }
}

/// Describes a temporary failure.
pub(super) fn unavailable(unavailable: &Unavailable) -> CommandError {
    CommandError::new(Exit::Unavailable, unavailable.to_string())
        .hint("the change may or may not have been made: check, and try again")
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
        ChangeFault::Already(_) | ChangeFault::Taken => CommandError::new(Exit::Conflict, fault.to_string()),
        ChangeFault::Deactivated => CommandError::new(Exit::Conflict, fault.to_string())
            .hint("`quash account reactivate` lets it sign in again"),
        ChangeFault::Value(fault) => wrong_value(fault),
    }
}

fn wrong_value(fault: &ValueFault) -> CommandError {
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
