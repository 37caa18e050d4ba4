//! `POST /v1/me/email`: `{"email","password"}` requests a change of address. `POST /v1/me/email/confirm`:
//! sets the new address once it is confirmed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::limits;
use quash_core::watch::Live;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::Empty;
use super::mail_requests::{FlowStarted, Proof, asked, confirmed, proof, read};
use super::registration::of_fields;
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
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

/// A new address, and the password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
struct EmailChange {
    #[schema(min_length = 1, max_length = 254)]
    email: String,
    #[schema(min_length = 1, format = Password, max_length = 1024)]
    password: String,
}

pub(crate) fn describe_request() -> Operation {
    Operation::new(Tag::Account, "requestEmailChange", "Requests a change of the address")
        .fields::<EmailChange>()
        .answers::<FlowStarted>(StatusCode::ACCEPTED, "The request is accepted.")
        .refuses(&[Code::WrongPassword, Code::ChangeNotAllowed, Code::Throttled])
}

pub(crate) fn describe_confirm() -> Operation {
    Operation::new(Tag::Account, "confirmEmailChange", "Changes the address: all sessions end")
        .fields::<Proof>()
        .answers::<Empty>(StatusCode::OK, "The account has the new address.")
        .refuses(&[Code::LinkNotValid, Code::Throttled])
}
