//! Error texts for tokens of other issuers that the guard refuses as revoked: if the account's password has
//! changed since, the response says so, as in Simple JWT. The guard knows no accounts, so this module looks
//! the account up, and only where tokens carry a password mark.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quash_core::model::Refusal;
use quash_verify::{Rejection, VerifyError};

use crate::error::http_error::HttpError;
use crate::state::AppState;

/// Marks a response: the token was refused as revoked.
#[derive(Clone, Copy)]
struct Revoked;

/// The response to a rejected request. Marks it if the token was refused as revoked.
pub(crate) fn answer(rejection: Rejection) -> Response {
    let mut answer = HttpError::from(rejection).into_response();
    if let Rejection::Token(VerifyError::Refused(Refusal::TokenRevoked(_))) = rejection {
        answer.extensions_mut().insert(Revoked);
    }
    answer
}

/// Answers with `password_changed` if the token was issued for another password.
pub(crate) async fn explain(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    if state.service.policy().tokens.names.password_mark.is_none() {
        return next.run(request).await;
    }
    let token = state.settings.token_header.token(request.headers()).ok().map(str::to_owned);
    let answer = next.run(request).await;
    match token.filter(|_| answer.extensions().get::<Revoked>().is_some()) {
        Some(token) if state.service.is_of_another_password(&token).await => {
            HttpError::from(Refusal::PasswordChanged).into_response()
        }
        _ => answer,
    }
}
