//! `Prefer: wait=effective` (RFC 7240): delays the response to a request that ends something until every
//! verifier either knows of it or has lost its lease. The member `effective` of the response says which
//! change was awaited, and for how long.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use quash_service::{BarrierResult, VerifierState};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::error::http_error::HttpError;
use crate::response::JSON;
use crate::state::AppState;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The preference, in the request and in `Preference-Applied`.
const WAIT: &str = "wait=effective";
/// The longest response that a member is added to, in bytes. Every response to a request that ends something
/// is shorter.
const ANSWER_BYTES: usize = 64 * 1024;

/// Delays the response if the client wants the change to be in force everywhere.
pub(crate) async fn effective(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let waits = !request.method().is_safe() && prefers(request.headers());
    let answer = next.run(request).await;
    if !waits || !answer.status().is_success() {
        return answer;
    }
    let effective = match state.service.effective_now().await {
        Ok(effective) => summary(&effective),
        // The change is in force here. A client that repeats the request learns that there is nothing left to
        // end.
        Err(failure) => return HttpError::from(failure).into_response(),
    };
    with_member(answer, effective).await.unwrap_or_else(|| {
        HttpError::internal("failed to read a response to add the member effective").into_response()
    })
}

fn prefers(headers: &HeaderMap) -> bool {
    // Reads bytes: another preference with a byte beyond ASCII must not hide this one.
    let mut parts =
        headers.get_all(PREFER).iter().flat_map(|value| value.as_bytes().split(|byte| b",;".contains(byte)));
    parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(WAIT.as_bytes()))
}

/// What was awaited.
#[derive(Serialize, ToSchema)]
struct Effective {
    /// The newest entry of the log that was awaited.
    seq: u64,
    #[schema(format = DateTime)]
    effective_at: String,
    verifiers: VerifierCounts,
    /// The time that the slowest verifier has taken, in milliseconds.
    ms: u64,
}

/// The number of verifiers in each state. Their names are for operators only.
#[derive(Serialize, ToSchema)]
struct VerifierCounts {
    confirmed: usize,
    stale: usize,
    not_bound: usize,
}

/// The member that is added to a response.
#[derive(ToSchema)]
pub(crate) struct WithEffective {
    #[expect(dead_code, reason = "describes a member that is added to any object")]
    #[schema(value_type = Effective, required = false)]
    effective: Option<Effective>,
}

fn summary(effective: &BarrierResult) -> Value {
    let count = |state| effective.verifiers.iter().filter(|verifier| verifier.state == state).count();
    let slowest = effective.verifiers.iter().map(|verifier| verifier.after).max().unwrap_or_default();
    json!(Effective {
        seq: effective.seq.as_u64(),
        effective_at: quash_service::rfc3339(effective.effective_at),
        verifiers: VerifierCounts {
            confirmed: count(VerifierState::Confirmed),
            stale: count(VerifierState::Stale),
            not_bound: count(VerifierState::NotBound),
        },
        ms: u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX),
    })
}

async fn with_member(answer: Response, effective: Value) -> Option<Response> {
    let (mut head, body) = answer.into_parts();
    let body = to_bytes(body, ANSWER_BYTES).await.ok()?;
    let mut members = if body.is_empty() { Map::new() } else { serde_json::from_slice(&body).ok()? };
    members.insert("effective".into(), effective);
    if head.status == StatusCode::NO_CONTENT {
        head.status = StatusCode::OK;
    }
    head.headers.remove(CONTENT_LENGTH);
    head.headers.entry(CONTENT_TYPE).or_insert(JSON);
    head.headers.insert(APPLIED, HeaderValue::from_static(WAIT));
    Some(Response::from_parts(head, Body::from(Value::Object(members).to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_preferences_do_not_hide_wait_effective() {
        for line in [
            &b"wait=effective"[..],
            b"respond-async, Wait=Effective",
            b"a=\xff; wait=effective",
            b"\xe9, wait=effective",
        ] {
            let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_bytes(line).expect("a header"))]);
            assert!(prefers(&headers), "{line:?}");
        }
        assert!(!prefers(&HeaderMap::from_iter([(PREFER, HeaderValue::from_static("wait=10"))])));
    }
}
