//! `POST /v1/registration`: `{"username","email","password"}`, where the settings enable registration. Other
//! members are ignored: users don't choose their own permissions.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::{NameFault, Refusal, limits};
use quash_service::{Failure, NewRegistration, RegisterFault};
use serde_json::{Map, json as value};
use zeroize::Zeroizing;

use super::mailed::asked;
use crate::body::{BodyFault, Fields, Take};
use crate::client::Client;
use crate::door::Door;
use crate::error::Fault;

pub(crate) async fn register(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    let new = match registration(client, request).await {
        Ok(new) => new,
        Err(fault) => return door.problem(fault),
    };
    let fault = match door.service.register(new).await {
        Ok(flow) => return asked(flow),
        Err(RegisterFault::Fields { name, email }) => of_fields([("username", name), ("email", email)]),
        Err(RegisterFault::Password(fault)) => door.fault(&Failure::Refused(Refusal::PasswordRefused(fault))),
        Err(RegisterFault::Failed(failure)) => door.fault(&failure),
    };
    fault.into_problem(&door.settings)
}

/// The refusal for an invalid name or address.
pub(crate) fn of_fields<const N: usize>(faults: [(&'static str, Option<NameFault>); N]) -> Fault {
    let told = faults.into_iter().filter_map(|(field, fault)| {
        fault.map(|fault| (field.to_owned(), value!([format!("This {fault}.")])))
    });
    Fault::of_fields(told.collect::<Map<_, _>>().into())
}

async fn registration(client: Client, request: Request) -> Result<NewRegistration, BodyFault> {
    let mut fields = Fields::read(request).await?;
    let name = fields.text("username", Take::Trimmed, usize::MAX);
    let email = fields.text("email", Take::Trimmed, usize::MAX);
    let password = Zeroizing::new(fields.text("password", Take::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| NewRegistration { name, email, password, network: client.network })
}
