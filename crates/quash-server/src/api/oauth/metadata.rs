//! `GET /.well-known/oauth-authorization-server`: what there is of OAuth here, and where (RFC 8414). Nothing is named that
//! isn't there.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{StatusCode, Uri};
use serde::Serialize;

use crate::answer::{json, with_header};
use crate::door::Door;
use crate::error::Fault;

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";
/// How clients authenticate (RFC 8414 2, RFC 6749 2.3.1).
const METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];
/// How they do where public ones may come, too.
const METHODS_OR_NONE: [&str; 3] = [METHODS[0], METHODS[1], "none"];

#[derive(Serialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    /// There is no authorization endpoint. An empty array is to be left out (RFC 8414 3.2), but this one is required, and
    /// whoever leaves out the next says that there are grants (RFC 8414 2).
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 0],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
}

/// The same where clients look that know an issuer with a path: the path follows the well-known one (RFC 8414 3.1).
pub(crate) async fn metadata_of_path(State(door): State<Arc<Door>>, uri: Uri) -> Response {
    let url = door.settings.public_url.as_ref().map(ToString::to_string);
    let issuer = door.service.policy().tokens.issuer.clone().or(url);
    let asked = uri.path().strip_prefix(WELL_KNOWN);
    if asked.is_some() && asked == issuer.as_deref().and_then(path_of) {
        metadata(State(door)).await
    } else {
        Fault::not_found().into_problem(&door.settings)
    }
}

/// The path of an issuer's URL, without a slash at its end; `None`: it has none, or isn't a URL.
fn path_of(issuer: &str) -> Option<&str> {
    let (_, rest) = issuer.split_once("://")?;
    let path = rest[rest.find('/')?..].trim_end_matches('/');
    Some(path).filter(|path| !path.is_empty())
}

pub(crate) async fn metadata(State(door): State<Arc<Door>>) -> Response {
    let Some(url) = &door.settings.public_url else {
        return Fault::without_public_url().into_problem(&door.settings);
    };
    let metadata = Metadata {
        issuer: door.service.policy().tokens.issuer.clone().unwrap_or_else(|| url.to_string()),
        jwks_uri: format!("{url}/.well-known/jwks.json"),
        response_types_supported: [],
        grant_types_supported: [],
        introspection_endpoint: format!("{url}/oauth2/introspect"),
        introspection_endpoint_auth_methods_supported: METHODS,
        revocation_endpoint: format!("{url}/oauth2/revoke"),
        revocation_endpoint_auth_methods_supported: METHODS_OR_NONE,
    };
    let mut answer = with_header(json(StatusCode::OK, &metadata), CACHE_CONTROL, "public, max-age=300");
    answer.headers_mut().remove(PRAGMA);
    answer
}
