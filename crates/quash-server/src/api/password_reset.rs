//! `POST /v1/password-reset`: requests the password-reset mail. `POST /v1/password-reset/confirm`: sets the
//! new password.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::limits;
use zeroize::Zeroizing;

use super::mail_requests::{asked, confirmed, mail_recipient, proof, read};
use crate::error::http_error::HttpError;
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
