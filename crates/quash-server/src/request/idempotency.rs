//! The header `Idempotency-Key`: a request that is sent again within ten minutes, because its answer was lost, gets the
//! first answer and changes nothing (draft-ietf-httpapi-idempotency-key-header).

use std::sync::Arc;

use axum::response::Response;
use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use quash_core::model::Client;
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::Operation;
use crate::response::{FirstAnswer, json_bytes};
use crate::state::AppState;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest `Idempotency-Key`, in characters.
const KEY_CHARS: usize = 255;

/// Carries a client's request out, or returns the first answer to a request with the same key for the same operation.
/// Errors aren't remembered.
pub(crate) async fn once<T: Serialize>(
    state: &AppState,
    client: &Client,
    key: Option<String>,
    operation: &str,
    request: impl Future<Output = Result<(StatusCode, T), HttpError>>,
) -> Result<Response, HttpError> {
    let answer = async {
        let (status, body) = request.await?;
        let body = serde_json::to_vec(&body)
            .map_err(|error| HttpError::internal(format!("failed to serialize a response: {error}")))?;
        Ok::<_, HttpError>(FirstAnswer { status, body: Arc::new(Zeroizing::new(body)) })
    };
    let FirstAnswer { status, body } = match key {
        Some(key) => {
            let key = format!("{operation} {key}");
            state.answers.once(client, &key, state.service.uptime(), answer).await?
        }
        None => answer.await?,
    };
    Ok(json_bytes(status, body.to_vec()))
}

/// Returns the key under which the first answer is remembered.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_key = |key: &&str| {
        (1..=KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    };
    let key = value.to_str().ok().filter(is_key).filter(|_| values.next().is_none());
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = "The header Idempotency-Key must have 1 to 255 ASCII characters, and be sent once.";
        HttpError::new(Code::InvalidRequest, detail)
    })
}

/// Describes [`idempotency_key`].
pub(crate) fn describe_key(operation: Operation) -> Operation {
    let key: Value = json!({ "type": "string", "minLength": 1, "maxLength": KEY_CHARS });
    operation
        .header(
            "Idempotency-Key",
            key,
            "A request with a key that was used within ten minutes gets the first answer.",
        )
        .refuses(&[Code::InvalidRequest])
}
