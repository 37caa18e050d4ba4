//! Token refresh. `POST /api/token/refresh/`: `{"refresh"}` returns `{"access","refresh"}`, or `{"access"}`
//! where refreshing doesn't rotate; the refresh token may travel in a cookie. `POST
//! /api/token/sliding/refresh/`: `{"token"}` returns `{"token"}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{Order, issued, presented_refresh, token_field};
use crate::error::http_error::HttpError;
use crate::request::client_info::Client;
use crate::state::AppState;

pub(crate) async fn refresh(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let token = presented_refresh(&state, request).await?;
    let refreshed = state.service.refresh(&token, &client.device, &client.device_token).await;
    let tokens = refreshed.map_err(|failure| HttpError::of_exchange(failure).ending_cookie())?;
    issued(&state, tokens, Order::AccessFirst)
}

pub(crate) async fn refresh_sliding(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let token = token_field(request, "token").await?;
    let refreshed = state.service.refresh_sliding(&token, &client.device, &client.device_token).await;
    issued(&state, refreshed.map_err(HttpError::of_exchange)?, Order::AccessFirst)
}
