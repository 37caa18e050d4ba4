//! What requests of all kinds need: the account that is meant, whether there is a next page, what was ended, and what a
//! failure is in words.

use quash_core::model::{Account, limits};
use quash_service::{Ended, Failure, Service};

use super::shown::EndedShown;
use super::words;
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// The account of a name or a subject.
pub(super) async fn account(service: &Service, name: &str) -> Result<Account, CommandError> {
    let found = service.account(name).await.map_err(|failure| failed(&failure))?;
    found
        .ok_or_else(|| CommandError::new(Exit::NotFound, format!("there is no account \"{name}\"")).hint("`quash account list` shows them"))
}

/// The service answers once its own guard knows: that is the moment from which on it refuses.
pub(super) fn shown_end(service: &Service, scope: &str, target: Option<String>, ended: Ended) -> EndedShown {
    let seq = ended.seq.map(|seq| seq.as_u64());
    EndedShown { scope: scope.into(), target, seq, effective_at: Moment(service.now()) }
}

/// Whether a page is full, so that there may be a next one.
pub(super) fn is_full(length: usize, limit: u32) -> bool {
    u32::try_from(length).is_ok_and(|length| length > 0 && length >= limit.min(limits::PAGE))
}

/// A failure, in words for the operator.
pub(super) fn failed(failure: &Failure) -> CommandError {
    match failure {
        Failure::Unavailable(fault) => words::unavailable(fault),
        Failure::Refused(refusal) => CommandError::failure(words::refusal(*refusal)),
    }
}
