//! `POST /v1/registration`: `{"username","email","password"}`, where the settings enable registration. Other
//! members are ignored: users don't choose their own permissions.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::{NameFault, Refusal, limits};
use quash_service::{Failure, NewRegistration, RegisterFault};
use serde_json::{Map, json as value};
use zeroize::Zeroizing;

use super::mail_requests::asked;
use crate::error::http_error::HttpError;
use crate::request::body_error::BodyError;
use crate::request::client_info::Client;
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

pub(crate) async fn register(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    let new = match registration(client, request).await {
        Ok(new) => new,
        Err(fault) => return state.problem(fault),
    };
    let fault = match state.service.register(new).await {
        Ok(flow) => return asked(flow),
        Err(RegisterFault::Fields { name, email }) => of_fields([("username", name), ("email", email)]),
        Err(RegisterFault::Password(fault)) => {
            state.fault(&Failure::Refused(Refusal::PasswordRefused(fault)))
        }
        Err(RegisterFault::Failed(failure)) => state.fault(&failure),
    };
    fault.into_problem_response(&state.settings)
}

/// The refusal for an invalid name or address.
pub(crate) fn of_fields<const N: usize>(faults: [(&'static str, Option<NameFault>); N]) -> HttpError {
    let told = faults.into_iter().filter_map(|(field, fault)| {
        fault.map(|fault| (field.to_owned(), value!([format!("This {fault}.")])))
    });
    HttpError::of_fields(told.collect::<Map<_, _>>().into())
}

async fn registration(client: Client, request: Request) -> Result<NewRegistration, BodyError> {
    let mut fields = Fields::read(request).await?;
    let name = fields.text("username", Whitespace::Trimmed, usize::MAX);
    let email = fields.text("email", Whitespace::Trimmed, usize::MAX);
    let password = Zeroizing::new(fields.text("password", Whitespace::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| NewRegistration { name, email, password, network: client.network })
}
