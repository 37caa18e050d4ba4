//! `POST /v1/email-verification`: requests the verification mail again. `POST
//! /v1/email-verification/confirm`: confirms the address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::mail_requests::{asked, confirmed, mail_recipient, proof, read};
use crate::error::http_error::HttpError;
use crate::request::client_info::Client;
use crate::state::AppState;

pub(crate) async fn request(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let recipient = read(request, mail_recipient).await?;
    Ok(asked(state.service.request_verification(&recipient, client.network).await?))
}

pub(crate) async fn confirm(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let proof = read(request, |fields| proof(fields, client.network)).await?;
    state.service.confirm_verification(&proof).await?;
    Ok(confirmed())
}
