//! `GET /.well-known/jwks.json`: the public keys that tokens can be verified with (RFC 7517). Secrets are never in it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::CACHE_CONTROL;

use crate::answer::{json, with_header};
use crate::door::Door;

pub(crate) async fn jwks(State(door): State<Arc<Door>>) -> Response {
    // As long as Simple JWT's own client keeps a set; one that meets an unknown kid asks again.
    let mut answer =
        with_header(json(StatusCode::OK, &door.service.jwks()), CACHE_CONTROL, "public, max-age=300");
    answer.headers_mut().remove(http::header::PRAGMA);
    answer
}
