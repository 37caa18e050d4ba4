//! Cross-origin requests (the Fetch standard's CORS protocol): pages of the origins that an operator names may read
//! answers, and nobody else's. Without a named origin nothing here does anything.
//!
//! Origins are compared byte by byte, and named one at a time, never with `*`. Only where refresh tokens travel in a cookie
//! may a page send cookies, with `Access-Control-Allow-Credentials`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::cookie::RefreshCookie;
use crate::door::Door;
use crate::origin::Origin;

/// What a page may do; a path takes what it takes all the same.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// What a page may send beyond what any page may, and the header of the token where that is another.
const HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Content-Type, Quash-Device, Prefer, X-Requested-With");
/// What a page may read beyond what any page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, Retry-After, WWW-Authenticate, Quash-Device, RateLimit, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset",
);
/// How long a browser needn't ask again, in seconds: an origin that is taken out of the settings is out by then.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Answers the preflight requests of named origins, and lets their pages read the other answers.
pub(crate) async fn across_origins(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let origins = &door.settings.cors_origins;
    if origins.is_empty() {
        return next.run(request).await;
    }
    let origin = named(origins, request.headers());
    let mut answer = match &origin {
        Some(_) if is_preflight(&request) => preflight(&door.settings.token_header.name),
        _ => next.run(request).await,
    };
    if let Some(origin) = origin {
        permit(answer.headers_mut(), origin, door.settings.refresh_cookie);
    }
    // What is answered depends on the origin, also where the origin is none of those named.
    answer.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    answer
}

/// The origin of a request, if it names one, and that is among those that may.
fn named(origins: &[Origin], headers: &HeaderMap) -> Option<HeaderValue> {
    let mut sent = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (sent.next(), sent.next()) else {
        return None;
    };
    origins.iter().any(|ours| ours.as_str().as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// Whether a browser asks what it may ask. `OPTIONS` without the method in question is a request like any other.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(token: &HeaderName) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    if *token != AUTHORIZATION {
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, token.clone().into());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    answer
}

fn permit(headers: &mut HeaderMap, origin: HeaderValue, cookie: RefreshCookie) {
    if cookie == RefreshCookie::On {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}
