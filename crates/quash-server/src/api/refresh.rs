//! Token refresh. `POST /api/token/refresh/`: `{"refresh"}` returns `{"access","refresh"}`, or `{"access"}`
//! where refreshing doesn't rotate; the refresh token may travel in a cookie. `POST
//! /api/token/sliding/refresh/`: `{"token"}` returns `{"token"}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_service::Failure;

use super::{Order, issued, presented_refresh, token_field};
use crate::client::Client;
use crate::door::Door;

pub(crate) async fn refresh(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    let token = match presented_refresh(&door, request).await {
        Ok(token) => token,
        Err(fault) => return door.answer(fault),
    };
    match door.service.refresh(&token, &client.device, &client.device_token).await {
        Ok(tokens) => issued(&door, tokens, Order::AccessFirst),
        Err(failure @ Failure::Refused(_)) => {
            door.without_cookie(door.answer(door.fault(&failure).of_exchange()))
        }
        Err(failure) => door.answer(door.fault(&failure).of_exchange()),
    }
}

pub(crate) async fn refresh_sliding(
    State(door): State<Arc<Door>>,
    client: Client,
    request: Request,
) -> Response {
    let token = match token_field(request, "token").await {
        Ok(token) => token,
        Err(fault) => return door.answer(fault.into()),
    };
    match door.service.refresh_sliding(&token, &client.device, &client.device_token).await {
        Ok(tokens) => issued(&door, tokens, Order::AccessFirst),
        Err(failure) => door.answer(door.fault(&failure).of_exchange()),
    }
}
