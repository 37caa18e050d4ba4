//! `POST /v1/me/email`: `{"email","password"}` requests a change of address. `POST /v1/me/email/confirm`:
//! sets the new address once it is confirmed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::limits;
use quash_core::watch::Live;
use zeroize::Zeroizing;

use super::mail_requests::{asked, confirmed, proof, read};
use super::registration::of_fields;
use crate::error::http_error::HttpError;
use crate::request::client_info::Client;
use crate::request::fields::Whitespace;
use crate::state::AppState;

pub(crate) async fn request(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let body = read(request, |fields| {
        let email = fields.text("email", Whitespace::Trimmed, usize::MAX);
        (email, Zeroizing::new(fields.text("password", Whitespace::AsSent, limits::PASSWORD_CHARS)))
    });
    let (email, password) = body.await?;
    match state.service.request_email_change(&live, &email, client.reproof(password)).await? {
        Ok(flow) => Ok(asked(flow)),
        Err(fault) => Err(of_fields([("email", Some(fault))])),
    }
}

pub(crate) async fn confirm(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let proof = read(request, |fields| proof(fields, client.network)).await?;
    state.service.confirm_email_change(&proof, Some(&live)).await?;
    // All sessions of the account have ended.
    Ok(state.without_cookie(confirmed()))
}
