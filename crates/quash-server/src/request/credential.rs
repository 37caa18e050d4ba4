//! The credential of another service, in the header `Authorization: Bearer`. Checked before the body is read:
//! only clients may send long bodies. Clients of the OAuth endpoints have further ways (`api/oauth/mod.rs`).

use http::HeaderMap;
use http::header::AUTHORIZATION;
use quash_core::model::Right;
use quash_service::Credential;
use quash_verify::TokenHeader;

use crate::error::http_error::HttpError;
use crate::state::AppState;

/// Returns the requesting service's credential.
pub(crate) async fn credential(state: &AppState, headers: &HeaderMap) -> Result<Credential, HttpError> {
    state.service.credential(secret(headers)?).await?.ok_or_else(HttpError::credential_not_valid)
}

/// Returns the secret that a request has.
pub(crate) fn secret(headers: &HeaderMap) -> Result<&str, HttpError> {
    let header = TokenHeader { name: AUTHORIZATION, ..TokenHeader::default() };
    header.token(headers).map_err(|_| HttpError::credential_not_valid())
}

/// Returns the requesting service's credential, which must have this right, if only in one namespace.
pub(crate) async fn credential_with(
    state: &AppState,
    headers: &HeaderMap,
    right: Right,
) -> Result<Credential, HttpError> {
    let credential = credential(state, headers).await?;
    if credential.client.may(right) { Ok(credential) } else { Err(HttpError::missing_right(right)) }
}
