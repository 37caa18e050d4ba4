//! Changes of an account by an operator: calls the use case for each change.

use std::time::Duration;

use quash_core::decide::ChangeAuthor;
use quash_core::model::{Actor, Note};
use quash_service::{Address, Changed, OneTimePassword, Service};

use super::lookup::{self, account};
use super::replies::{AccountShown, ChangedShown, TemporaryPasswordShown};
use super::{AccountChange, AccountSelector, Reply, Secret, messages};
use crate::error::{CommandError, Exit};
use crate::moment::Moment;

/// Changes an account.
///
/// # Errors
/// The account doesn't exist, or the change is refused.
pub(super) async fn change(
    service: &Service,
    which: &AccountSelector,
    change: AccountChange,
    reason: Option<String>,
    author: Option<String>,
) -> Result<Reply, CommandError> {
    let by = ChangeAuthor { actor: Actor::Operator, note: note(reason, author)? };
    let account = account(service, which).await?;
    let subject = account.subject.clone();
    let before = lookup::live_sessions(service, &subject).await?;
    let changed = match change {
        AccountChange::Deactivate => service.deactivate(&subject, by).await,
        AccountChange::Reactivate => service.reactivate(&subject, by).await,
        AccountChange::Lock { for_ms } => service.lock(&subject, Duration::from_millis(for_ms), by).await,
        AccountChange::Unlock => service.unlock(&subject, by).await,
        AccountChange::Rename { name } => service.rename(&subject, &name, by).await,
        AccountChange::Email { email, verified } => {
            let address = if verified { Address::Confirmed } else { Address::Unconfirmed };
            service.set_email(&subject, &email, address, by).await
        }
        AccountChange::Password { password } => service.set_password(&subject, password.into_new(), by).await,
        AccountChange::Claims { claims } => service.set_claims(&subject, &claims, by).await,
        AccountChange::RequireReset => service.require_reset(&subject, by).await,
        AccountChange::OneTimePassword => {
            let given = service.give_one_time_password(&subject, by).await;
            let (changed, OneTimePassword { password, until }) =
                given.map_err(|fault| messages::not_changed(&fault))?;
            let (password, until) = (Secret::new(password), Moment(until));
            return Ok(Reply::OneTimePassword(TemporaryPasswordShown {
                changed: changed_account(service, &changed, before).await?,
                password,
                until,
            }));
        }
        AccountChange::Delete => {
            let ended = service.delete(&subject, by).await.map_err(|fault| messages::not_changed(&fault))?;
            return lookup::shown_end_of(service, &account, before, ended).await.map(Reply::Ended);
        }
    };
    let changed = changed.map_err(|fault| messages::not_changed(&fault))?;
    let changed = changed_account(service, &changed, before).await?;
    Ok(Reply::Changed(Box::new(changed)))
}

/// Describes a changed account. `before` is the number of its live sessions before the change.
async fn changed_account(
    service: &Service,
    changed: &Changed,
    before: u64,
) -> Result<ChangedShown, CommandError> {
    let now = service.now();
    let left = lookup::live_sessions(service, &changed.account.subject).await.map_err(messages::made)?;
    Ok(ChangedShown {
        account: AccountShown::new(&changed.account, now),
        seq: changed.seq.map(|seq| seq.as_u64()),
        effective_at: changed.seq.map(|_| Moment(now)),
        ended_sessions: before.saturating_sub(left),
    })
}

/// Checks the reason again: a client may write to the socket without the command's own check.
pub(super) fn note(reason: Option<String>, author: Option<String>) -> Result<Option<Note>, CommandError> {
    let text = reason
        .map(|text| reason_of(&text))
        .transpose()
        .map_err(|fault| CommandError::new(Exit::Usage, format!("the reason {fault}")))?;
    Ok(Some(Note { author, text }).filter(|note| *note != Note::default()))
}

/// Checks a reason that an operator gives.
///
/// # Errors
/// It is empty, too long, or has more than one line.
pub(crate) fn reason_of(text: &str) -> Result<String, String> {
    Note::checked(text).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use quash_core::model::limits;

    use super::*;

    #[test]
    fn reasons_have_a_length_limit() {
        assert_eq!(reason_of(" left the firm ").as_deref(), Ok("left the firm"));
        assert!(reason_of(&"é".repeat(limits::NOTE_CHARS)).is_ok());
        for none in ["", "  ", "a\nb", "a\u{1b}[2Jb", &"é".repeat(limits::NOTE_CHARS + 1)] {
            assert!(reason_of(none).is_err(), "{none:?}");
        }
    }
}
