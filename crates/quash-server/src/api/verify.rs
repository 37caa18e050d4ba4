//! `POST /api/token/verify/`: `{"token"}` of any type returns `{}` if the token would be accepted. It ends
//! nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{empty_object, token_field};
use crate::state::AppState;

pub(crate) async fn verify(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let token = match token_field(request, "token").await {
        Ok(token) => token,
        Err(fault) => return state.answer(fault.into()),
    };
    match state.service.verify(&token).await {
        Ok(()) => empty_object(),
        Err(failure) => state.answer(state.fault(&failure)),
    }
}
