//! `GET /livez`: the process answers. `GET /readyz`: it can do its work; with `?verbose=1` it says what it looked at.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json as value;

use crate::answer::json;
use crate::routes::Door;

pub(crate) async fn livez() -> Response {
    json(StatusCode::OK, &value!({ "status": "ok" }))
}

pub(crate) async fn readyz(State(door): State<Arc<Door>>, RawQuery(query): RawQuery) -> Response {
    let store_is_ready = door.service.ready().await.is_ok();
    let status = if store_is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |ready| if ready { "ok" } else { "unavailable" };
    if query.as_deref().is_some_and(|query| query.split('&').any(|part| part == "verbose=1")) {
        let checks = value!({ "store": word(store_is_ready), "log_seq": door.service.guard().cursor().as_u64() });
        return json(status, &value!({ "status": word(store_is_ready), "checks": checks }));
    }
    json(status, &value!({ "status": word(store_is_ready) }))
}
