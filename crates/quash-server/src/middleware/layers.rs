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
use crate::outage::{Counted, Refused};
use crate::request::body_error::BodyError;
use crate::state::AppState;

/// The time limit for a whole request.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// Tells a browser that has used TLS with this host to use only TLS for a year (RFC 6797 6.1). Other hosts of
/// the domain aren't ours to decide on.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id, which the response carries, and logs the outcome: method, route, status and id;
/// for a 5xx the cause; never an address, a header or a body. In an outage, `outage.rs` limits the lines.
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
    let now = state.service.uptime();
    state.metrics.answered(route, answer.status(), now.saturating_sub(began));
    if let Some(Counted { refused, over }) = state.outage.ended(now, || state.service.follows_the_log()) {
        tracing::info!(refused, over_secs = over.as_secs(), "requests are no longer refused");
    }
    if status >= 500 {
        let unknown = || ErrorCause { text: "unknown".to_owned(), is_outage: false };
        let ErrorCause { text: cause, is_outage } =
            answer.extensions_mut().remove::<ErrorCause>().unwrap_or_else(unknown);
        // A database of several nodes fails over, and then each request fails for some seconds.
        let logged = if is_outage && state.service.is_node() {
            state.outage.refused(&cause, now)
        } else {
            Refused::Cause
        };
        match logged {
            Refused::Cause => tracing::warn!(%method, route, status, id, cause, "answered"),
            Refused::Lasts(Counted { refused, over }) => {
                tracing::warn!(refused, over_secs = over.as_secs(), cause, "still refusing requests");
            }
            Refused::Nothing => tracing::debug!(%method, route, status, id, cause, "answered"),
        }
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
