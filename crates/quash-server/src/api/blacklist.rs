//! `POST /api/token/blacklist/`: `{"refresh"}` ends the token's session and returns `{}`. A repeated request
//! gets a 401.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::{done, presented_refresh};
use crate::door::Door;

pub(crate) async fn blacklist(State(door): State<Arc<Door>>, request: Request) -> Response {
    let token = match presented_refresh(&door, request).await {
        Ok(token) => token,
        Err(fault) => return door.answer(fault),
    };
    match door.service.blacklist(&token).await {
        Ok(_) => door.without_cookie(done()),
        Err(failure) => door.without_dead_cookie(door.answer(door.fault(&failure))),
    }
}
