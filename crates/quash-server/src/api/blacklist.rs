//! `POST /api/token/blacklist/`: `{"refresh"}` ends the token's session and returns `{}`. A repeated request
//! gets a 401.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use super::{Empty, RefreshToken, empty_object, presented_refresh};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::state::AppState;

pub(crate) async fn blacklist(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let token = presented_refresh(&state, request).await?;
    match state.service.blacklist(&token).await {
        Ok(_) => Ok(state.without_cookie(empty_object())),
        Err(failure) => Err(HttpError::from(failure).ending_cookie()),
    }
}

pub(crate) fn describe_blacklist() -> Operation {
    Operation::new(Tag::Tokens, "blacklistToken", "Ends the session of a refresh token")
        .fields::<RefreshToken>()
        .answers::<Empty>(StatusCode::OK, "The session has ended.")
        .refuses(&[
            Code::TokenNotValid,
            Code::NotAuthenticated,
            Code::NoActiveAccount,
            Code::UserNotFound,
            Code::UserInactive,
            Code::PasswordChanged,
            Code::TwoTokens,
        ])
}
