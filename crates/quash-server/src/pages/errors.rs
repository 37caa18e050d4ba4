//! `GET /docs/errors/`: the index of error codes. `GET /docs/errors/<code>`: an error's cause and remedy. The
//! `type` of every problem document links there.

use askama::Template;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use http::StatusCode;

use super::{cacheable, html};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};

#[derive(Template)]
#[template(path = "errors.html")]
struct Index {
    codes: [Code; Code::ALL.len()],
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    title: &'static str,
    status: u16,
    name: &'static str,
    text: &'static str,
}

pub(crate) async fn index() -> Response {
    cacheable(html(StatusCode::OK, &Index { codes: Code::ALL }))
}

pub(crate) async fn show(code: Result<Path<String>, PathRejection>) -> Result<Response, HttpError> {
    // No code's name is invalid UTF-8.
    let code = code.ok().and_then(|Path(code)| Code::ALL.into_iter().find(|known| known.as_str() == code));
    let code = code.ok_or_else(HttpError::not_found)?;
    let page = ErrorPage {
        title: code.title(),
        status: code.status().as_u16(),
        name: code.as_str(),
        text: code.page(),
    };
    Ok(cacheable(html(StatusCode::OK, &page)))
}

pub(crate) fn describe_index() -> Operation {
    Operation::new(Tag::Pages, "listErrors", "Lists all error codes").answers_page("The page.")
}

pub(crate) fn describe_show() -> Operation {
    Operation::new(Tag::Pages, "showError", "Shows the meaning of an error code and its remedy")
        .in_path("code", "The code.")
        .answers_page("The page.")
        .refuses(&[Code::NotFound])
}
