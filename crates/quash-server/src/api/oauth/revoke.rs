//! `POST /oauth2/revoke`: ends a token's session, with all its tokens (RFC 7009). An invalid token counts as
//! revoked: 200 (RFC 7009 2.2).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::Right;
use quash_service::TokenRevoked;
use serde_json::{Map, Value};

use super::{ClientRequest, client_request};
use crate::error::oauth_error::OAuthError;
use crate::response::json;
use crate::state::AppState;

pub(crate) async fn revoke(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let ClientRequest { client, token } = match client_request(&state, request, Right::Revoke).await {
        Ok(client_request) => client_request,
        Err(fault) => return fault.into_response(),
    };
    match state.service.revoke_token(&client, &token).await {
        Ok(TokenRevoked::Ended(_) | TokenRevoked::Nothing) => {
            json(StatusCode::OK, &Value::Object(Map::new()))
        }
        Ok(TokenRevoked::OfAnotherClient) => OAuthError::of_another_client().into_response(),
        Err(failure) => OAuthError::of(&state, &failure).into_response(),
    }
}
