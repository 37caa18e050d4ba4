//! Helpers of all requests: finding accounts, paging, describing what was ended, and describing failures.

use quash_core::model::{Account, AccountBy, Subject, fold, limits};
use quash_service::{Ended, Failure, Service, SessionFilter};

use super::replies::EndedShown;
use super::{AccountSelector, messages};
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// Finds the account that an operator names.
///
/// # Errors
/// There is no such account, or a bare argument is the name of one account and the subject of another.
pub(super) async fn account(service: &Service, which: &AccountSelector) -> Result<Account, CommandError> {
    let found = match which {
        AccountSelector::Subject(subject) => by_subject(service, subject).await?,
        AccountSelector::Name(name) => find(service, &AccountBy::Name(fold(name))).await?,
        AccountSelector::Email(email) => find(service, &AccountBy::Email(fold(email))).await?,
        AccountSelector::Any(text) => {
            let (named, identified) =
                (find(service, &AccountBy::Name(fold(text))).await?, by_subject(service, text).await?);
            if let (Some(named), Some(identified)) = (&named, &identified)
                && named.subject != identified.subject
            {
                return Err(CommandError::new(
                    Exit::Usage,
                    format!("\"{text}\" is the name of one account and the subject of another"),
                )
                .hint(format!("choose one: --name {text} or --subject {text}")));
            }
            named.or(identified)
        }
    };
    found.ok_or_else(|| match which {
        AccountSelector::Email(email) => CommandError::new(
            Exit::NotFound,
            format!("no single account has the e-mail address \"{email}\""),
        )
        .hint("`quash account list` shows them; an unconfirmed address that several accounts share can't be used"),
        AccountSelector::Any(text) | AccountSelector::Subject(text) | AccountSelector::Name(text) => {
            CommandError::new(Exit::NotFound, format!("there is no account \"{text}\""))
                .hint("`quash account list` shows them")
        }
    })
}

/// Finds the account with a subject.
pub(super) async fn by_subject(service: &Service, text: &str) -> Result<Option<Account>, CommandError> {
    match Subject::parse(text) {
        Ok(subject) => find(service, &AccountBy::Subject(subject)).await,
        // An invalid subject belongs to no account.
        Err(_) => Ok(None),
    }
}

async fn find(service: &Service, by: &AccountBy) -> Result<Option<Account>, CommandError> {
    service.account_by(by).await.map_err(|failure| failed(&failure))
}

/// Describes what was ended. The service returns once its own guard is up to date, so that the current time
/// is when the server began to refuse.
pub(super) fn shown_end(service: &Service, scope: &str, target: Option<String>, ended: Ended) -> EndedShown {
    let seq = ended.seq.map(|seq| seq.as_u64());
    EndedShown {
        scope: scope.into(),
        target,
        seq,
        effective_at: Moment(service.now()),
        name: None,
        ended_sessions: None,
    }
}

/// Describes the end of an account's sessions, of which `before` were live.
pub(super) async fn shown_end_of(
    service: &Service,
    account: &Account,
    before: u64,
    ended: Ended,
) -> Result<EndedShown, CommandError> {
    let shown = shown_end(service, "account", Some(account.subject.to_string()), ended);
    let left = live_sessions(service, &account.subject).await.map_err(messages::made)?;
    Ok(EndedShown {
        name: Some(account.username.shown().to_owned()),
        ended_sessions: Some(before.saturating_sub(left)),
        ..shown
    })
}

/// Counts the live sessions of an account; 0 if there is no such account.
pub(super) async fn live_sessions(service: &Service, subject: &Subject) -> Result<u64, CommandError> {
    let Some(account) = find(service, &AccountBy::Subject(subject.clone())).await? else { return Ok(0) };
    let (mut count, mut after) = (0, None);
    loop {
        let seen = service
            .sessions(&account, SessionFilter::Live, after, limits::PAGE)
            .await
            .map_err(|failure| failed(&failure))?;
        count += seen.sessions.len() as u64;
        match seen.next {
            Some(next) if after != Some(next) => after = Some(next),
            _ => return Ok(count),
        }
    }
}

/// Returns whether a page is full, so that there may be a next one.
pub(super) fn is_full(length: usize, limit: u32) -> bool {
    u32::try_from(length).is_ok_and(|length| length > 0 && length >= limit.min(limits::PAGE))
}

/// Describes a failure for the operator.
pub(super) fn failed(failure: &Failure) -> CommandError {
    match failure {
        Failure::Unavailable(fault) => messages::unavailable(fault),
        Failure::Refused(refusal) => CommandError::failure(refusal.to_string()),
    }
}
