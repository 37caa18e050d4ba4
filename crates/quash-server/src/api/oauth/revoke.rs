//! `POST /oauth2/revoke`: ends a token's session, with all its tokens (RFC 7009). An invalid token counts as
//! revoked: 200 (RFC 7009 2.2).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::Right;
use quash_service::TokenRevoked;
use serde_json::{Map, Value};

use super::{ClientRequest, client_request, described};
use crate::api::Empty;
use crate::error::oauth_error::{OAuthError, OAuthErrorCode, describe_errors};
use crate::openapi::operation::{Operation, Tag};
use crate::response::json;
use crate::state::AppState;

pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, OAuthError> {
    let ClientRequest { client, token } = client_request(&state, request, Right::Revoke).await?;
    let revoked = state.service.revoke_token(&client, &token).await;
    match revoked.map_err(|failure| OAuthError::of(&state, &failure))? {
        TokenRevoked::Ended(_) | TokenRevoked::Nothing => {
            Ok(json(StatusCode::OK, &Value::Object(Map::new())))
        }
        TokenRevoked::OfAnotherClient => Err(OAuthError::of_another_client()),
    }
}

pub(crate) fn describe_revoke() -> Operation {
    let operation = Operation::new(Tag::OAuth, "revokeToken", "Ends a token's session (RFC 7009)")
        .text("Requires the right `revoke`. A public client sends its name alone.")
        .answers::<Empty>(StatusCode::OK, "The session has ended, or the token wasn't valid.");
    describe_errors(described(operation), &[OAuthErrorCode::InvalidGrant])
}
