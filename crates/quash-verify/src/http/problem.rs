//! The answers to rejected requests (RFC 9457): status, code and texts. Quash's own endpoints use them too,
//! so that clients handle an application's answers and quash's alike.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use quash_core::model::Refusal;
use serde_json::Value;

use crate::http::header::{HeaderFault, TokenHeader};
use crate::verify_error::VerifyError;

/// The reason why a request is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// No token can be taken from the request.
    Header(HeaderFault),
    /// The token isn't accepted.
    Token(VerifyError),
}

/// The answer to a rejected request.
///
/// ```
/// use quash_verify::{Rejection, HeaderFault, Problem};
/// let problem = Problem::of(Rejection::Header(HeaderFault::Missing));
/// assert_eq!((problem.status.as_u16(), problem.code), (401, "not_authenticated"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The code for programs. The issuer documents it at `/docs/errors/<code>`.
    pub code: &'static str,
    /// The summary, the same for each answer with this code.
    pub title: &'static str,
    /// The explanation of this answer.
    pub detail: &'static str,
    /// The time after which the client may try again.
    pub retry_after: Option<Duration>,
}

const STALE_RETRY_AFTER: Duration = Duration::from_secs(1);
const KEYS_RETRY_AFTER: Duration = Duration::from_secs(10);

impl Problem {
    /// The token is valid but lacks a claim that the route requires.
    pub const CLAIM_MISSING: Self = Self::new(
        StatusCode::FORBIDDEN,
        "claim_missing",
        "Claim missing",
        "The token lacks a claim that is required here.",
    );
    /// The program has a bug.
    pub const INTERNAL_ERROR: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "Internal error",
        "The request failed because of a fault in the program.",
    );

    /// Returns the answer to a request without a token, or with one that isn't accepted.
    pub const fn of(barred: Rejection) -> Self {
        match barred {
            Rejection::Header(HeaderFault::Missing) => Self::unauthorized(
                "not_authenticated",
                "Not authenticated",
                "Authentication credentials were not provided.",
            ),
            Rejection::Header(HeaderFault::Malformed) => Self::unauthorized(
                "bad_authorization_header",
                "Bad Authorization header",
                "Authorization header must contain two space-delimited values",
            ),
            Rejection::Header(HeaderFault::NotText) => Self::not_valid("Token is invalid"),
            Rejection::Token(VerifyError::Refused(refusal)) => Self::not_valid(match refusal {
                Refusal::TokenExpired => "Token is expired",
                Refusal::TokenWithoutExp => "Token has no 'exp' claim",
                Refusal::TokenWithoutId => "Token has no id",
                Refusal::TokenWithoutType => "Token has no type",
                Refusal::TokenOfWrongType => "Token has wrong type",
                Refusal::TokenWithoutUser => "Token contained no recognizable user identification",
                Refusal::TokenRevoked(_) => "Token is blacklisted",
                // The exact fault is only in the log and the command line's output: it would help an attacker
                // who forges tokens.
                _ => "Token is invalid",
            }),
            Rejection::Token(VerifyError::Stale) => Self::unavailable(
                "The service cannot tell now whether the token has been revoked.",
                STALE_RETRY_AFTER,
            ),
            Rejection::Token(VerifyError::KeysUnavailable) => {
                Self::unavailable("The keys of the token's issuer are unavailable now.", KEYS_RETRY_AFTER)
            }
        }
    }

    /// Builds the response, for requests that carry their token in this header.
    pub fn answer(self, header: &TokenHeader) -> Response<Vec<u8>> {
        let Self { status, code, title, detail, retry_after } = self;
        // The type is a relative reference to the issuer's page, the same that its own endpoints give.
        let [page, title, detail, name] =
            [&format!("/docs/errors/{code}"), title, detail, code].map(|text| Value::from(text).to_string());
        let status_code = status.as_u16();
        let body = format!(
            r#"{{"type":{page},"title":{title},"status":{status_code},"detail":{detail},"code":{name}}}"#
        );
        let mut answer = Response::new(body.into_bytes());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if let Some(challenge) = self.challenge(header) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(retry_after) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
        }
        answer
    }

    /// Returns the challenge in Simple JWT's form (RFC 9110 11.6.1), or in that of RFC 6750 3.1 if the token
    /// is valid but insufficient.
    fn challenge(self, header: &TokenHeader) -> Option<HeaderValue> {
        let scheme = header.schemes.first().map_or("Bearer", String::as_str);
        let challenge = match self.status {
            StatusCode::UNAUTHORIZED => format!("{scheme} realm=\"api\""),
            StatusCode::FORBIDDEN => format!("{scheme} realm=\"api\", error=\"insufficient_scope\""),
            _ => return None,
        };
        HeaderValue::from_str(&challenge).ok()
    }

    const fn unauthorized(code: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, title, detail)
    }

    const fn not_valid(detail: &'static str) -> Self {
        Self::unauthorized("token_not_valid", "Token not valid", detail)
    }

    const fn unavailable(detail: &'static str, retry_after: Duration) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail);
        Self { retry_after: Some(retry_after), ..problem }
    }

    const fn new(status: StatusCode, code: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self { status, code, title, detail, retry_after: None }
    }
}
