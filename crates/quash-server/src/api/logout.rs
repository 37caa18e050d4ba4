//! `POST /api/logout/`: the access token in the header, which may have expired, and `{"refresh"}` in the body
//! must belong to the same account. Ends the sessions of both and returns `{}`. A sliding token in the header
//! needs no body.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use quash_core::token::TokenType;
use quash_service::{Failure, RefusedAccess};

use super::{Empty, RefreshToken, empty_object, refresh_token};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::ACCESS_TOKEN;
use crate::openapi::operation::{Operation, Tag};
use crate::request::fields::Fields;
use crate::state::AppState;

pub(crate) async fn log_out(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let header = state.settings.token_header.token(request.headers());
    let access = match state.service.access_for_log_out(header.map_err(HttpError::of_access_header)?).await {
        Ok(access) => access,
        Err(RefusedAccess { failure, token_type }) => {
            let error = HttpError::of_access_token(failure, token_type);
            let is_dead = has_dead_cookie(&state, request.headers()).await;
            return Err(if is_dead { error.ending_cookie() } else { error });
        }
    };
    let token_type = access.claims().token_type;
    let refresh = refresh_field(&state, request, token_type).await?;
    match (state.service.log_out(&access, refresh.as_deref()).await, refresh) {
        (Ok(_), _) => Ok(state.without_cookie(empty_object())),
        (Err(failure), Some(_)) => Err(HttpError::from(failure).ending_cookie()),
        (Err(failure), None) => Err(HttpError::of_access_token(failure, token_type)),
    }
}

/// Returns the refresh token from the body or the cookie. A logout with a sliding token has none.
async fn refresh_field(
    state: &AppState,
    request: Request,
    token_type: Option<TokenType>,
) -> Result<Option<String>, HttpError> {
    let headers = request.headers().clone();
    let mut fields = Fields::read(request).await?;
    if token_type == Some(TokenType::Sliding)
        && !fields.has("refresh")
        && state.sent_cookie(&headers)?.is_none()
    {
        return Ok(None);
    }
    let token = refresh_token(state, &headers, &mut fields)?;
    fields.done()?;
    Ok(Some(token))
}

/// Returns whether the refresh token in the cookie is refused, independent of the access token.
async fn has_dead_cookie(state: &AppState, headers: &HeaderMap) -> bool {
    match state.sent_cookie(headers) {
        Ok(Some(token)) => matches!(state.service.verify(token).await, Err(Failure::Refused(_))),
        _ => false,
    }
}

pub(crate) fn describe_log_out() -> Operation {
    Operation::new(Tag::Tokens, "logOut", "Ends the session of an access and a refresh token")
        .text("The access token may have expired. A sliding token in the header needs no body.")
        .secured_by(ACCESS_TOKEN)
        .optional_fields::<RefreshToken>()
        .answers::<Empty>(StatusCode::OK, "The session has ended.")
        .refuses(&[
            Code::TokenNotValid,
            Code::NotAuthenticated,
            Code::BadAuthorizationHeader,
            Code::NoActiveAccount,
            Code::UserNotFound,
            Code::UserInactive,
            Code::PasswordChanged,
            Code::TwoTokens,
            Code::TokensOfTwoAccounts,
        ])
}
