//! `POST /api/token/verify/`: `{"token"}` of any type returns `{}` if the token would be accepted. It ends
//! nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{empty_object, token_field};
use crate::error::http_error::HttpError;
use crate::state::AppState;

pub(crate) async fn verify(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let token = token_field(request, "token").await?;
    state.service.verify(&token).await?;
    Ok(empty_object())
}
