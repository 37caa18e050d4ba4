//! `GET /metrics`: the metrics, as OpenMetrics text. Requires the credential of a client or a verifier.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::CREDENTIAL;
use crate::openapi::operation::{Operation, Tag};
use crate::request::credential::secret;
use crate::state::AppState;

const OPEN_METRICS: HeaderValue = HeaderValue::from_static(OPEN_METRICS_TYPE);
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn metrics(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    if !state.service.may_read_metrics(secret(&headers)?).await? {
        return Err(HttpError::credential_not_valid());
    }
    let mut answer = Response::new(Body::from(state.metrics.text(&state.service).await));
    answer.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

pub(crate) fn describe_metrics() -> Operation {
    Operation::new(Tag::Server, "getMetrics", "Returns metrics, as OpenMetrics text")
        .text("Requires the credential of any client or verifier. While the store is away, one that was valid before.")
        .secured_by(CREDENTIAL)
        .answers_with(StatusCode::OK, "The metrics.", OPEN_METRICS_TYPE, json!({ "type": "string" }))
        .refuses(&[Code::CredentialNotValid, Code::Unavailable])
}
