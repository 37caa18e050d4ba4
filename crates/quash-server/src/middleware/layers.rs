//! Middleware for every request and every response.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::error::presentation::ErrorCause;
use crate::middleware::host_header;
use crate::net::connection::OverTls;
use crate::net::memory::{Full, MemoryAccount};
use crate::request::body_error::BodyError;
use crate::state::AppState;

/// The time limit for a whole request.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// Tells a browser that has used TLS with this host to use only TLS for a year (RFC 6797 6.1). Other hosts of
/// the domain aren't ours to decide on.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id, which the response carries, and logs the outcome: method, route, status and id;
/// for a 5xx the cause; never an address, a header or a body.
pub(crate) async fn log_and_add_headers(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let id = state.service.new_request_id();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let is_secured = request.extensions().get::<OverTls>().is_some();
    let began = state.service.uptime();
    let mut answer = next.run(request).await;
    let status = answer.status().as_u16();
    let route = route.as_deref().unwrap_or("-");
    state.metrics.answered(route, answer.status(), state.service.uptime().saturating_sub(began));
    if status >= 500 {
        let cause = answer
            .extensions_mut()
            .remove::<ErrorCause>()
            .map_or_else(|| "unknown".to_owned(), |ErrorCause(cause)| cause);
        tracing::warn!(%method, route, status, id, cause, "answered");
    } else {
        tracing::debug!(%method, route, status, id, "answered");
    }
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if is_secured {
        headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    answer
}

/// Applies the time limit.
pub(crate) async fn bound(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(REQUEST_WITHIN, next.run(request)).await;
    answered.unwrap_or_else(|_| HttpError::too_slow().into_response())
}

/// Refuses a request from a connection if memory is short, or if it has no valid `Host`.
pub(crate) async fn admit(request: Request, next: Next) -> Result<Response, HttpError> {
    let extensions = request.extensions();
    if extensions.get::<Full>().is_some() {
        return Err(BodyError::NoMemory.into());
    }
    match host_header::fault(request.version(), request.headers()) {
        Some(detail) if extensions.get::<MemoryAccount>().is_some() => {
            Err(HttpError::new(Code::InvalidRequest, detail))
        }
        _ => Ok(next.run(request).await),
    }
}
