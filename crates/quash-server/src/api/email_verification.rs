//! `POST /v1/email-verification`: requests the verification mail again. `POST
//! /v1/email-verification/confirm`: confirms the address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::mail_requests::{confirmation_response, mail_recipient, mail_request_response, proof, read};
use crate::request::client_info::Client;
use crate::state::AppState;

pub(crate) async fn request(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    match read(request, mail_recipient).await {
        Ok(mail_recipient) => mail_request_response(
            &state,
            state.service.request_verification(&mail_recipient, client.network).await,
        ),
        Err(fault) => state.problem(fault),
    }
}

pub(crate) async fn confirm(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    match read(request, |fields| proof(fields, client.network)).await {
        Ok(proof) => confirmation_response(&state, state.service.confirm_verification(&proof).await),
        Err(fault) => state.problem(fault),
    }
}
