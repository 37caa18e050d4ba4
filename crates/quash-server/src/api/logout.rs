//! `POST /api/logout/`: the access token in the header, which may have expired, and `{"refresh"}` in the body, both of
//! one account, end their sessions and give `{}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use quash_verify::bearer;

use super::{done, token_field};
use crate::door::Door;
use crate::error::Fault;

pub(crate) async fn log_out(State(door): State<Arc<Door>>, request: Request) -> Response {
    let access = match bearer(request.headers(), &door.settings.auth_header_types) {
        Ok(text) => door.service.access_for_log_out(text),
        Err(fault) => return door.answer(fault.into()),
    };
    let access = match access {
        Ok(access) => access,
        Err(failure) => return door.answer(Fault::of_access(&failure)),
    };
    let refresh = match token_field(request, "refresh").await {
        Ok(refresh) => refresh,
        Err(fault) => return door.answer(fault.into()),
    };
    match door.service.log_out(&access, &refresh).await {
        Ok(_) => done(),
        Err(failure) => door.answer(Fault::of(&failure)),
    }
}
