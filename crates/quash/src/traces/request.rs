//! The span of a request. It has the route, never the path, a header or a body.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use quash_service::TRACED;
use tracing::Instrument;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Puts a request in a span, which continues the trace that its header `traceparent` names.
pub(crate) async fn traced(request: Request, next: Next) -> Response {
    let method = name(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str);
    let span = tracing::info_span!(
        target: TRACED,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        quash.request_id = Empty,
    );
    if let Some(parent) = parent(request.headers()) {
        // A span that isn't recorded has no parent.
        let _ = span.set_parent(parent);
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(id) = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()) {
        span.record("quash.request_id", id);
    }
    response
}

/// Returns the trace that a request continues, without the text in its header `tracestate`.
fn parent(headers: &HeaderMap) -> Option<Context> {
    let sent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let of = sent.span().span_context().clone();
    let (trace, span, flags) = (of.trace_id(), of.span_id(), of.trace_flags());
    let stripped = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    of.is_valid().then(|| Context::new().with_remote_span_context(stripped))
}

/// Returns the name of a method. Those of clients' own making have one name.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
