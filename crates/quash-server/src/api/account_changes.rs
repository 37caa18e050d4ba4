//! The changes that users make to their own accounts. `PATCH /v1/me`: `{"username","password"}`. `POST
//! /v1/me/password`: `{"current_password","new_password"}` returns new tokens. `POST /v1/me/deactivate` and
//! `DELETE /v1/me`: `{"password"}`. `POST /v1/password`, without a token:
//! `{"username","password","new_password"}`, for a temporary password.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{UserIdField, limits};
use quash_core::watch::Live;
use quash_service::Reauthentication;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{NewTokens, me, no_content, own_tokens};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body_error::BodyError;
use crate::request::client_info::Client;
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

pub(crate) async fn rename(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let mut fields = Fields::read_json(request).await?;
    let name = fields.text("username", Whitespace::Trimmed, usize::MAX);
    let password = secret(&mut fields, "password");
    fields.done_with_all()?;
    let renamed = state.service.rename_own(&live, &name, client.reproof(password)).await?;
    let answer = me::me_response(&renamed);
    Ok(match state.service.policy().tokens.names.user_id_field {
        // Tokens identify accounts by name, so all sessions have ended.
        UserIdField::Username => state.without_cookie(answer),
        _ => answer,
    })
}

pub(crate) async fn change_password(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let mut fields = Fields::read_json(request).await?;
    let (current, new) = (secret(&mut fields, "current_password"), secret(&mut fields, "new_password"));
    fields.done_with_all()?;
    let tokens = state.service.change_own_password(&live, client.reproof(current), new).await?;
    own_tokens(&state, tokens)
}

pub(crate) async fn change_one_time_password(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let mut fields = Fields::read_json(request).await?;
    let name = state.login_name(&mut fields);
    let (current, new) = (secret(&mut fields, "password"), secret(&mut fields, "new_password"));
    fields.done_with_all()?;
    state.service.change_one_time_password(&name, client.reproof(current), new).await?;
    Ok(no_content())
}

pub(crate) async fn deactivate(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let password = password_alone(request).await?;
    state.service.deactivate_own(&live, client.reproof(password)).await?;
    Ok(state.without_cookie(no_content()))
}

pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let password = password_alone(request).await?;
    state.service.delete_own(&live, client.reproof(password)).await?;
    Ok(state.without_cookie(no_content()))
}

async fn password_alone(request: Request) -> Result<Zeroizing<String>, BodyError> {
    let mut fields = Fields::read_json(request).await?;
    let password = secret(&mut fields, "password");
    fields.done_with_all().map(|()| password)
}

/// A password, exactly as sent.
fn secret(fields: &mut Fields, name: &'static str) -> Zeroizing<String> {
    Zeroizing::new(fields.text(name, Whitespace::AsSent, limits::PASSWORD_CHARS))
}

impl Client {
    pub(crate) fn reproof(self, password: Zeroizing<String>) -> Reauthentication {
        Reauthentication { password, network: self.network, device_token: self.device_token }
    }
}

/// A new name, and the password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
struct Rename {
    #[schema(min_length = 1)]
    username: String,
    #[schema(min_length = 1, format = Password, max_length = 1024)]
    password: String,
}

/// The password and a new one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
struct PasswordChange {
    #[schema(min_length = 1, format = Password, max_length = 1024)]
    current_password: String,
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    new_password: String,
}

/// The account's password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
struct OwnPassword {
    #[schema(min_length = 1, format = Password, max_length = 1024)]
    password: String,
}

/// A temporary password, and the one that replaces it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
struct OneTimePassword {
    #[schema(min_length = 1)]
    username: String,
    #[schema(min_length = 1, format = Password, max_length = 1024)]
    password: String,
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    new_password: String,
}

pub(crate) fn describe_rename() -> Operation {
    Operation::new(Tag::Account, "renameOwnAccount", "Renames the account")
        .exact_json_body::<Rename>()
        .answers::<me::MeSeen<'_>>(StatusCode::OK, "The account with its new name.")
        .refuses(&[Code::NameTaken, Code::ChangeNotAllowed])
        .refuses(&PASSWORD_CODES)
}

pub(crate) fn describe_change_password() -> Operation {
    Operation::new(Tag::Account, "changeOwnPassword", "Changes the password: all other sessions end")
        .exact_json_body::<PasswordChange>()
        .answers::<NewTokens>(StatusCode::OK, "New tokens for this session; its previous ones are revoked.")
        .refuses(&[Code::PasswordRefused, Code::SessionRequired, Code::NoSigningKey])
        .refuses(&PASSWORD_CODES)
}

pub(crate) fn describe_change_one_time_password() -> Operation {
    Operation::new(Tag::Account, "replaceOneTimePassword", "Replaces a temporary password")
        .exact_json_body::<OneTimePassword>()
        .answers_empty("The account has the new password.")
        .refuses(&[Code::BadCredentials, Code::PasswordRefused, Code::Throttled])
}

pub(crate) fn describe_deactivate() -> Operation {
    Operation::new(Tag::Account, "deactivateOwnAccount", "Deactivates the account: all sessions end")
        .exact_json_body::<OwnPassword>()
        .answers_empty("The account is deactivated.")
        .refuses(&PASSWORD_CODES)
}

pub(crate) fn describe_delete() -> Operation {
    Operation::new(Tag::Account, "deleteOwnAccount", "Deletes the account with its sessions")
        .exact_json_body::<OwnPassword>()
        .answers_empty("The account is deleted.")
        .refuses(&PASSWORD_CODES)
}

/// The refusals of a password that confirms a change.
const PASSWORD_CODES: [Code; 2] = [Code::WrongPassword, Code::Throttled];
