//! `GET /v1/forward-auth`: whether a proxy may pass on the request whose access token this is, for nginx's `auth_request`,
//! Caddy's `forward_auth` and Traefik's `ForwardAuth`. 204 says whose it is, in headers that the proxy sends on.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::header::HeaderName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quash_core::watch::Live;
use quash_service::Me;

use super::nothing;
use crate::answer::with_header;
use crate::door::Door;

const SUBJECT: HeaderName = HeaderName::from_static("quash-subject");
const USERNAME: HeaderName = HeaderName::from_static("quash-username");
const SESSION: HeaderName = HeaderName::from_static("quash-session");
const EMAIL: HeaderName = HeaderName::from_static("quash-email");

/// What is encoded with `%` in a header: all that could end it, separate two values in it, or be read in two charsets.
const ENCODED: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b'+');

pub(crate) async fn forward_auth(
    State(door): State<Arc<Door>>,
    Extension(live): Extension<Live>,
) -> Response {
    match door.service.me(&live).await {
        Ok(me) => passed(&me),
        Err(failure) => door.fault(&failure).into_problem(&door.settings),
    }
}

/// All headers are there, empty where there is nothing to say: a proxy then replaces what a client has written into them.
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
    said.into_iter().fold(nothing(), |answer, (name, text)| with_header(answer, name, &encoded(text)))
}
