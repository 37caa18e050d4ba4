//! `GET /openapi.json`: the OpenAPI document about this server's endpoints, at the paths that its settings give them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, PRAGMA};
use serde_json::json as value;

use crate::openapi::operation::{Operation, Tag};
use crate::response::{json, with_header};
use crate::state::AppState;

pub(crate) async fn show(State(state): State<Arc<AppState>>) -> Response {
    let mut answer = json(StatusCode::OK, state.document());
    answer.headers_mut().remove(PRAGMA);
    // It changes with the settings, or with the program.
    with_header(answer, CACHE_CONTROL, "public, max-age=300")
}

pub(crate) fn describe_show() -> Operation {
    Operation::new(Tag::Server, "getOpenApi", "Returns this document").answers_with(
        StatusCode::OK,
        "The document, which may be cached for 300 seconds.",
        "application/json",
        value!({ "type": "object", "additionalProperties": true }),
    )
}
