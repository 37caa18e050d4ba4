//! What the doors have in common that ask for a mail or take what is in one: `{"flow"}` is what a request gets, `{"token"}`
//! or `{"flow","code"}` what a confirmation brings.

use axum::response::Response;
use http::StatusCode;
use quash_core::model::FlowId;
use quash_service::{MailProof, Whom};
use serde_json::json as value;
use zeroize::Zeroizing;

use crate::answer::json;
use crate::body::{Fields, Take};

/// A mail was asked for, or not: nobody can tell.
pub(crate) fn asked(flow: FlowId) -> Response {
    json(StatusCode::ACCEPTED, &value!({ "flow": flow.to_string() }))
}

/// It is done, and there is nothing to say.
pub(crate) fn done() -> Response {
    json(StatusCode::OK, &value!({}))
}

/// Whom a mail is asked for: `email` or, without it, `username`.
pub(crate) fn whom(fields: &mut Fields) -> Whom {
    if fields.has("email") || !fields.has("username") {
        Whom::Email(fields.text("email", Take::Trimmed, usize::MAX))
    } else {
        Whom::Name(fields.text("username", Take::Trimmed, usize::MAX))
    }
}

/// What somebody has from a mail: `token` or, without it, `flow` and `code`.
pub(crate) fn proof(fields: &mut Fields) -> MailProof {
    if fields.has("token") || !fields.has("code") {
        return MailProof::Link(Zeroizing::new(fields.text("token", Take::Trimmed, usize::MAX)));
    }
    let flow = fields.text("flow", Take::Trimmed, usize::MAX);
    MailProof::Code { flow, code: Zeroizing::new(fields.text("code", Take::Trimmed, usize::MAX)) }
}
