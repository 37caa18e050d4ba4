//! `POST /api/logout/`: the access token in the header, which may have expired, and `{"refresh"}` in the body
//! must belong to the same account. Ends the sessions of both and returns `{}`. A sliding token in the header
//! needs no body.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use quash_core::token::TokenType;
use quash_service::Failure;

use super::{done, refresh_token};
use crate::body::Fields;
use crate::door::Door;
use crate::error::Fault;

pub(crate) async fn log_out(State(door): State<Arc<Door>>, request: Request) -> Response {
    let access = match door.settings.token_header.token(request.headers()) {
        Ok(text) => door.service.access_for_log_out(text).await,
        Err(fault) => return door.answer(door.header_fault(fault)),
    };
    let access = match access {
        Ok(access) => access,
        Err(refused) => {
            let answer = door.answer(door.access_fault(&refused.failure, refused.token_type));
            return if has_dead_cookie(&door, request.headers()).await {
                door.without_dead_cookie(answer)
            } else {
                answer
            };
        }
    };
    let token_type = access.claims().token_type;
    let refresh = match refresh_field(&door, request, token_type).await {
        Ok(refresh) => refresh,
        Err(fault) => return door.answer(fault),
    };
    match (door.service.log_out(&access, refresh.as_deref()).await, refresh) {
        (Ok(_), _) => door.without_cookie(done()),
        (Err(failure), Some(_)) => door.without_dead_cookie(door.answer(door.fault(&failure))),
        (Err(failure), None) => door.answer(door.access_fault(&failure, token_type)),
    }
}

/// Returns the refresh token from the body or the cookie. A logout with a sliding token has none.
async fn refresh_field(
    door: &Door,
    request: Request,
    token_type: Option<TokenType>,
) -> Result<Option<String>, Fault> {
    let headers = request.headers().clone();
    let mut fields = Fields::read(request).await?;
    if token_type == Some(TokenType::Sliding)
        && !fields.has("refresh")
        && door.sent_cookie(&headers)?.is_none()
    {
        return Ok(None);
    }
    let token = refresh_token(door, &headers, &mut fields)?;
    fields.done()?;
    Ok(Some(token))
}

/// Returns whether the refresh token in the cookie is refused, independent of the access token.
async fn has_dead_cookie(door: &Door, headers: &HeaderMap) -> bool {
    match door.sent_cookie(headers) {
        Ok(Some(token)) => matches!(door.service.verify(token).await, Err(Failure::Refused(_))),
        _ => false,
    }
}
