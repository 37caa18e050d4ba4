//! `POST /api/token/verify/`: `{"token"}` of any type returns `{}` if the token would be accepted. It ends
//! nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{done, token_field};
use crate::door::Door;

pub(crate) async fn verify(State(door): State<Arc<Door>>, request: Request) -> Response {
    let token = match token_field(request, "token").await {
        Ok(token) => token,
        Err(fault) => return door.answer(fault.into()),
    };
    match door.service.verify(&token).await {
        Ok(()) => done(),
        Err(failure) => door.answer(door.fault(&failure)),
    }
}
