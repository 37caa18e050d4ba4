//! The admin API, for tools of operators. `routes/admin.rs`
//! declares the right that each operation needs.

pub(crate) mod account_actions;

pub(crate) mod accounts;

pub(crate) mod audit;

mod client_shapes;

pub(crate) mod clients;

pub(crate) mod doctor;

pub(crate) mod keys;

pub(crate) mod revocations;

pub(crate) mod sessions;

pub(crate) mod status;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use quash_core::model::{Account, AccountBy, Subject};

use super::accounts::unknown;
use crate::error::http_error::HttpError;
use crate::request::items::ItemError;
use crate::state::AppState;

/// A path's subject. A text that can't be one is no account's.
fn subject_of(path: Result<Path<String>, PathRejection>) -> Result<Subject, HttpError> {
    path.ok().and_then(|Path(subject)| Subject::parse(&subject).ok()).ok_or_else(unknown)
}

async fn account_of(state: &AppState, subject: &Subject) -> Result<Account, HttpError> {
    let found = state.service.account_by(&AccountBy::Subject(subject.clone())).await?;
    found.ok_or_else(unknown)
}

fn wrong(error: &ItemError) -> HttpError {
    HttpError::of_field(error.member, &error.text)
}
