//! Errors of the OAuth endpoints, in OAuth's format (RFC 6749 5.2, RFC 7009 2.2.1): an error code and a
//! description.

use axum::response::Response;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use quash_core::model::Right;
use quash_service::Failure;
use serde::Serialize;

use crate::answer::{json, with_header};
use crate::body::BodyFault;
use crate::door::Door;
use crate::error::{Cause, Fault};

#[derive(Clone, Debug)]
pub(crate) struct OAuthFault {
    status: StatusCode,
    error: Word,
    description: String,
    retry_after_secs: Option<u64>,
    /// The cause of a 5xx, for the log only.
    cause: Option<Cause>,
}

/// OAuth's error codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    TemporarilyUnavailable,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl OAuthFault {
    /// The request is unreadable, incomplete or ambiguous.
    pub(crate) fn invalid_request(description: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Word::InvalidRequest, description)
    }

    /// The client is unknown or its secret is wrong. The response doesn't reveal which.
    pub(crate) fn invalid_client() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            Word::InvalidClient,
            "The client is not known, or its secret is wrong.",
        )
    }

    /// The client is authenticated but lacks this right.
    pub(crate) fn lacks(right: Right) -> Self {
        let description = format!("The client does not have the right {}.", right.as_str());
        Self::new(StatusCode::FORBIDDEN, Word::UnauthorizedClient, description)
    }

    /// The token's session belongs to another client (RFC 7009 2.1).
    pub(crate) fn of_another_client() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Word::InvalidGrant, "The token was issued to another client.")
    }

    /// Converts a use case's failure that isn't about the token: these endpoints return no error for tokens.
    pub(crate) fn of(door: &Door, failure: &Failure) -> Self {
        Self::like(&door.fault(failure))
    }

    pub(crate) fn into_answer(self) -> Response {
        let body = Body { error: self.error.as_str(), error_description: &self.description };
        let mut answer = json(self.status, &body);
        if let Some(cause) = self.cause {
            answer.extensions_mut().insert(cause);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            answer
                .headers_mut()
                .append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"api\", charset=\"UTF-8\""));
            answer.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
        }
        match self.retry_after_secs {
            Some(secs) => with_header(answer, RETRY_AFTER, &secs.to_string()),
            None => answer,
        }
    }

    fn new(status: StatusCode, error: Word, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), retry_after_secs: None, cause: None }
    }

    /// Converts an error that other endpoints share.
    fn like(fault: &Fault) -> Self {
        let error = if fault.status().is_server_error() {
            Word::TemporarilyUnavailable
        } else {
            Word::InvalidRequest
        };
        Self {
            retry_after_secs: fault.retry_after_secs(),
            cause: fault.cause(),
            ..Self::new(fault.status(), error, fault.detail())
        }
    }
}

impl From<BodyFault> for OAuthFault {
    fn from(fault: BodyFault) -> Self {
        let is_another_type = matches!(fault, BodyFault::MediaType(_));
        let told = Self::like(&fault.into());
        if is_another_type {
            // Don't repeat the request's text: a description has no quotation marks and only ASCII characters
            // (RFC 6749 5.2).
            return Self {
                description: "The body must be application/x-www-form-urlencoded.".into(),
                ..told
            };
        }
        told
    }
}

impl Word {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}
