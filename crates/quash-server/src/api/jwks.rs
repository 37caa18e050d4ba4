//! `GET /.well-known/jwks.json`: the public keys for verifying tokens (RFC 7517). It never contains secrets.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::CACHE_CONTROL;

use crate::response::{json, with_header};
use crate::state::AppState;

pub(crate) async fn jwks(State(state): State<Arc<AppState>>) -> Response {
    // Simple JWT's own client keeps a key set for this long, and fetches it again when it meets an unknown
    // kid.
    let mut answer =
        with_header(json(StatusCode::OK, &state.service.jwks()), CACHE_CONTROL, "public, max-age=300");
    answer.headers_mut().remove(http::header::PRAGMA);
    answer
}
