//! Errors of the doors for other services, in the shape that OAuth gives them (RFC 6749 5.2, RFC 7009 2.2.1): what went wrong
//! as one of its words, and a sentence.

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

/// An error on its way to another service.
#[derive(Clone, Debug)]
pub(crate) struct OAuthFault {
    status: StatusCode,
    error: Word,
    description: String,
    retry_after_secs: Option<u64>,
    /// The cause of a 5xx, for the log alone.
    cause: Option<Cause>,
}

/// OAuth's words for what went wrong.
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
    /// The request can't be read, or says too little or too much.
    pub(crate) fn invalid_request(description: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Word::InvalidRequest, description)
    }

    /// Nobody says who they are, or it isn't true. Which of both isn't told.
    pub(crate) fn invalid_client() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            Word::InvalidClient,
            "The client is not known, or its secret is wrong.",
        )
    }

    /// The client is known, and may do other things.
    pub(crate) fn lacks(right: Right) -> Self {
        let description = format!("The client does not have the right {}.", right.as_str());
        Self::new(StatusCode::FORBIDDEN, Word::UnauthorizedClient, description)
    }

    /// The token's session is another client's (RFC 7009 2.1).
    pub(crate) fn of_another_client() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Word::InvalidGrant, "The token was issued to another client.")
    }

    /// What a use case failed with. It wasn't the token: there is no error for these here.
    pub(crate) fn of(door: &Door, failure: &Failure) -> Self {
        Self::like(&door.fault(failure))
    }

    /// The answer.
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

    /// An error that other doors have, too.
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
            // What the request says isn't repeated: a description has no quotes and no other letters (RFC 6749 5.2).
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
