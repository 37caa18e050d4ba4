//! The HTML pages: the home page, the pages about errors, and those that links in mails open. The latter act
//! only when the user presses a button, so that a mail scanner that fetches a link doesn't use it up. No page
//! needs a script or loads anything from another origin.

pub(crate) mod confirm;
pub(crate) mod docs;
pub(crate) mod errors;
pub(crate) mod home;
pub(crate) mod reset;

use askama::Template;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::error::presentation::Presentation;
use crate::openapi::operation::{Operation, Tag};
use crate::response::with_header;

/// The path of the password reset.
pub const RESET: &str = "/reset";
/// The path for confirming an address.
pub const VERIFY: &str = "/verify";
/// The path for confirming a change of address.
pub const EMAIL: &str = "/email";
pub(crate) const STYLE: &str = "/pages.css";

/// Pages and mails share one stylesheet.
pub const STYLESHEET: &str = include_str!("../../templates/style.css");

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// A page that shows only a message.
#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
}

fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, &Message { title, text })
}

/// The page that shows an error to a user who followed a link.
pub(crate) fn refused(fault: &Presentation) -> Response {
    let (title, text) = match fault.code() {
        Code::LinkNotValid => (
            "This link is not valid any more",
            "It may have been used already, be too old, or a newer mail may have been sent. Ask for another mail, and use the link in that one.",
        ),
        Code::RegistrationTaken => (
            "This name or address has been taken",
            "Another account has taken the user name or the address since you registered. Register again with another name; if your address has an account, sign in with that one.",
        ),
        Code::Unavailable | Code::Throttled => (
            "Please try again in a moment",
            "It could not be done just now. Nothing was changed, and the link is still valid.",
        ),
        _ => {
            ("That did not work", "The request could not be understood. Open the link in the mail once more.")
        }
    };
    let mut answer = message(fault.status(), title, text);
    if let Some(cause) = fault.cause() {
        answer.extensions_mut().insert(cause);
    }
    match fault.retry_after_secs() {
        Some(secs) => with_header(answer, RETRY_AFTER, &secs.to_string()),
        None => answer,
    }
}

/// A page about one request, which caches must not store.
fn page(status: StatusCode, page: &impl Template) -> Response {
    let mut answer = html(status, page);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    let text = match page.render() {
        Ok(text) => text,
        Err(error) => {
            return HttpError::internal(format!("failed to render a page: {error}")).into_response();
        }
    };
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    answer
}

/// A response that is the same for every client, until the next release.
fn cacheable(answer: Response) -> Response {
    with_header(answer, CACHE_CONTROL, "public, max-age=3600")
}

/// Returns the token in the address. Several count as none.
fn token_in(query: Option<&str>) -> String {
    let mut tokens =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(name, _)| name == "token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => token.into_owned(),
        _ => String::new(),
    }
}

pub(crate) async fn style() -> Response {
    cacheable(with_header(Response::new(Body::from(STYLESHEET)), CONTENT_TYPE, "text/css; charset=utf-8"))
}

pub(crate) fn describe_style() -> Operation {
    let text = json!({ "type": "string" });
    Operation::new(Tag::Pages, "getStylesheet", "The stylesheet of the pages").answers_with(
        StatusCode::OK,
        "The stylesheet.",
        "text/css; charset=utf-8",
        text,
    )
}

/// Describes a page that a link in a mail opens.
fn describe_link(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Tag::Pages, id, summary)
        .text("Uses nothing up.")
        .query("token", json!({ "type": "string" }), "The token of the link.")
        .answers_page("A form.")
        .refuses(&[Code::LinkNotValid, Code::Unavailable])
}
