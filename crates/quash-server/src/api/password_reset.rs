//! `POST /v1/password-reset`: requests the password-reset mail. `POST /v1/password-reset/confirm`: sets the
//! new password.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::limits;
use zeroize::Zeroizing;

use super::mail_requests::{confirmation_response, mail_recipient, mail_request_response, proof, read};
use crate::request::client_info::Client;
use crate::request::fields::Whitespace;
use crate::state::AppState;

pub(crate) async fn request(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    match read(request, mail_recipient).await {
        Ok(mail_recipient) => {
            mail_request_response(&state, state.service.request_reset(&mail_recipient, client.network).await)
        }
        Err(fault) => state.problem(fault),
    }
}

pub(crate) async fn confirm(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    let body = read(request, |fields| {
        (
            proof(fields, client.network),
            Zeroizing::new(fields.text("new_password", Whitespace::AsSent, limits::PASSWORD_CHARS)),
        )
    });
    match body.await {
        Ok((proof, password)) => {
            confirmation_response(&state, state.service.confirm_reset(&proof, password, client.network).await)
        }
        Err(fault) => state.problem(fault),
    }
}
