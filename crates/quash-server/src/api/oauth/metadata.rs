//! `GET /.well-known/oauth-authorization-server`: the OAuth endpoints and features that exist here (RFC
//! 8414).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::response::{json, with_header};
use crate::state::AppState;

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";
/// The authentication methods of clients (RFC 8414 2, RFC 6749 2.3.1).
const METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];
/// The authentication methods at endpoints that also admit public clients.
const METHODS_OR_NONE: [&str; 3] = [METHODS[0], METHODS[1], "none"];

/// The metadata of the issuer (RFC 8414).
#[derive(Serialize, ToSchema)]
#[schema(as = IssuerMetadata)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    /// Empty, as there is no authorization endpoint. RFC 8414 3.2 omits empty arrays, but this member is
    /// required, and omitting the next one would imply default grants (RFC 8414 2).
    #[schema(value_type = Vec<String>)]
    response_types_supported: [&'static str; 0],
    #[schema(value_type = Vec<String>)]
    grant_types_supported: [&'static str; 0],
    introspection_endpoint: String,
    #[schema(value_type = Vec<String>)]
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint: String,
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
}

/// The same metadata at the path for an issuer with a path: the issuer's path follows the well-known one (RFC
/// 8414 3.1).
pub(crate) async fn metadata_of_path(
    State(state): State<Arc<AppState>>,
    uri: Uri,
) -> Result<Response, HttpError> {
    let url = state.settings.public_url.as_ref().map(ToString::to_string);
    let issuer = state.service.policy().tokens.issuer.clone().or(url);
    let client_request = uri.path().strip_prefix(WELL_KNOWN);
    if client_request.is_some() && client_request == issuer.as_deref().and_then(path_of) {
        metadata(State(state)).await
    } else {
        Err(HttpError::not_found())
    }
}

/// The path of an issuer's URL, without a trailing slash. `None` if there is none, or the issuer isn't a URL.
fn path_of(issuer: &str) -> Option<&str> {
    let (_, rest) = issuer.split_once("://")?;
    let path = rest[rest.find('/')?..].trim_end_matches('/');
    Some(path).filter(|path| !path.is_empty())
}

pub(crate) async fn metadata(State(state): State<Arc<AppState>>) -> Result<Response, HttpError> {
    let Some(url) = &state.settings.public_url else {
        return Err(HttpError::new(
            Code::NotFound,
            "There is no metadata while the setting http.public_url is missing.",
        ));
    };
    let metadata = Metadata {
        issuer: state.service.policy().tokens.issuer.clone().unwrap_or_else(|| url.to_string()),
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
    Ok(answer)
}

pub(crate) fn describe_metadata() -> Operation {
    described("getMetadata", "Lists the available OAuth endpoints (RFC 8414)")
}

pub(crate) fn describe_metadata_of_path() -> Operation {
    described("getMetadataOfPath", "The same, for an issuer with a path")
        .in_path("path", "The path of the issuer.")
}

fn described(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Tag::OAuth, id, summary)
        .answers::<Metadata>(StatusCode::OK, "The metadata, which may be cached for 300 seconds.")
        .refuses(&[Code::NotFound])
}
