//! Builds JSON responses with the headers that every response of their kind carries.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA, VARY};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::http_error::HttpError;

/// The media type of JSON, without a charset: it has none (RFC 8259 11).
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of a problem document (RFC 9457 6.1).
pub(crate) const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An answer that may be sent again. It may contain a secret.
#[derive(Clone)]
pub(crate) struct FirstAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Arc<Zeroizing<Vec<u8>>>,
}

/// Compact JSON that caches must not store (RFC 6749 5.1).
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    of_type(status, JSON, body)
}

/// Like [`json`], for paths that follow Simple JWT: adds the headers that name the allowed methods and
/// formats.
pub(crate) fn token_json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut answer = json(status, body);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

/// JSON with a media type of its own.
pub(crate) fn of_type(status: StatusCode, media_type: HeaderValue, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => bytes_of_type(status, media_type, body),
        Err(error) => HttpError::internal(format!("failed to serialize a response: {error}")).into_response(),
    }
}

/// Like [`json`], for a body that is serialized already.
pub(crate) fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    bytes_of_type(status, JSON, body)
}

fn bytes_of_type(status: StatusCode, media_type: HeaderValue, body: Vec<u8>) -> Response {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

/// Adds a header. A value that can't be a header value is left out.
pub(crate) fn with_header(mut answer: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use serde::Serializer;
    use serde::ser::Error;

    use super::*;

    struct Unserializable;

    impl Serialize for Unserializable {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("no form"))
        }
    }

    #[test]
    fn unserializable_bodies_are_internal_errors() {
        let answer = json(StatusCode::OK, &Unserializable);
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let error = HttpError::internal("failed to serialize a response: no form");
        assert_eq!(answer.extensions().get(), Some(&error));
    }
}
