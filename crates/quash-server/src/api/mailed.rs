//! What the doors have in common that ask for a mail or take what is in one: `{"flow"}` is what a request gets, `{"token"}`
//! or `{"flow","code"}` what a confirmation brings.

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

/// What a body holds, read to its end.
pub(crate) async fn read<T>(request: Request, take: impl FnOnce(&mut Fields) -> T) -> Result<T, BodyFault> {
    let mut fields = Fields::read(request).await?;
    let taken = take(&mut fields);
    fields.done().map(|()| taken)
}

/// What became of a request for a mail.
pub(crate) fn asking(door: &Door, asked: Result<FlowId, Failure>) -> Response {
    asked.map_or_else(|failure| door.fault(&failure).into_problem(&door.settings), self::asked)
}

/// What became of what a mail lets its reader do. Where it is done, there is nothing to say.
pub(crate) fn confirming(door: &Door, done: Result<(), Failure>) -> Response {
    done.map_or_else(
        |failure| door.fault(&failure).into_problem(&door.settings),
        |()| json(StatusCode::OK, &value!({})),
    )
}

/// A mail was asked for, or not: nobody can tell.
pub(crate) fn asked(flow: FlowId) -> Response {
    json(StatusCode::ACCEPTED, &value!({ "flow": flow.to_string() }))
}

/// Whom a mail is asked for: `email` or, without it, `username`. None is longer than those of accounts.
pub(crate) fn whom(fields: &mut Fields) -> Whom {
    if fields.has("email") || !fields.has("username") {
        Whom::Email(fields.text("email", Take::Trimmed, limits::EMAIL_BYTES))
    } else {
        Whom::Name(fields.text("username", Take::Trimmed, limits::NAME_CHARS))
    }
}

/// The proof that a mail was read: `token` or, without it, `flow` and `code`. Wrong codes count for `network`.
pub(crate) fn proof(fields: &mut Fields, network: Option<IpAddr>) -> MailProof {
    if fields.has("token") || !fields.has("code") {
        return MailProof::Link(Zeroizing::new(fields.text("token", Take::Trimmed, usize::MAX)));
    }
    let flow = fields.text("flow", Take::Trimmed, usize::MAX);
    MailProof::Code { flow, code: Zeroizing::new(fields.text("code", Take::Trimmed, usize::MAX)), network }
}
