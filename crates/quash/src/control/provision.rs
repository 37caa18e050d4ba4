//! Accounts that an import adds and changes, and the tokens that it revokes.

use quash_core::decide::{ChangeAuthor, NameRevocation, RevokedName};
use quash_core::model::{Actor, Timestamp, limits};
use quash_service::{
    Accepted, AccountRecord, Ended, NewState, Outcome, ProvisionFault, Run, Service, ValueFault,
};
use serde::{Deserialize, Serialize};

use super::lookup::{failed, shown_end};
use super::replies::EndedShown;
use super::{Secret, account_changes, messages};
use crate::error::CommandError;

/// An account as the source of an import has it. Values that are left out are empty, except that absent claims don't
/// change.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvisionAccount {
    pub(crate) subject: String,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) verified: bool,
    /// The password's hash, as Django writes it.
    pub(crate) password: Option<Secret>,
    pub(crate) deactivated: bool,
    /// A JSON object.
    pub(crate) claims: Option<String>,
    pub(crate) last_login_ms: Option<i64>,
}

/// A token of another issuer to revoke.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeToken {
    /// Its own id.
    pub(crate) name: String,
    pub(crate) expires_ms: Option<i64>,
}

/// The result for one account.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProvisionedShown {
    Created {
        warning: Option<String>,
    },
    Changed {
        warning: Option<String>,
    },
    Unchanged {
        warning: Option<String>,
    },
    Refused {
        reason: String,
        /// Whether the format of the password's hash isn't supported.
        is_hash: bool,
    },
}

/// Adds and changes accounts. `author` is the system user that runs the command.
///
/// # Errors
/// The store is unavailable.
pub(super) async fn accounts(
    service: &Service,
    accounts: Vec<ProvisionAccount>,
    dry_run: bool,
    author: Option<String>,
) -> Result<Vec<ProvisionedShown>, CommandError> {
    let by = ChangeAuthor { actor: Actor::Operator, note: account_changes::note(None, author)? };
    let records = accounts.into_iter().map(record).collect();
    let run = if dry_run { Run::Dry } else { Run::Write };
    let outcomes = service.provision_by(&by, records, run).await.map_err(|failure| failed(&failure))?;
    Ok(outcomes.into_iter().map(shown).collect())
}

/// Revokes tokens in a namespace.
///
/// # Errors
/// There is no such namespace, or the store is unavailable.
pub(super) async fn revoke_tokens(
    service: &Service,
    namespace: &str,
    tokens: Vec<RevokeToken>,
) -> Result<EndedShown, CommandError> {
    let found = service.namespace(namespace).ok_or_else(|| messages::no_namespace(namespace))?;
    let named =
        tokens.into_iter().filter(|token| (1..=limits::REVOKED_NAME_BYTES).contains(&token.name.len()));
    let items: Vec<_> = named
        .map(|RevokeToken { name, expires_ms }| NameRevocation {
            expires_at: expires_ms.map(Timestamp::from_millis),
            ..NameRevocation::now(RevokedName::Token(name))
        })
        .collect();
    let revoked = service.revoke_names_by(Actor::Operator, found, &items).await;
    let revoked = revoked.map_err(|failure| messages::not_ended("token", &failure))?;
    Ok(shown_end(service, "token", None, Ended { seq: Some(revoked.seq) }))
}

fn record(account: ProvisionAccount) -> (String, AccountRecord) {
    let ProvisionAccount { subject, username, email, verified, password, deactivated, claims, last_login_ms } =
        account;
    let record = AccountRecord {
        username: Some(username),
        email_verified: email.is_some().then_some(verified),
        email: Some(email),
        password_hash: Some(password.map(Secret::into_text)),
        state: Some(if deactivated { NewState::Deactivated } else { NewState::Active }),
        claims,
        last_login_at: last_login_ms.map(Timestamp::from_millis),
        ..AccountRecord::default()
    };
    (subject, record)
}

fn shown(outcome: Result<Accepted, ProvisionFault>) -> ProvisionedShown {
    match outcome {
        Ok(Accepted { outcome, warning }) => {
            let warning = warning.map(|warning| warning.to_string());
            match outcome {
                Outcome::Created => ProvisionedShown::Created { warning },
                Outcome::Changed => ProvisionedShown::Changed { warning },
                Outcome::Unchanged => ProvisionedShown::Unchanged { warning },
            }
        }
        Err(fault) => {
            let is_hash = matches!(fault, ProvisionFault::Value(ValueFault::PasswordHash(_)));
            let reason = match &fault {
                ProvisionFault::Value(value) => messages::wrong_value(value),
                fault => CommandError::failure(fault.to_string()),
            };
            let hint = reason.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            ProvisionedShown::Refused { reason: format!("{}{hint}", reason.message), is_hash }
        }
    }
}
