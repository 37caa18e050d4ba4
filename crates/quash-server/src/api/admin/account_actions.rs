//! Actions on an account: `POST /admin/v1/accounts/{subject}/` and `lock`, `unlock`, `deactivate`, `reactivate`,
//! `require-reset` or `temporary-password`; and `DELETE /admin/v1/accounts/{subject}`. The commands
//! `quash account …` do the same.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use quash_core::decide::ChangeAuthor;
use quash_core::model::{Actor, Client, Note, Subject};
use quash_service::{AccountToChange, ChangeFault, Changed, OneTimePassword, rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::AccountDetails;
use super::subject_of;
use crate::api::accounts::{field_of, sentence, unknown, version_differs};
use crate::api::no_content;
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::account_tag::{self, describe_condition, describe_tag, tagged};
use crate::request::body::WholeRequest;
use crate::request::items::parse;
use crate::response::json;
use crate::state::AppState;

/// The longest lock, as for the command.
const LONGEST_LOCK: Duration = Duration::from_secs(3653 * 24 * 3600);

/// What an operator may write about an action.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountAction)]
struct Body {
    /// The reason, for the audit: one line of at most 256 characters.
    #[serde(default)]
    note: Option<String>,
}

/// A lock.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountLock)]
struct Lock {
    /// How long it lasts.
    #[schema(minimum = 1, maximum = 315_619_200)]
    seconds: u64,
    /// The reason, for the audit: one line of at most 256 characters.
    #[serde(default)]
    note: Option<String>,
}

/// The account after an action.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangedAccount)]
struct ChangedShown<'a> {
    account: AccountDetails<'a>,
    /// The number of the log entry, if the action ended anything.
    #[schema(required = true)]
    seq: Option<u64>,
}

/// The account, and its temporary password.
#[derive(Serialize, ToSchema)]
struct TemporaryPassword<'a> {
    account: AccountDetails<'a>,
    #[schema(required = true)]
    seq: Option<u64>,
    /// Shown this once. It must be changed at first use.
    password: &'a str,
    #[schema(format = DateTime)]
    until: String,
}

/// Who acts on which account, and why.
pub(crate) struct Requested {
    subject: Subject,
    /// The versions of which the account must have one.
    versions: Option<Vec<u64>>,
    by: ChangeAuthor,
}

pub(crate) async fn lock(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    subject: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, HttpError> {
    let versions = account_tag::versions(request.headers());
    let body = WholeRequest::read(request).await?.into_json_text()?;
    let Lock { seconds, note } = parse(&body, "`seconds`")?;
    let span = Duration::from_secs(seconds);
    if span.is_zero() || span > LONGEST_LOCK {
        return Err(HttpError::of_field("seconds", "Must be from 1 second to ten years."));
    }
    let requested = Requested::new(&client, subject, versions, note)?;
    changed(&state, state.service.lock(requested.account(), span, requested.by.clone()).await)
}

pub(crate) async fn unlock(
    State(state): State<Arc<AppState>>,
    requested: Requested,
) -> Result<Response, HttpError> {
    changed(&state, state.service.unlock(requested.account(), requested.by.clone()).await)
}

pub(crate) async fn deactivate(
    State(state): State<Arc<AppState>>,
    requested: Requested,
) -> Result<Response, HttpError> {
    changed(&state, state.service.deactivate(requested.account(), requested.by.clone()).await)
}

pub(crate) async fn reactivate(
    State(state): State<Arc<AppState>>,
    requested: Requested,
) -> Result<Response, HttpError> {
    changed(&state, state.service.reactivate(requested.account(), requested.by.clone()).await)
}

pub(crate) async fn require_reset(
    State(state): State<Arc<AppState>>,
    requested: Requested,
) -> Result<Response, HttpError> {
    changed(&state, state.service.require_reset(requested.account(), requested.by.clone()).await)
}

pub(crate) async fn temporary_password(
    State(state): State<Arc<AppState>>,
    requested: Requested,
) -> Result<Response, HttpError> {
    let given = state.service.give_one_time_password(requested.account(), requested.by.clone()).await;
    let (Changed { account, seq }, OneTimePassword { password, until }) = given.map_err(refused)?;
    let shown = TemporaryPassword {
        account: AccountDetails::of(&account, state.service.now()),
        seq: seq.map(|seq| seq.as_u64()),
        password: &password,
        until: rfc3339(until),
    };
    Ok(tagged(json(StatusCode::OK, &shown), &account))
}

pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    Extension(client): Extension<Client>,
    subject: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let requested = Requested::new(&client, subject, account_tag::versions(&headers), None)?;
    state.service.delete(requested.account(), requested.by.clone()).await.map_err(refused)?;
    Ok(no_content())
}

/// Deletes the account whose subject is `batch`.
pub(crate) async fn delete_batch(
    state: State<Arc<AppState>>,
    client: Extension<Client>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    delete(state, client, Ok(Path("batch".to_owned())), headers).await
}

