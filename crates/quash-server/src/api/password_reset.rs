//! `POST /v1/password-reset`: requests the password-reset mail. `POST /v1/password-reset/confirm`: sets the
//! new password.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::limits;
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::Empty;
use super::mail_requests::{FlowStarted, Proof, Recipient, asked, confirmed, mail_recipient, proof, read};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::client_info::Client;
use crate::request::fields::Whitespace;
use crate::state::AppState;

pub(crate) async fn request(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let recipient = read(request, mail_recipient).await?;
    Ok(asked(state.service.request_reset(&recipient, client.network).await?))
}

pub(crate) async fn confirm(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let body = read(request, |fields| {
        (
            proof(fields, client.network),
            Zeroizing::new(fields.text("new_password", Whitespace::AsSent, limits::PASSWORD_CHARS)),
        )
    });
    let (proof, password) = body.await?;
    state.service.confirm_reset(&proof, password, client.network).await?;
    Ok(confirmed())
}

/// A proof that the mail was read, and the new password.
#[derive(Serialize, ToSchema)]
struct PasswordReset {
    #[serde(flatten)]
    proof: Proof,
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    new_password: String,
}

pub(crate) fn describe_request() -> Operation {
    Operation::new(Tag::Mail, "requestPasswordReset", "Requests the mail that resets a password")
        .text("The response is the same if there is no such account.")
        .fields::<Recipient>()
        .answers::<FlowStarted>(StatusCode::ACCEPTED, "The request is accepted.")
        .refuses(&[Code::Throttled])
}

pub(crate) fn describe_confirm() -> Operation {
    Operation::new(Tag::Mail, "resetPassword", "Resets a password: all sessions end")
        .fields::<PasswordReset>()
        .answers::<Empty>(StatusCode::OK, "The account has the new password.")
        .refuses(&[Code::LinkNotValid, Code::PasswordRefused, Code::Throttled])
}
