//! Cross-origin requests (the Fetch standard's CORS protocol): only pages of the origins that an operator
//! names may read responses. Without a named origin this layer does nothing except log refusals.
//!
//! Origins are compared byte by byte and named individually, never with `*`. Only where refresh tokens travel
//! in a cookie may a page send cookies, with `Access-Control-Allow-Credentials`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::middleware::cross_site::is_own;
use crate::request::fetch_metadata::is_cors;
use crate::settings::origin::Origin;
use crate::settings::{HttpSettings, RefreshCookie};

/// Methods that a page may use; each path still accepts only its own.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// Request headers that a page may send: the defaults of django-cors-headers, and quash's own.
const HEADERS: &str =
    "Accept, Authorization, Content-Type, User-Agent, X-CSRFToken, X-Requested-With, Quash-Device, Prefer";
/// Response headers that a page may read in addition to those that every page may read.
const EXPOSED: &str = "X-Request-Id, Retry-After, WWW-Authenticate, Quash-Device, RateLimit, RateLimit-Policy, RateLimit-Limit, \
                       RateLimit-Remaining, RateLimit-Reset";
/// The number of refused origins that are logged, each once, and the longest of them that is.
const REFUSED: usize = 100;
const REFUSED_BYTES: usize = 300;

/// The settings, the response headers' values, which are the same for every request, and the origins that
/// were refused.
pub(crate) struct Cors {
    settings: HttpSettings,
    allowed: HeaderValue,
    exposed: HeaderValue,
    max_age: HeaderValue,
    refused: Mutex<HashSet<Box<str>>>,
}

impl Cors {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let cors = &settings.cors;
        let token = Some(&settings.token_header.name).filter(|name| **name != AUTHORIZATION);
        Self {
            settings: settings.clone(),
            allowed: list(HEADERS, token.into_iter().chain(&cors.allow_headers)),
            exposed: list(EXPOSED, cors.expose_headers.iter()),
            max_age: cors.max_age.as_secs().into(),
            refused: Mutex::default(),
        }
    }

    /// Logs, once for each origin, that its pages may not read responses.
    fn log_refusal(&self, request: &Request) {
        let Some(origin) = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok()) else {
            return;
        };
        if origin.len() > REFUSED_BYTES
            || !is_cors(request.headers())
            || is_own(&self.settings, request, origin.as_bytes())
        {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() == REFUSED || !refused.insert(origin.into()) {
            return;
        }
        let is_last = refused.len() == REFUSED;
        drop(refused);
        tracing::warn!(
            "CORS: pages of {origin} cannot read responses; if they should, add the origin to http.cors_origins"
        );
        if is_last {
            tracing::warn!("CORS: {REFUSED} origins were refused; further ones are not logged");
        }
    }
}

fn list<'a>(ours: &str, further: impl Iterator<Item = &'a HeaderName>) -> HeaderValue {
    let names = further.fold(ours.to_owned(), |names, name| format!("{names}, {name}"));
    // Header names are always valid in a header value.
    HeaderValue::from_str(&names).unwrap_or(METHODS)
}

/// Answers the preflight requests of named origins, and lets their pages read the other answers.
pub(crate) async fn across_origins(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let origins = &cors.settings.cors_origins;
    let origin = named(origins, request.headers());
    if origin.is_none() && request.headers().contains_key(ORIGIN) {
        cors.log_refusal(&request);
    }
    if origins.is_empty() {
        return next.run(request).await;
    }
    let mut answer = match &origin {
        Some(_) if is_preflight(&request) => preflight(&cors),
        _ => next.run(request).await,
    };
    if let Some(origin) = origin {
        permit(answer.headers_mut(), origin, &cors);
    }
    // The response depends on the origin, even if the origin isn't a named one.
    answer.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    answer
}

/// Returns the request's origin, if it is a named one.
fn named(origins: &[Origin], headers: &HeaderMap) -> Option<HeaderValue> {
    let mut sent = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (sent.next(), sent.next()) else {
        return None;
    };
    origins.iter().any(|ours| ours.as_str().as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// Returns whether a request is a preflight. `OPTIONS` without `Access-Control-Request-Method` is an ordinary
/// request.
fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(cors: &Cors) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, cors.allowed.clone());
    headers.insert(ACCESS_CONTROL_MAX_AGE, cors.max_age.clone());
    answer
}

fn permit(headers: &mut HeaderMap, origin: HeaderValue, cors: &Cors) {
    if cors.settings.refresh_cookie == RefreshCookie::On {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, cors.exposed.clone());
}
