//! `POST /v1/registration`: `{"username","email","password"}`, where the settings enable registration. Other
//! members are ignored: users don't choose their own permissions.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{NameFault, Refusal, limits};
use quash_service::{NewRegistration, RegisterFault};
use serde_json::json as value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::mail_requests::{FlowStarted, asked};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body_error::BodyError;
use crate::request::client_info::Client;
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

pub(crate) async fn register(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let new = registration(client, request).await?;
    match state.service.register(new).await {
        Ok(flow) => Ok(asked(flow)),
        Err(RegisterFault::Fields { name, email }) => Err(of_fields([("username", name), ("email", email)])),
        Err(RegisterFault::Password(fault)) => Err(Refusal::PasswordRefused(fault).into()),
        Err(RegisterFault::Failed(failure)) => Err(failure.into()),
    }
}

/// The refusal for an invalid name or address.
pub(crate) fn of_fields<const N: usize>(faults: [(&'static str, Option<NameFault>); N]) -> HttpError {
    let told = faults.into_iter().filter_map(|(field, fault)| {
        fault.map(|fault| (field.to_owned(), value!([format!("This {fault}.")])))
    });
    HttpError::of_fields(told.collect())
}

async fn registration(client: Client, request: Request) -> Result<NewRegistration, BodyError> {
    let mut fields = Fields::read(request).await?;
    let name = fields.text("username", Whitespace::Trimmed, usize::MAX);
    let email = fields.text("email", Whitespace::Trimmed, usize::MAX);
    let password = Zeroizing::new(fields.text("password", Whitespace::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| NewRegistration { name, email, password, network: client.network })
}

/// A new account.
#[derive(ToSchema)]
#[schema(as = Registration)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
struct RegistrationBody {
    #[schema(min_length = 1, max_length = 150)]
    username: String,
    #[schema(min_length = 1, max_length = 254)]
    email: String,
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    password: String,
}

pub(crate) fn describe_register() -> Operation {
    Operation::new(Tag::Mail, "register", "Registers an account, which the mail completes")
        .text("The response is the same if the name or the address is taken. Only with the setting `registration.enabled`.")
        .fields::<RegistrationBody>()
        .answers::<FlowStarted>(StatusCode::ACCEPTED, "The request is accepted.")
        .refuses(&[Code::PasswordRefused, Code::Throttled])
}
