//! `GET /.well-known/jwks.json`: the public keys for verifying tokens (RFC 7517). It never contains secrets.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde_json::Value;
use utoipa::ToSchema;

use crate::openapi::operation::{Operation, Tag};
use crate::response::{json, with_header};
use crate::state::AppState;

pub(crate) async fn jwks(State(state): State<Arc<AppState>>) -> Response {
    let keys = state.service.jwks().await;
    // Simple JWT's own client keeps a key set for this long, and fetches it again when it meets an unknown
    // kid. Nobody keeps one that may lack a key.
    let kept = if keys.is_current { "public, max-age=300" } else { "no-store" };
    let mut answer = with_header(json(StatusCode::OK, &keys.set), CACHE_CONTROL, kept);
    answer.headers_mut().remove(http::header::PRAGMA);
    answer
}

/// A set of public keys (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a text that the service makes")]
struct KeySet {
    /// The members of a key depend on its type.
    #[schema(value_type = Vec<std::collections::BTreeMap<String, Value>>)]
    keys: Value,
}

pub(crate) fn describe_jwks() -> Operation {
    Operation::new(Tag::Server, "getKeys", "Returns the public keys")
        .answers::<KeySet>(StatusCode::OK, "The keys, which may be cached for 300 seconds.")
}
