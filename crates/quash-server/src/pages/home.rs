//! `GET /`: shows the server's purpose, its readiness, and the next steps.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::page;
use crate::door::Door;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    ready: bool,
    prefix: &'a str,
}

pub(crate) async fn show(State(door): State<Arc<Door>>) -> Response {
    let ready = door.service.ready().await.is_ok();
    page(StatusCode::OK, &Home { ready, prefix: &door.settings.prefix })
}
