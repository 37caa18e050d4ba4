//! Errors of the OAuth endpoints, in OAuth's format (RFC 6749 5.2, RFC 7009 2.2.1): an error code and a
//! description.

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use quash_core::model::Right;
use quash_service::Failure;
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;

use crate::error::presentation::{ErrorCause, Presentation};
use crate::openapi::operation::Operation;
use crate::openapi::reference;
use crate::request::body_error::BodyError;
use crate::response::{json, with_header};
use crate::state::AppState;

#[derive(Clone, Debug)]
pub(crate) struct OAuthError {
    status: StatusCode,
    error: OAuthErrorCode,
    description: String,
    retry_after_secs: Option<u64>,
    /// The cause of a 5xx, for the log only.
    cause: Option<ErrorCause>,
}

/// OAuth's error codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OAuthErrorCode {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    TemporarilyUnavailable,
}

/// An error in OAuth's format (RFC 6749 5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthError)]
struct Body<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl OAuthError {
    /// The request is unreadable, incomplete or ambiguous.
    pub(crate) fn invalid_request(description: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, OAuthErrorCode::InvalidRequest, description)
    }

    /// The client is unknown or its secret is wrong. The response doesn't reveal which.
    pub(crate) fn invalid_client() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            OAuthErrorCode::InvalidClient,
            "The client is not known, or its secret is wrong.",
        )
    }

    /// The client is authenticated but lacks this right.
    pub(crate) fn missing_right(right: Right) -> Self {
        let description = format!("The client does not have the right {}.", right.as_str());
        Self::new(StatusCode::FORBIDDEN, OAuthErrorCode::UnauthorizedClient, description)
    }

    /// The token's session belongs to another client (RFC 7009 2.1).
    pub(crate) fn of_another_client() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            OAuthErrorCode::InvalidGrant,
            "The token was issued to another client.",
        )
    }

    /// Converts a use case's failure that isn't about the token: these endpoints return no error for tokens.
    pub(crate) fn of(state: &AppState, failure: &Failure) -> Self {
        Self::from_presentation(&state.presentation(&failure.clone().into()))
    }

    fn new(status: StatusCode, error: OAuthErrorCode, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), retry_after_secs: None, cause: None }
    }

    /// Converts an error that other endpoints share.
    fn from_presentation(fault: &Presentation) -> Self {
        let error = if fault.status().is_server_error() {
            OAuthErrorCode::TemporarilyUnavailable
        } else {
            OAuthErrorCode::InvalidRequest
        };
        Self {
            retry_after_secs: fault.retry_after_secs(),
            cause: fault.cause(),
            ..Self::new(fault.status(), error, fault.detail())
        }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
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
}

impl From<BodyError> for OAuthError {
    fn from(fault: BodyError) -> Self {
        let is_another_type = matches!(fault, BodyError::MediaType(_));
        let told = Self::from_presentation(&Presentation::of_body(&fault));
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

impl OAuthErrorCode {
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

/// Describes the errors of an OAuth endpoint. `others` are the codes that only it has, with 400.
pub(crate) fn describe_errors(operation: Operation, others: &[OAuthErrorCode]) -> Operation {
    let bad_request = [&[OAuthErrorCode::InvalidRequest], others].concat();
    let statuses: [(StatusCode, &[OAuthErrorCode]); 8] = [
        (StatusCode::BAD_REQUEST, &bad_request),
        (StatusCode::REQUEST_TIMEOUT, &[OAuthErrorCode::InvalidRequest]),
        (StatusCode::PAYLOAD_TOO_LARGE, &[OAuthErrorCode::InvalidRequest]),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, &[OAuthErrorCode::InvalidRequest]),
        (StatusCode::UNAUTHORIZED, &[OAuthErrorCode::InvalidClient]),
        (StatusCode::FORBIDDEN, &[OAuthErrorCode::UnauthorizedClient]),
        (StatusCode::INTERNAL_SERVER_ERROR, &[OAuthErrorCode::TemporarilyUnavailable]),
        (StatusCode::SERVICE_UNAVAILABLE, &[OAuthErrorCode::TemporarilyUnavailable]),
    ];
    statuses.into_iter().fold(operation.needs::<Body<'_>>(), |operation, (status, codes)| {
        let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
        let text = format!("`{}`", names.join("`, `"));
        let schema =
            value!({ "allOf": [reference("OAuthError"), { "properties": { "error": { "enum": names } } }] });
        operation.answers_error(status, &text, "application/json", schema)
    })
}
