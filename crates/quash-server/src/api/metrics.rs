//! `GET /metrics`: the metrics, as OpenMetrics text. Requires the credential of a client or a verifier.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::error::http_error::HttpError;
use crate::request::credential::credential;
use crate::state::AppState;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

pub(crate) async fn metrics(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    credential(&state, &headers).await?;
    let mut answer = Response::new(Body::from(state.metrics.text(&state.service).await));
    answer.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}
