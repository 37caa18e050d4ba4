//! Error texts for tokens of other issuers that the guard refuses as revoked: if the account's password has
//! changed since, the response says so, as in Simple JWT. The guard knows no accounts, so this module looks
//! the account up, and only where tokens carry a password mark.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use quash_core::model::Refusal;
use quash_service::Failure;
use quash_verify::{Barred, Denied};

use crate::door::Door;
use crate::error::Fault;

/// Marks a response: the token was refused as revoked.
#[derive(Clone, Copy)]
struct Revoked;

/// Marks the response to a request whose token was refused as revoked.
pub(crate) fn marked(barred: Barred, mut answer: Response) -> Response {
    if let Barred::Token(Denied::Refused(Refusal::TokenRevoked(_))) = barred {
        answer.extensions_mut().insert(Revoked);
    }
    answer
}

/// Answers with `password_changed` if the token was issued for another password.
pub(crate) async fn explain(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let names = &door.service.policy().tokens.names;
    if names.password_mark.is_none() {
        return next.run(request).await;
    }
    let token = door.settings.token_header.token(request.headers()).ok().map(str::to_owned);
    let answer = next.run(request).await;
    match token.filter(|_| answer.extensions().get::<Revoked>().is_some()) {
        Some(token) if door.service.is_of_another_password(&token).await => {
            Fault::of(&Failure::Refused(Refusal::PasswordChanged), names).into_problem(&door.settings)
        }
        _ => answer,
    }
}
