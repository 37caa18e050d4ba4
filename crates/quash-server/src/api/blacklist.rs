//! `POST /api/token/blacklist/`: `{"refresh"}` ends the token's session and returns `{}`. A repeated request
//! gets a 401.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{empty_object, presented_refresh};
use crate::state::AppState;

pub(crate) async fn blacklist(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let token = match presented_refresh(&state, request).await {
        Ok(token) => token,
        Err(fault) => return state.answer(fault),
    };
    match state.service.blacklist(&token).await {
        Ok(_) => state.without_cookie(empty_object()),
        Err(failure) => state.without_dead_cookie(state.answer(state.fault(&failure))),
    }
}
