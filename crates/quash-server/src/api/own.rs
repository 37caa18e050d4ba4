//! The changes that users make to their own accounts. `PATCH /v1/me`: `{"username","password"}`. `POST
//! /v1/me/password`: `{"current_password","new_password"}` returns new tokens. `POST /v1/me/deactivate` and
//! `DELETE /v1/me`: `{"password"}`. `POST /v1/password`, without a token:
//! `{"username","password","new_password"}`, for a temporary password.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::model::{UserIdField, limits};
use quash_core::watch::Live;
use quash_service::{Failure, Reproof};
use zeroize::Zeroizing;

use super::{me, nothing, own_tokens};
use crate::body::{BodyFault, Fields, Take};
use crate::client::Client;
use crate::door::Door;
use crate::error::Fault;

pub(crate) async fn rename(
    State(door): State<Arc<Door>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Response {
    let read = async {
        let mut fields = Fields::read_json(request).await?;
        let (name, password) =
            (fields.text("username", Take::Trimmed, usize::MAX), secret(&mut fields, "password"));
        fields.done_with_all().map(|()| (name, password))
    };
    let (name, password) = match read.await {
        Ok(read) => read,
        Err(fault) => return problem(&door, fault),
    };
    match door.service.rename_own(&live, &name, client.reproof(password)).await {
        // Tokens identify accounts by name, so all sessions have ended.
        Ok(renamed) if door.service.policy().tokens.names.user_id_field == UserIdField::Username => {
            door.without_cookie(me::shown(&renamed))
        }
        Ok(renamed) => me::shown(&renamed),
        Err(failure) => refused(&door, &failure),
    }
}

pub(crate) async fn change_password(
    State(door): State<Arc<Door>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Response {
    let read = async {
        let mut fields = Fields::read_json(request).await?;
        let (current, new) = (secret(&mut fields, "current_password"), secret(&mut fields, "new_password"));
        fields.done_with_all().map(|()| (current, new))
    };
    let (current, new) = match read.await {
        Ok(read) => read,
        Err(fault) => return problem(&door, fault),
    };
    match door.service.change_own_password(&live, client.reproof(current), new).await {
        Ok(tokens) => own_tokens(&door, tokens),
        Err(failure) => refused(&door, &failure),
    }
}

pub(crate) async fn change_one_time_password(
    State(door): State<Arc<Door>>,
    client: Client,
    request: Request,
) -> Response {
    let read = async {
        let mut fields = Fields::read_json(request).await?;
        let name = door.login_name(&mut fields);
        let (current, new) = (secret(&mut fields, "password"), secret(&mut fields, "new_password"));
        fields.done_with_all().map(|()| (name, current, new))
    };
    let (name, current, new) = match read.await {
        Ok(read) => read,
        Err(fault) => return problem(&door, fault),
    };
    match door.service.change_one_time_password(&name, client.reproof(current), new).await {
        Ok(()) => nothing(),
        Err(failure) => refused(&door, &failure),
    }
}

pub(crate) async fn deactivate(
    State(door): State<Arc<Door>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Response {
    let password = match password_alone(request).await {
        Ok(password) => password,
        Err(fault) => return problem(&door, fault),
    };
    match door.service.deactivate_own(&live, client.reproof(password)).await {
        Ok(()) => door.without_cookie(nothing()),
        Err(failure) => refused(&door, &failure),
    }
}

pub(crate) async fn delete(
    State(door): State<Arc<Door>>,
    Extension(live): Extension<Live>,
    client: Client,
    request: Request,
) -> Response {
    let password = match password_alone(request).await {
        Ok(password) => password,
        Err(fault) => return problem(&door, fault),
    };
    match door.service.delete_own(&live, client.reproof(password)).await {
        Ok(()) => door.without_cookie(nothing()),
        Err(failure) => refused(&door, &failure),
    }
}

async fn password_alone(request: Request) -> Result<Zeroizing<String>, BodyFault> {
    let mut fields = Fields::read_json(request).await?;
    let password = secret(&mut fields, "password");
    fields.done_with_all().map(|()| password)
}

/// A password, exactly as sent.
fn secret(fields: &mut Fields, name: &'static str) -> Zeroizing<String> {
    Zeroizing::new(fields.text(name, Take::AsSent, limits::PASSWORD_CHARS))
}

fn problem(door: &Door, fault: BodyFault) -> Response {
    Fault::from(fault).into_problem(&door.settings)
}

fn refused(door: &Door, failure: &Failure) -> Response {
    door.fault(failure).into_problem(&door.settings)
}

impl Client {
    pub(crate) fn reproof(self, password: Zeroizing<String>) -> Reproof {
        Reproof { password, network: self.network, device_token: self.device_token }
    }
}