impl FromRequest<Arc<AppState>> for Requested {
    type Rejection = HttpError;

    /// Reads the subject in the path, `If-Match`, and a body that is empty or has a note.
    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self, HttpError> {
        let (mut parts, body) = request.into_parts();
        let client = Extension::<Client>::from_request_parts(&mut parts, state).await;
        let Extension(client) = client.map_err(|error| HttpError::internal(error.to_string()))?;
        let subject = Path::from_request_parts(&mut parts, state).await;
        let versions = account_tag::versions(&parts.headers);
        let body = WholeRequest::read(Request::from_parts(parts, body)).await?.into_json_text()?;
        let Body { note } =
            if body.is_empty() { Body::default() } else { parse(&body, "an object with `note`, or none")? };
        Self::new(&client, subject, versions, note)
    }
}

impl Requested {
    fn new(
        client: &Client,
        subject: Result<Path<String>, PathRejection>,
        versions: Option<Vec<u64>>,
        note: Option<String>,
    ) -> Result<Self, HttpError> {
        let note = note.map(|text| Note::checked(&text)).transpose();
        let note = note.map_err(|fault| HttpError::of_field("note", &sentence(format!("it {fault}"))))?;
        let note = note.map(|text| Note { author: None, text: Some(text) });
        let by = ChangeAuthor { actor: Actor::Client(client.name.clone()), note };
        Ok(Self { subject: subject_of(subject)?, versions, by })
    }

    fn account(&self) -> AccountToChange<'_> {
        AccountToChange { subject: &self.subject, versions: self.versions.as_deref() }
    }
}

fn changed(state: &AppState, changed: Result<Changed, ChangeFault>) -> Result<Response, HttpError> {
    let Changed { account, seq } = changed.map_err(refused)?;
    let shown = ChangedShown {
        account: AccountDetails::of(&account, state.service.now()),
        seq: seq.map(|seq| seq.as_u64()),
    };
    Ok(tagged(json(StatusCode::OK, &shown), &account))
}

fn refused(fault: ChangeFault) -> HttpError {
    match fault {
        ChangeFault::Gone => unknown(),
        ChangeFault::Already(_) => {
            HttpError::new(Code::Conflict, "The account is in this state already. Nothing was changed.")
        }
        ChangeFault::Deactivated => {
            HttpError::new(Code::Conflict, "The account is deactivated. Reactivate it first.")
        }
        ChangeFault::VersionDiffers => version_differs(),
        ChangeFault::Taken => HttpError::new(Code::Conflict, "Another account has this value."),
        ChangeFault::Value(fault) => HttpError::of_field(field_of(&fault), &sentence(fault.to_string())),
        ChangeFault::Failed(failure) => failure.into(),
    }
}

fn action(id: &'static str, summary: &'static str) -> Operation {
    action_with::<ChangedShown<'_>>(id, summary, "The account after the action.")
}

fn action_with<T: ToSchema>(id: &'static str, summary: &'static str, answer: &'static str) -> Operation {
    let operation = Operation::new(Tag::Accounts, id, summary)
        .in_path("subject", "The account's subject.")
        .answers::<T>(StatusCode::OK, answer)
        .refuses(&[Code::NotFound, Code::Conflict]);
    describe_condition(describe_tag(operation, StatusCode::OK))
}

pub(crate) fn describe_lock() -> Operation {
    action("lockAccount", "Locks an account for a time, and ends its sessions").json_body::<Lock>()
}

pub(crate) fn describe_unlock() -> Operation {
    action("unlockAccount", "Unlocks an account").optional_json_body::<Body>()
}

pub(crate) fn describe_deactivate() -> Operation {
    action("deactivateAccount", "Forbids an account to sign in, and ends its sessions")
        .optional_json_body::<Body>()
}

pub(crate) fn describe_reactivate() -> Operation {
    action("reactivateAccount", "Lets a deactivated account sign in again").optional_json_body::<Body>()
}

pub(crate) fn describe_require_reset() -> Operation {
    action("requirePasswordReset", "Removes an account's password, and ends its sessions")
        .optional_json_body::<Body>()
}

pub(crate) fn describe_temporary_password() -> Operation {
    let summary = "Sets a random password that must be changed at first use, and ends the account's sessions";
    let answer = "The account, and its new password.";
    action_with::<TemporaryPassword<'_>>("setTemporaryPassword", summary, answer).optional_json_body::<Body>()
}

pub(crate) fn describe_delete() -> Operation {
    deletion("deleteAccount").in_path("subject", "The account's subject.")
}

pub(crate) fn describe_delete_batch() -> Operation {
    deletion("deleteAccountNamedBatch")
}

fn deletion(id: &'static str) -> Operation {
    let operation = Operation::new(Tag::Accounts, id, "Deletes an account with its sessions")
        .text("Its subject is never used again.")
        .answers_empty("The account is deleted.")
        .refuses(&[Code::NotFound, Code::Conflict]);
    describe_condition(operation)
}
