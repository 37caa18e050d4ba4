//! What barred requests are answered: the status, the code and the words of quash's own server (RFC 9457), so that a
//! client need not tell them apart.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use quash_core::model::Refusal;
use serde::Serialize;

use crate::guard::Denied;
use crate::header::{HeaderFault, TokenHeader};
use crate::layer::Barred;

/// Why a request is answered here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Problem {
    /// It brings no token, or one that isn't let in.
    Barred(Barred),
    /// Its token doesn't say what is asked for.
    ClaimMissing,
    /// The route asks for a token, and no layer guards it.
    #[cfg(feature = "axum")]
    NoLayer,
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
    /// The answer, for requests that carry their token in this header.
    pub(crate) fn answer(self, header: &TokenHeader) -> Response<Vec<u8>> {
        let (status, code, title, detail) = self.words();
        let body = Body { r#type: format!("/docs/errors/{code}"), title, status: status.as_u16(), detail, code };
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
        if let Some(retry_after) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
        }
        answer
    }

    fn words(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        let unauthorized = StatusCode::UNAUTHORIZED;
        let not_valid = |detail| (unauthorized, "token_not_valid", "Token not valid", detail);
        let unavailable = |detail| (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail);
        match self {
            Self::Barred(Barred::Header(HeaderFault::Missing)) => {
                (unauthorized, "not_authenticated", "Not authenticated", "Authentication credentials were not provided.")
            }
            Self::Barred(Barred::Header(HeaderFault::Malformed)) => (
                unauthorized,
                "bad_authorization_header",
                "Bad Authorization header",
                "Authorization header must contain two space-delimited values",
            ),
            Self::Barred(Barred::Header(HeaderFault::NotText)) => not_valid("Token is invalid"),
            Self::Barred(Barred::Token(Denied::Refused(refusal))) => not_valid(match refusal {
                Refusal::TokenExpired => "Token is expired",
                Refusal::TokenWithoutExp => "Token has no 'exp' claim",
                Refusal::TokenWithoutId => "Token has no id",
                Refusal::TokenWithoutType => "Token has no type",
                Refusal::TokenOfWrongType => "Token has wrong type",
                Refusal::TokenWithoutUser => "Token contained no recognizable user identification",
                Refusal::TokenRevoked(_) => "Token is blacklisted",
                // What exactly is wrong would help whoever forges tokens.
                _ => "Token is invalid",
            }),
            Self::Barred(Barred::Token(Denied::Stale)) => unavailable("The service cannot tell now whether the token has been revoked."),
            Self::Barred(Barred::Token(Denied::KeysAway)) => unavailable("The keys of the token's issuer cannot be had now."),
            Self::ClaimMissing => {
                (StatusCode::FORBIDDEN, "claim_missing", "Claim missing", "The token does not say what is asked for here.")
            }
            #[cfg(feature = "axum")]
            Self::NoLayer => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Internal error",
                "The request failed because of a fault in the program.",
            ),
        }
    }

    /// As Simple JWT writes it (RFC 9110 11.6.1); for a good token that doesn't suffice as in RFC 6750 3.1.
    fn challenge(self, header: &TokenHeader) -> Option<HeaderValue> {
        let scheme = header.schemes.first().map_or("Bearer", String::as_str);
        let challenge = match self.words().0 {
            StatusCode::UNAUTHORIZED => format!("{scheme} realm=\"api\""),
            StatusCode::FORBIDDEN => format!("{scheme} realm=\"api\", error=\"insufficient_scope\""),
            _ => return None,
        };
        HeaderValue::from_str(&challenge).ok()
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Barred(Barred::Token(Denied::Stale)) => Some(BLIND),
            Self::Barred(Barred::Token(Denied::KeysAway)) => Some(KEYLESS),
            _ => None,
        }
    }
}
