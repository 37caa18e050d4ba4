//! Shared code of the endpoints that request a mail or confirm one: a request gets `{"flow"}`, a confirmation
//! brings `{"token"}` or `{"flow","code"}`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{FlowId, limits};
use quash_service::{Failure, MailProof, Whom};
use serde_json::json as value;
use zeroize::Zeroizing;

use crate::answer::json;
use crate::body::{BodyFault, Fields, Take};
use crate::door::Door;

/// Reads a body to its end and takes its fields.
pub(crate) async fn read<T>(request: Request, take: impl FnOnce(&mut Fields) -> T) -> Result<T, BodyFault> {
    let mut fields = Fields::read(request).await?;
    let taken = take(&mut fields);
    fields.done().map(|()| taken)
}

/// The response to a request for a mail.
pub(crate) fn asking(door: &Door, asked: Result<FlowId, Failure>) -> Response {
    asked.map_or_else(|failure| door.fault(&failure).into_problem(&door.settings), self::asked)
}

/// The response to a confirmation: without content on success.
pub(crate) fn confirming(door: &Door, done: Result<(), Failure>) -> Response {
    done.map_or_else(
        |failure| door.fault(&failure).into_problem(&door.settings),
        |()| json(StatusCode::OK, &value!({})),
    )
}

/// The response to a request for a mail. It doesn't reveal whether a mail is sent.
pub(crate) fn asked(flow: FlowId) -> Response {
    json(StatusCode::ACCEPTED, &value!({ "flow": flow.to_string() }))
}

/// The recipient of a requested mail: `email` or, without it, `username`. The limits on length are those of
/// accounts.
pub(crate) fn whom(fields: &mut Fields) -> Whom {
    if fields.has("email") || !fields.has("username") {
        Whom::Email(fields.text("email", Take::Trimmed, limits::EMAIL_BYTES))
    } else {
        Whom::Name(fields.text("username", Take::Trimmed, limits::NAME_CHARS))
    }
}

/// The proof that a mail was read: `token` or, without it, `flow` and `code`. Wrong codes count against
/// `network`.
pub(crate) fn proof(fields: &mut Fields, network: Option<IpAddr>) -> MailProof {
    if fields.has("token") || !fields.has("code") {
        return MailProof::Link(Zeroizing::new(fields.text("token", Take::Trimmed, usize::MAX)));
    }
    let flow = fields.text("flow", Take::Trimmed, usize::MAX);
    MailProof::Code { flow, code: Zeroizing::new(fields.text("code", Take::Trimmed, usize::MAX)), network }
}
