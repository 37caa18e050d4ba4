//! Sign-in: `{"username","password"}`; `accounts.username_field` renames the first field. `POST /api/token/`
//! returns `{"refresh","access"}`, `POST /api/token/sliding/` returns `{"token"}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_core::decide::Kind;
use quash_core::model::limits;
use quash_service::{Attempt, SignedIn};
use zeroize::Zeroizing;

use super::issued;
use crate::body::{BodyFault, Fields, Take};
use crate::client::Client;
use crate::device::with_token;
use crate::door::Door;

pub(crate) async fn obtain(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    sign_in(&door, Kind::Pair, client, request).await
}

pub(crate) async fn obtain_sliding(
    State(door): State<Arc<Door>>,
    client: Client,
    request: Request,
) -> Response {
    sign_in(&door, Kind::Sliding, client, request).await
}

async fn sign_in(door: &Door, kind: Kind, client: Client, request: Request) -> Response {
    let (name, password) = match credentials(door, request).await {
        Ok(credentials) => credentials,
        Err(fault) => return door.answer(fault.into()),
    };
    let Client { device, network, device_token, carrier } = client;
    let answer =
        match door.service.sign_in(Attempt { kind, name, password, device, network, device_token }).await {
            Ok(SignedIn { tokens, device_token }) => {
                let answer = issued(door, tokens, super::Order::RefreshFirst);
                device_token.iter().fold(answer, |answer, token| with_token(answer, token, carrier))
            }
            Err(failure) => door.answer(door.fault(&failure)),
        };
    door.with_allowance(answer, network)
}

async fn credentials(door: &Door, request: Request) -> Result<(String, Zeroizing<String>), BodyFault> {
    let mut fields = Fields::read(request).await?;
    let name = door.login_name(&mut fields);
    let password = Zeroizing::new(fields.text("password", Take::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| (name, password))
}
