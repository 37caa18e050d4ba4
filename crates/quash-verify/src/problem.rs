//! What requests are told that aren't let in (RFC 9457): status, code and words. Quash's own doors take them from here, so
//! that a client need not tell them apart from those of an application.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use quash_core::model::Refusal;
use serde::Serialize;

use crate::denied::Denied;
use crate::header::{HeaderFault, TokenHeader};
use crate::layer::Barred;

/// What a request is told that isn't let in.
///
/// ```
/// use quash_verify::{Barred, HeaderFault, Problem};
/// let problem = Problem::of(Barred::Header(HeaderFault::Missing));
/// assert_eq!((problem.status.as_u16(), problem.code), (401, "not_authenticated"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What programs go by. The issuer has a page about it, `/docs/errors/<code>`.
    pub code: &'static str,
    /// What is said whenever there is this code.
    pub title: &'static str,
    /// What is said about this request.
    pub detail: &'static str,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
}

const BLIND: Duration = Duration::from_secs(1);
const KEYLESS: Duration = Duration::from_secs(10);

impl Problem {
    /// The token is good, but doesn't say what the route asks for.
    pub const CLAIM_MISSING: Self = Self::new(
        StatusCode::FORBIDDEN,
        "claim_missing",
        "Claim missing",
        "The token does not say what is asked for here.",
    );
    /// A fault in the program.
    pub const INTERNAL_ERROR: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "Internal error",
        "The request failed because of a fault in the program.",
    );

    /// What a request is told that brings no token, or one that isn't let in.
    pub const fn of(barred: Barred) -> Self {
        match barred {
            Barred::Header(HeaderFault::Missing) => Self::unauthorized(
                "not_authenticated",
                "Not authenticated",
                "Authentication credentials were not provided.",
            ),
            Barred::Header(HeaderFault::Malformed) => Self::unauthorized(
                "bad_authorization_header",
                "Bad Authorization header",
                "Authorization header must contain two space-delimited values",
            ),
            Barred::Header(HeaderFault::NotText) => Self::not_valid("Token is invalid"),
            Barred::Token(Denied::Refused(refusal)) => Self::not_valid(match refusal {
                Refusal::TokenExpired => "Token is expired",
                Refusal::TokenWithoutExp => "Token has no 'exp' claim",
                Refusal::TokenWithoutId => "Token has no id",
                Refusal::TokenWithoutType => "Token has no type",
                Refusal::TokenOfWrongType => "Token has wrong type",
                Refusal::TokenWithoutUser => "Token contained no recognizable user identification",
                Refusal::TokenRevoked(_) => "Token is blacklisted",
                // What exactly is wrong is for the log and the command line: it would help whoever forges tokens.
                _ => "Token is invalid",
            }),
            Barred::Token(Denied::Stale) => {
                Self::unavailable("The service cannot tell now whether the token has been revoked.", BLIND)
            }
            Barred::Token(Denied::KeysAway) => {
                Self::unavailable("The keys of the token's issuer cannot be had now.", KEYLESS)
            }
        }
    }

    /// The answer, for requests that carry their token in this header.
    pub(crate) fn answer(self, header: &TokenHeader) -> Response<Vec<u8>> {
        let Self { status, code, title, detail, retry_after } = self;
        // The page is the issuer's, and this the reference that its own doors give.
        let body =
            Body { r#type: format!("/docs/errors/{code}"), title, status: status.as_u16(), detail, code };
        // Texts and a number can't fail to be written.
        let mut answer = Response::new(serde_json::to_vec(&body).unwrap_or_default());
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

    /// As Simple JWT writes it (RFC 9110 11.6.1); for a good token that doesn't suffice as in RFC 6750 3.1.
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
