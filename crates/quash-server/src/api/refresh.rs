//! Token refresh. `POST /api/token/refresh/`: `{"refresh"}` returns `{"access","refresh"}`, or `{"access"}`
//! where refreshing doesn't rotate; the refresh token may travel in a cookie. `POST
//! /api/token/sliding/refresh/`: `{"token"}` returns `{"token"}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use super::{Order, RefreshToken, SlidingToken, TokenPair, issued, presented_refresh, token_field};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
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

/// The refusals of a token that is exchanged.
const EXCHANGE_CODES: [Code; 6] = [
    Code::TokenNotValid,
    Code::NoActiveAccount,
    Code::UserNotFound,
    Code::UserInactive,
    Code::PasswordChanged,
    Code::NoSigningKey,
];

pub(crate) fn describe_refresh() -> Operation {
    Operation::new(Tag::Tokens, "refreshTokens", "Spends a refresh token: returns a new pair")
        .fields::<RefreshToken>()
        .answers::<TokenPair>(StatusCode::OK, "New tokens of the session.")
        .refuses(&EXCHANGE_CODES)
        .refuses(&[Code::NotAuthenticated, Code::TwoTokens])
}

pub(crate) fn describe_refresh_sliding() -> Operation {
    Operation::new(Tag::Tokens, "renewSlidingToken", "Renews a sliding token")
        .fields::<SlidingToken>()
        .answers::<SlidingToken>(StatusCode::OK, "The token with a later expiry.")
        .refuses(&EXCHANGE_CODES)
}
