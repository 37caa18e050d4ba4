//! Helpers of the middlewares: the token of a request, and the answers to rejected requests, which are those
//! of the Rust layer.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use pyo3::prelude::*;
use quash_core::model::{Invalid, Refusal};
use quash_verify::{HeaderFault, Problem, Rejection, TokenHeader, VerifyError};

/// An answer: status, headers, body.
type Response = (u16, Vec<(String, String)>, Vec<u8>);

/// Each refusal whose answer has a text of its own; the last one stands for all others.
const REFUSALS: [Refusal; 8] = [
    Refusal::TokenInvalid(Invalid::Malformed),
    Refusal::TokenExpired,
    Refusal::TokenWithoutExp,
    Refusal::TokenWithoutId,
    Refusal::TokenWithoutType,
    Refusal::TokenOfWrongType,
    Refusal::TokenWithoutUser,
    Refusal::TokenRevoked(None),
];

/// Returns the token in a request's `Authorization` headers, or the code of the problem.
#[pyfunction]
pub(crate) fn bearer(values: Vec<Vec<u8>>) -> (Option<String>, Option<&'static str>) {
    let mut headers = HeaderMap::new();
    for value in values {
        match HeaderValue::from_bytes(&value) {
            Ok(value) => drop(headers.append(AUTHORIZATION, value)),
            Err(_) => return (None, Some(code(HeaderFault::NotText))),
        }
    }
    match TokenHeader::default().token(&headers) {
        Ok(token) => (Some(token.to_owned()), None),
        Err(fault) => (None, Some(code(fault))),
    }
}

/// Returns the answer for a problem.
#[pyfunction]
#[pyo3(signature = (code, detail=None))]
pub(crate) fn problem(code: &str, detail: Option<&str>) -> Response {
    let headers = [HeaderFault::Missing, HeaderFault::Malformed].map(Rejection::Header);
    let refusals = REFUSALS.map(|refusal| Rejection::Token(VerifyError::Refused(refusal)));
    let doubts = [VerifyError::Stale, VerifyError::KeysUnavailable].map(Rejection::Token);
    let all = headers.into_iter().chain(refusals).chain(doubts).map(Problem::of);
    let mut of_code = all.chain([Problem::CLAIM_MISSING]).filter(|problem| problem.code == code).peekable();
    let first = of_code.peek().copied().unwrap_or(Problem::INTERNAL_ERROR);
    let found = of_code.find(|problem| detail.is_none_or(|detail| problem.detail == detail)).unwrap_or(first);
    let (parts, body) = found.answer(&TokenHeader::default()).into_parts();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    (parts.status.as_u16(), headers.collect(), body)
}

fn code(fault: HeaderFault) -> &'static str {
    Problem::of(Rejection::Header(fault)).code
}
