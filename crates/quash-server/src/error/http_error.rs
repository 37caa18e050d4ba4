//! The error of a request, by its cause. A handler or a layer returns it, `middleware/errors.rs` renders it, and
//! `presentation.rs` says what the client sees of it.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use quash_core::model::{Invalid, Refusal, Right};
use quash_core::token::TokenType;
use quash_service::Failure;
use quash_verify::{HeaderFault, Rejection};
use serde_json::{Map, Value, json};

use crate::error::code::Code;
use crate::request::body_error::BodyError;

/// An error, as a handler or a layer returns it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct HttpError {
    pub(super) kind: ErrorKind,
    ends_cookie: bool,
}

/// The cause of an error.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum ErrorKind {
    /// A use case refuses or fails.
    Failed(Failure),
    /// A use case refuses the token in the header, in the words of Simple JWT's authentication. The token's
    /// type is known if the token was valid but revoked.
    AccessToken {
        failure: Failure,
        token_type: Option<TokenType>,
    },
    /// The exchange of a token is refused or fails.
    Exchange(Failure),
    Header(HeaderFault),
    Body(BodyError),
    /// Fields that are wrong, with their errors.
    Fields(Map<String, Value>),
    /// A parameter of the address that is wrong.
    Parameter {
        name: String,
        fault: String,
    },
    MethodNotAllowed {
        method: Method,
        allow: Arc<str>,
    },
    /// A limit on concurrent work or on time is reached.
    Busy(&'static str),
    /// A request for the feed that names another version, or none.
    FeedVersion {
        is_named: bool,
    },
    /// The credential lacks a right.
    MissingRight(Right),
    /// The refresh token doesn't fit into its cookie.
    TooLongForACookie,
    /// A bug, with its cause for the log.
    Internal(String),
    /// Any other error, with its text.
    Other(Code, &'static str),
}

impl HttpError {
    pub(crate) fn new(code: Code, detail: &'static str) -> Self {
        ErrorKind::Other(code, detail).into()
    }

    /// The refusal of a token in the header, on a path that follows Simple JWT.
    pub(crate) fn of_access_token(failure: Failure, token_type: Option<TokenType>) -> Self {
        ErrorKind::AccessToken { failure, token_type }.into()
    }

    /// An error in the header that carries the token, on a path that follows Simple JWT.
    pub(crate) fn of_access_header(fault: HeaderFault) -> Self {
        match fault {
            // The header carries a token, but a malformed one.
            HeaderFault::NotText => Self::of_access_token(Refusal::from(Invalid::Malformed).into(), None),
            HeaderFault::Missing | HeaderFault::Malformed => fault.into(),
        }
    }

    /// The refusal of a token exchange.
    pub(crate) fn of_exchange(failure: Failure) -> Self {
        ErrorKind::Exchange(failure).into()
    }

    pub(crate) fn of_fields(faults: Map<String, Value>) -> Self {
        ErrorKind::Fields(faults).into()
    }

    pub(crate) fn of_field(name: &str, fault: &str) -> Self {
        Self::of_fields(Map::from_iter([(name.to_owned(), json!([fault]))]))
    }

    pub(crate) fn of_parameter(name: &str, fault: &str) -> Self {
        ErrorKind::Parameter { name: name.to_owned(), fault: fault.to_owned() }.into()
    }

    /// Nothing exists at this path.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "Not found.")
    }

    /// The path exists, but doesn't support this method.
    pub(crate) fn method_not_allowed(method: Method, allow: Arc<str>) -> Self {
        ErrorKind::MethodNotAllowed { method, allow }.into()
    }

    /// The client accepts no available media type.
    pub(crate) fn not_acceptable() -> Self {
        Self::new(Code::NotAcceptable, "Could not satisfy the request Accept header.")
    }

    /// The request carries two refresh tokens.
    pub(crate) fn two_tokens() -> Self {
        Self::new(
            Code::TwoTokens,
            "There are two refresh tokens: in the cookie and in the body, or twice in the cookie.",
        )
    }

    /// The refresh token doesn't fit into its cookie.
    pub(crate) fn too_long_for_a_cookie() -> Self {
        ErrorKind::TooLongForACookie.into()
    }

    /// A page of another site sent the request.
    pub(crate) fn cross_site() -> Self {
        Self::new(Code::CrossSite, "The request comes from a page of another site.")
    }

    /// A bug.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        ErrorKind::Internal(cause.into()).into()
    }

    /// The request took too long.
    pub(crate) fn too_slow() -> Self {
        Self::busy("The request could not be answered in time.")
    }

    /// A request for the feed that names another version, or none.
    pub(crate) fn feed_version(is_named: bool) -> Self {
        ErrorKind::FeedVersion { is_named }.into()
    }

    /// The Authorization header carries no service's credential.
    pub(crate) fn credential_not_valid() -> Self {
        let detail = "The credential is missing or not valid. Create one with `quash client add` or `quash verifier add`.";
        Self::new(Code::CredentialNotValid, detail)
    }

    /// The credential lacks this right.
    pub(crate) fn missing_right(right: Right) -> Self {
        ErrorKind::MissingRight(right).into()
    }

    /// A limit on concurrent work is reached; a retry may succeed.
    pub(crate) fn busy(detail: &'static str) -> Self {
        ErrorKind::Busy(detail).into()
    }

    /// Deletes the refresh token's cookie if the answer is a 401: the token is no longer usable, and browsers
    /// would otherwise send it for the rest of its lifetime.
    pub(crate) fn ending_cookie(self) -> Self {
        Self { ends_cookie: true, ..self }
    }

    pub(crate) fn ends_cookie(&self) -> bool {
        self.ends_cookie
    }

    /// Returns whether the error is a problem document on every path.
    pub(crate) fn is_always_a_problem(&self) -> bool {
        self.kind == ErrorKind::TooLongForACookie
    }
}

/// Passes the error on in the response's extensions. A layer renders it; without one the response is an
/// empty 500, so that no error can be mistaken for a success.
impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<ErrorKind> for HttpError {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, ends_cookie: false }
    }
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        ErrorKind::Failed(failure).into()
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal).into()
    }
}

impl From<BodyError> for HttpError {
    fn from(fault: BodyError) -> Self {
        ErrorKind::Body(fault).into()
    }
}

impl From<HeaderFault> for HttpError {
    fn from(fault: HeaderFault) -> Self {
        ErrorKind::Header(fault).into()
    }
}

impl From<Rejection> for HttpError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Header(fault) => fault.into(),
            Rejection::Token(error) => Failure::from(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unrendered_errors_are_no_success() {
        let answer = HttpError::not_found().into_response();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.extensions().get(), Some(&HttpError::not_found()));
    }
}
