//! `POST /api/token/verify/`: `{"token"}` of any type returns `{}` if the token would be accepted. It ends
//! nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use utoipa::ToSchema;

use super::{Empty, empty_object, token_field};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::state::AppState;

pub(crate) async fn verify(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let token = token_field(request, "token").await?;
    state.service.verify(&token).await?;
    Ok(empty_object())
}

/// A token of any type.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose field is read by its name")]
struct AnyToken {
    #[schema(min_length = 1)]
    token: String,
}

pub(crate) fn describe_verify() -> Operation {
    Operation::new(Tag::Tokens, "verifyToken", "Returns whether a token would be accepted")
        .text("Accepts refresh tokens, too. To authorize requests, use `/v1/forward-auth`.")
        .fields::<AnyToken>()
        .answers::<Empty>(StatusCode::OK, "The token would be accepted.")
        .refuses(&[
            Code::TokenNotValid,
            Code::NoActiveAccount,
            Code::UserNotFound,
            Code::UserInactive,
            Code::PasswordChanged,
        ])
}
