//! `POST /api/token/blacklist/`: `{"refresh"}` ends the token's session and returns `{}`. A repeated request
//! gets a 401.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{empty_object, presented_refresh};
use crate::error::http_error::HttpError;
use crate::state::AppState;

pub(crate) async fn blacklist(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let token = presented_refresh(&state, request).await?;
    match state.service.blacklist(&token).await {
        Ok(_) => Ok(state.without_cookie(empty_object())),
        Err(failure) => Err(HttpError::from(failure).ending_cookie()),
    }
}
