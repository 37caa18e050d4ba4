//! Token refresh. `POST /api/token/refresh/`: `{"refresh"}` returns `{"access","refresh"}`, or `{"access"}`
//! where refreshing doesn't rotate; the refresh token may travel in a cookie. `POST
//! /api/token/sliding/refresh/`: `{"token"}` returns `{"token"}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_service::Failure;

use super::{Order, issued, presented_refresh, token_field};
use crate::request::client_info::Client;
use crate::state::AppState;

pub(crate) async fn refresh(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    let token = match presented_refresh(&state, request).await {
        Ok(token) => token,
        Err(fault) => return state.answer(fault),
    };
    match state.service.refresh(&token, &client.device, &client.device_token).await {
        Ok(tokens) => issued(&state, tokens, Order::AccessFirst),
        Err(failure @ Failure::Refused(_)) => {
            state.without_cookie(state.answer(state.fault(&failure).for_exchange()))
        }
        Err(failure) => state.answer(state.fault(&failure).for_exchange()),
    }
}

pub(crate) async fn refresh_sliding(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Response {
    let token = match token_field(request, "token").await {
        Ok(token) => token,
        Err(fault) => return state.answer(fault.into()),
    };
    match state.service.refresh_sliding(&token, &client.device, &client.device_token).await {
        Ok(tokens) => issued(&state, tokens, Order::AccessFirst),
        Err(failure) => state.answer(state.fault(&failure).for_exchange()),
    }
}
