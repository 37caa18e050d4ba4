//! `GET /v1/forward-auth`: tells a proxy whether it may forward the request that carries this access token,
//! for nginx's `auth_request`, Caddy's `forward_auth` and Traefik's `ForwardAuth`. A 204 names the user, in
//! headers that the proxy forwards.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::HeaderName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quash_core::watch::Live;
use quash_service::Me;
use serde_json::json;

use super::no_content;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::response::with_header;
use crate::state::AppState;

const SUBJECT: HeaderName = HeaderName::from_static("quash-subject");
const USERNAME: HeaderName = HeaderName::from_static("quash-username");
const SESSION: HeaderName = HeaderName::from_static("quash-session");
const EMAIL: HeaderName = HeaderName::from_static("quash-email");

/// Characters that are percent-encoded in a header: all that could end the header, separate two values in it,
/// or be read differently in two charsets.
const ENCODED: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b'+');

pub(crate) async fn forward_auth(
    State(state): State<Arc<AppState>>,
    Extension(live): Extension<Live>,
) -> Result<Response, HttpError> {
    Ok(passed(&state.service.me(&live).await?))
}

/// Sets every header, with an empty value where there is none, so that a proxy overwrites values from the
/// client.
fn passed(me: &Me) -> Response {
    let email = me.account.email.as_ref().filter(|email| email.verified_at.is_some());
    let session = me.session.map(|session| session.to_string());
    let said = [
        (SUBJECT, me.account.subject.as_str()),
        (USERNAME, me.account.username.shown()),
        (SESSION, session.as_deref().unwrap_or_default()),
        (EMAIL, email.map_or("", |email| email.shown.as_str())),
    ];
    let encoded = |text| utf8_percent_encode(text, &ENCODED).to_string();
    said.into_iter().fold(no_content(), |answer, (name, text)| with_header(answer, name, &encoded(text)))
}

pub(crate) fn describe_forward_auth() -> Operation {
    let header = |text| json!({ "description": text, "required": true, "schema": { "type": "string" } });
    Operation::new(Tag::Proxies, "forwardAuth", "Tells a proxy whether to pass a request on")
        .answers_empty("The token is live. The values of the headers are percent-encoded.")
        .answers_header(StatusCode::NO_CONTENT, "Quash-Subject", header("The account's subject."))
        .answers_header(StatusCode::NO_CONTENT, "Quash-Username", header("The account's name."))
        .answers_header(
            StatusCode::NO_CONTENT,
            "Quash-Session",
            header("The session; empty for a token of another issuer."),
        )
        .answers_header(
            StatusCode::NO_CONTENT,
            "Quash-Email",
            header("The address; empty unless it is confirmed."),
        )
}
