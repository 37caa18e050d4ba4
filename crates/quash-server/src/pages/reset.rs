//! `GET /reset?token=…`: shows a form for a new password. `POST /reset`: sets it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{Purpose, limits};
use quash_service::MailProof;
use zeroize::Zeroizing;

use super::{message, page, refused, token_in};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
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
pub(crate) async fn show(State(state): State<Arc<AppState>>, RawQuery(query): RawQuery) -> Response {
    let token = token_in(query.as_deref());
    match state.service.check_link(&token, Purpose::Reset).await {
        Ok(()) => form(StatusCode::OK, &token, None),
        Err(failure) => refused(&state.fault(&failure)),
    }
}

/// Sets the password, or shows the form again with the error.
pub(crate) async fn send(State(state): State<Arc<AppState>>, client: Client, request: Request) -> Response {
    let mut fields = match Fields::read(request).await {
        Ok(fields) => fields,
        Err(fault) => return refused(&fault.into()),
    };
    let token = fields.text("token", Whitespace::Trimmed, usize::MAX);
    let password = Zeroizing::new(fields.text("new_password", Whitespace::AsSent, limits::PASSWORD_CHARS));
    if let Err(BodyError::Fields(faults)) = fields.done() {
        return match faults.iter().find(|(name, _)| name == "new_password") {
            Some((_, fault)) if faults.len() == 1 => {
                form(StatusCode::BAD_REQUEST, &token, Some(&fault.to_string()))
            }
            _ => refused(&HttpError::of(
                &quash_core::model::Refusal::LinkInvalid.into(),
                &state.service.policy().tokens.names,
            )),
        };
    }
    match state
        .service
        .confirm_reset(&MailProof::Link(Zeroizing::new(token.clone())), password, client.network)
        .await
    {
        Ok(()) => {
            let text = "Sign in with your new password. All devices that were signed in to your account have been signed out.";
            message(StatusCode::OK, "Your password has been changed", text)
        }
        Err(failure) => match state.fault(&failure) {
            fault if fault.code() == Code::PasswordRefused => {
                form(fault.status(), &token, Some(fault.detail()))
            }
            fault => refused(&fault),
        },
    }
}

fn form(status: StatusCode, token: &str, error: Option<&str>) -> Response {
    page(status, &ResetPage { token, error, least: limits::PASSWORD_MIN_CHARS })
}
