//! `POST /oauth2/revoke`: ends a token's session, with all its tokens (RFC 7009). An invalid token counts as
//! revoked: 200 (RFC 7009 2.2).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::Right;
use quash_service::TokenRevoked;
use serde_json::{Map, Value};

use super::{Asked, asked};
use crate::answer::json;
use crate::door::Door;
use crate::oauth_error::OAuthFault;

pub(crate) async fn revoke(State(door): State<Arc<Door>>, request: Request) -> Response {
    let Asked { client, token } = match asked(&door, request, Right::Revoke).await {
        Ok(asked) => asked,
        Err(fault) => return fault.into_answer(),
    };
    match door.service.revoke_token(&client, &token).await {
        Ok(TokenRevoked::Ended(_) | TokenRevoked::Nothing) => {
            json(StatusCode::OK, &Value::Object(Map::new()))
        }
        Ok(TokenRevoked::OfAnotherClient) => OAuthFault::of_another_client().into_answer(),
        Err(failure) => OAuthFault::of(&door, &failure).into_answer(),
    }
}
