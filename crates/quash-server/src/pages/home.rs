//! `GET /`: shows the server's purpose, its readiness, and the next steps.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::page;
use crate::openapi::operation::{Operation, Tag};
use crate::settings::paths::Endpoint;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    ready: bool,
    /// The path of the endpoint for signing in.
    token: &'a str,
    /// The field that identifies an account there.
    username: &'a str,
}

pub(crate) async fn show(State(state): State<Arc<AppState>>) -> Response {
    let ready = state.service.ready().await.is_ok();
    let settings = &state.settings;
    let paths = settings.paths_of(Endpoint::Token);
    // The last one ends in a slash, as in Simple JWT.
    let token = paths.last().map_or("", String::as_str);
    page(StatusCode::OK, &Home { ready, token, username: &settings.username_field })
}

pub(crate) fn describe_show() -> Operation {
    Operation::new(Tag::Pages, "showHome", "Shows the server's purpose and readiness")
        .answers_page("The page.")
}
