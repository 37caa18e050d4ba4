//! `POST /api/token/refresh/`: `{"refresh"}` gives `{"access","refresh"}`, or `{"access"}` where refreshing doesn't
//! rotate.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_service::Pair;
use serde::Serialize;

use super::token_field;
use crate::answer::token_json;
use crate::door::Door;
use crate::error::Fault;

#[derive(Serialize)]
struct Refreshed {
    access: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
}

pub(crate) async fn refresh(State(door): State<Arc<Door>>, request: Request) -> Response {
    let token = match token_field(request, "refresh").await {
        Ok(token) => token,
        Err(fault) => return door.answer(fault.into()),
    };
    match door.service.refresh(&token).await {
        Ok(Pair { access, refresh }) => token_json(StatusCode::OK, &Refreshed { access, refresh }),
        Err(failure) => door.answer(Fault::of(&failure)),
    }
}
