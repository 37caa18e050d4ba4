//! `POST /api/token/blacklist/`: `{"refresh"}` ends its session and gives `{}`; a second time is a 401.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{done, token_field};
use crate::door::Door;

pub(crate) async fn blacklist(State(door): State<Arc<Door>>, request: Request) -> Response {
    let token = match token_field(request, "refresh").await {
        Ok(token) => token,
        Err(fault) => return door.answer(fault.into()),
    };
    match door.service.blacklist(&token).await {
        Ok(_) => done(),
        Err(failure) => door.answer(door.fault(&failure)),
    }
}
