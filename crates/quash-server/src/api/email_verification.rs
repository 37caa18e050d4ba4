//! `POST /v1/email-verification`: requests the verification mail again. `POST
//! /v1/email-verification/confirm`: confirms the address.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use super::Empty;
use super::mail_requests::{FlowStarted, Proof, Recipient, asked, confirmed, mail_recipient, proof, read};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
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

pub(crate) fn describe_request() -> Operation {
    Operation::new(Tag::Mail, "requestVerification", "Requests the mail that confirms an address")
        .text("The response is the same if there is no such account.")
        .fields::<Recipient>()
        .answers::<FlowStarted>(StatusCode::ACCEPTED, "The request is accepted.")
        .refuses(&[Code::Throttled])
}

pub(crate) fn describe_confirm() -> Operation {
    Operation::new(Tag::Mail, "verifyEmail", "Confirms an address, and completes a registration")
        .fields::<Proof>()
        .answers::<Empty>(StatusCode::OK, "The address is confirmed.")
        .refuses(&[Code::LinkNotValid, Code::RegistrationTaken, Code::Throttled])
}
