//! `GET /reset?token=…`: shows a form for a new password. `POST /reset`: sets it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{Purpose, Refusal, limits};
use quash_service::{Failure, MailProof};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{describe_link, message, page, token_in};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body_error::BodyError;
use crate::request::client_info::Client;
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "reset.html")]
struct ResetPage<'a> {
    token: &'a str,
    error: Option<&'a str>,
    least: usize,
}

/// Shows the form. Doesn't use the link up.
pub(crate) async fn show(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let token = token_in(query.as_deref());
    state.service.check_link(&token, Purpose::Reset).await?;
    Ok(form(StatusCode::OK, &token, None))
}

/// Sets the password, or shows the form again with the error.
pub(crate) async fn send(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let mut fields = Fields::read(request).await?;
    let token = fields.text("token", Whitespace::Trimmed, usize::MAX);
    let password = Zeroizing::new(fields.text("new_password", Whitespace::AsSent, limits::PASSWORD_CHARS));
    if let Err(BodyError::Fields(faults)) = fields.done() {
        return match faults.as_slice() {
            [(name, fault)] if name == "new_password" => {
                Ok(form(StatusCode::BAD_REQUEST, &token, Some(&fault.to_string())))
            }
            _ => Err(Refusal::LinkInvalid.into()),
        };
    }
    let proof = MailProof::Link(Zeroizing::new(token.clone()));
    match state.service.confirm_reset(&proof, password, client.network).await {
        Ok(()) => {
            let text = "Sign in with your new password. All devices that were signed in to your account have been signed out.";
            Ok(message(StatusCode::OK, "Your password has been changed", text))
        }
        Err(failure @ Failure::Refused(Refusal::PasswordRefused(_))) => {
            let shown = state.presentation(&failure.into());
            Ok(form(shown.status(), &token, Some(shown.detail())))
        }
        Err(failure) => Err(failure.into()),
    }
}

fn form(status: StatusCode, token: &str, error: Option<&str>) -> Response {
    page(status, &ResetPage { token, error, least: limits::PASSWORD_MIN_CHARS })
}

/// The token of a link, and the new password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form whose fields are read one by one")]
struct ResetForm {
    #[schema(min_length = 1)]
    token: String,
    #[schema(min_length = 1, format = Password, max_length = 1024)]
    new_password: String,
}

pub(crate) fn describe_show() -> Operation {
    describe_link("showPasswordReset", "Shows the form that resets a password")
}

pub(crate) fn describe_send() -> Operation {
    Operation::new(Tag::Pages, "sendPasswordReset", "Resets a password: all sessions end")
        .fields::<ResetForm>()
        .answers_page("The account has the new password.")
        .refuses(&[Code::LinkNotValid, Code::PasswordRefused, Code::Throttled])
}
