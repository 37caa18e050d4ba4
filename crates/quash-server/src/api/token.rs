//! Sign-in: `{"username","password"}`; `accounts.username_field` renames the first field. `POST /api/token/`
//! returns `{"refresh","access"}`, `POST /api/token/sliding/` returns `{"token"}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use quash_core::decide::Kind;
use quash_core::model::limits;
use quash_service::{Attempt, SignedIn};
use zeroize::Zeroizing;

use super::issued;
use crate::error::http_error::HttpError;
use crate::request::body_error::BodyError;
use crate::request::client_info::Client;
use crate::request::device::with_token;
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

pub(crate) async fn obtain(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    sign_in(&state, Kind::Pair, client, request).await
}

pub(crate) async fn obtain_sliding(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    sign_in(&state, Kind::Sliding, client, request).await
}

async fn sign_in(
    state: &AppState,
    kind: Kind,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let (name, password) = credentials(state, request).await?;
    let Client { device, network, device_token, transport } = client;
    let attempt = Attempt { kind, name, password, device, network, device_token };
    let answer = match state.service.sign_in(attempt).await {
        Ok(SignedIn { tokens, device_token }) => {
            let answer = issued(state, tokens, super::Order::RefreshFirst).into_response();
            device_token.iter().fold(answer, |answer, token| with_token(answer, token, transport))
        }
        Err(failure) => HttpError::from(failure).into_response(),
    };
    // Refusals say too how many attempts are left.
    Ok(state.with_allowance(answer, network).await)
}

async fn credentials(state: &AppState, request: Request) -> Result<(String, Zeroizing<String>), BodyError> {
    let mut fields = Fields::read(request).await?;
    let name = state.login_name(&mut fields);
    let password = Zeroizing::new(fields.text("password", Whitespace::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| (name, password))
}
