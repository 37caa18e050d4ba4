//! `GET /`: shows the server's purpose, its readiness, and the next steps.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::page;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    ready: bool,
    prefix: &'a str,
}

pub(crate) async fn show(State(state): State<Arc<AppState>>) -> Response {
    let ready = state.service.ready().await.is_ok();
    page(StatusCode::OK, &Home { ready, prefix: &state.settings.prefix })
}
