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
use crate::request::body_error::BodyError;
use crate::request::client_info::Client;
use crate::request::device::with_token;
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

pub(crate) async fn obtain(State(state): State<Arc<AppState>>, client: Client, request: Request) -> Response {
    sign_in(&state, Kind::Pair, client, request).await
}

pub(crate) async fn obtain_sliding(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    sign_in(&state, Kind::Sliding, client, request).await
}

async fn sign_in(state: &AppState, kind: Kind, client: Client, request: Request) -> Response {
    let (name, password) = match credentials(state, request).await {
        Ok(credentials) => credentials,
        Err(fault) => return state.answer(fault.into()),
    };
    let Client { device, network, device_token, transport } = client;
    let answer =
        match state.service.sign_in(Attempt { kind, name, password, device, network, device_token }).await {
            Ok(SignedIn { tokens, device_token }) => {
                let answer = issued(state, tokens, super::Order::RefreshFirst);
                device_token.iter().fold(answer, |answer, token| with_token(answer, token, transport))
            }
            Err(failure) => state.answer(state.fault(&failure)),
        };
    state.with_allowance(answer, network)
}

async fn credentials(state: &AppState, request: Request) -> Result<(String, Zeroizing<String>), BodyError> {
    let mut fields = Fields::read(request).await?;
    let name = state.login_name(&mut fields);
    let password = Zeroizing::new(fields.text("password", Whitespace::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| (name, password))
}
