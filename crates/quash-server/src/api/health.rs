//! `GET /livez`: the process responds. `GET /readyz`: it can serve requests; with `?verbose=1` the response
//! lists the checks.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;

use crate::openapi::operation::{Operation, Tag};
use crate::response::{json, with_header};
use crate::settings::MailWay;
use crate::state::AppState;

/// The `Retry-After` of an unready process, in seconds.
const READY_AFTER_SECS: &str = "5";

#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ok` or `unavailable`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Checks, required = false)]
    checks: Option<Checks>,
    /// The reason, if it can't serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    reason: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct Checks {
    /// `ok` or `unavailable`.
    store: &'static str,
    /// The newest number of the log that this process knows.
    log_seq: u64,
    /// `ok`, or the setting that is missing.
    mail: String,
}

#[derive(Serialize, ToSchema)]
struct Liveness {
    status: &'static str,
}

pub(crate) async fn livez() -> Response {
    json(StatusCode::OK, &Liveness { status: "ok" })
}

pub(crate) async fn readyz(State(state): State<Arc<AppState>>, RawQuery(query): RawQuery) -> Response {
    let ready = state.service.ready().await;
    let store_is_ready = ready.is_ok();
    let word = if store_is_ready { "ok" } else { "unavailable" };
    let verbose = query.as_deref().is_some_and(|query| query.split('&').any(|part| part == "verbose=1"));
    let body = if verbose {
        let mail = match state.settings.mail {
            MailWay::Sent => "ok".to_owned(),
            MailWay::Written => "development: written to standard error".to_owned(),
            MailWay::Waiting(setting) => format!("waiting: {setting} is not set"),
        };
        let log_seq = state.service.guard().cursor().as_u64();
        let reason = ready.as_ref().err().map(|failure| state.service.not_ready(failure).as_str());
        Readiness { status: word, checks: Some(Checks { store: word, log_seq, mail }), reason }
    } else {
        Readiness { status: word, checks: None, reason: None }
    };
    if store_is_ready {
        return json(StatusCode::OK, &body);
    }
    let mut answer = with_header(json(StatusCode::SERVICE_UNAVAILABLE, &body), RETRY_AFTER, READY_AFTER_SECS);
    if let Some(cause) = ready.err().and_then(|failure| state.presentation(&failure.into()).cause()) {
        answer.extensions_mut().insert(cause);
    }
    answer
}

pub(crate) fn describe_livez() -> Operation {
    Operation::new(Tag::Server, "getLiveness", "Tells that the process responds")
        .answers::<Liveness>(StatusCode::OK, "The process responds.")
}

pub(crate) fn describe_readyz() -> Operation {
    let retry_after = value!({ "description": "The time to wait, in whole seconds.", "required": true, "schema": { "type": "integer" } });
    Operation::new(Tag::Server, "getReadiness", "Tells whether the process can serve requests")
        .query("verbose", value!({ "type": "string" }), "`1` lists the checks.")
        .answers::<Readiness>(StatusCode::OK, "It can.")
        .answers::<Readiness>(StatusCode::SERVICE_UNAVAILABLE, "It can't use its store now.")
        .answers_header(StatusCode::SERVICE_UNAVAILABLE, "Retry-After", retry_after)
}
