//! `GET /docs/errors/<code>`: what an error means, and what to do about it. The address stands in every problem's
//! `type`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use crate::answer::with_header;
use crate::code::Code;
use crate::door::Door;
use crate::error::Fault;

pub(crate) async fn error_page(State(door): State<Arc<Door>>, code: Result<Path<String>, PathRejection>) -> Response {
    // A name that isn't UTF-8 is no code's.
    let code = code.ok().and_then(|Path(code)| Code::ALL.into_iter().find(|known| known.as_str() == code));
    let Some(code) = code else {
        return Fault::not_found().into_problem(&door.settings);
    };
    // Everything on the page is written in the table of codes: there is nothing to escape but the quoting signs there.
    let text = code.page().replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{status} <code>{name}</code></p><p>{text}</p></html>\n",
        title = code.title(),
        status = code.status().as_u16(),
        name = code.as_str(),
    );
    let page = with_header(Response::new(Body::from(page)), CONTENT_TYPE, "text/html; charset=utf-8");
    let page = with_header(page, CACHE_CONTROL, "public, max-age=3600");
    with_header(page, CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")
}
