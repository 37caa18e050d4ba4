//! `GET /livez`: the process responds. `GET /readyz`: it can serve requests; with `?verbose=1` the response
//! lists the checks.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::json as value;

use crate::response::{json, with_header};
use crate::settings::MailWay;
use crate::state::AppState;

/// The `Retry-After` of an unready process, in seconds.
const READY_AFTER_SECS: &str = "5";

pub(crate) async fn livez() -> Response {
    json(StatusCode::OK, &value!({ "status": "ok" }))
}

pub(crate) async fn readyz(State(state): State<Arc<AppState>>, RawQuery(query): RawQuery) -> Response {
    let ready = state.service.ready().await;
    let store_is_ready = ready.is_ok();
    let word = if store_is_ready { "ok" } else { "unavailable" };
    let verbose = query.as_deref().is_some_and(|query| query.split('&').any(|part| part == "verbose=1"));
    let mut body = value!({ "status": word });
    if verbose {
        let mail = match state.settings.mail {
            MailWay::Sent => "ok".to_owned(),
            MailWay::Written => "development: written to standard error".to_owned(),
            MailWay::Waiting(setting) => format!("waiting: {setting} is not set"),
        };
        let log_seq = state.service.guard().cursor().as_u64();
        body["checks"] = value!({ "store": word, "log_seq": log_seq, "mail": mail });
        if let Err(failure) = &ready {
            // Without details of the store: anyone may read it.
            body["reason"] = state.service.not_ready(failure).as_str().into();
        }
    }
    if store_is_ready {
        return json(StatusCode::OK, &body);
    }
    let mut answer = with_header(json(StatusCode::SERVICE_UNAVAILABLE, &body), RETRY_AFTER, READY_AFTER_SECS);
    if let Some(cause) = ready.err().and_then(|failure| state.presentation(&failure.into()).cause()) {
        answer.extensions_mut().insert(cause);
    }
    answer
}
