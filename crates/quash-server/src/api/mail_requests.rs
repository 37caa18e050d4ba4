//! Shared code of the endpoints that request a mail or confirm one: a request gets `{"flow"}`, a confirmation
//! brings `{"token"}` or `{"flow","code"}`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{FlowId, limits};
use quash_service::{MailProof, MailRecipient};
use serde_json::json as value;
use zeroize::Zeroizing;

use crate::request::body_error::BodyError;
use crate::request::fields::{Fields, Whitespace};
use crate::response::json;

/// Reads a body to its end and takes its fields.
pub(crate) async fn read<T>(request: Request, take: impl FnOnce(&mut Fields) -> T) -> Result<T, BodyError> {
    let mut fields = Fields::read(request).await?;
    let taken = take(&mut fields);
    fields.done().map(|()| taken)
}

/// The response to a request for a mail. It doesn't reveal whether a mail is sent.
pub(crate) fn asked(flow: FlowId) -> Response {
    json(StatusCode::ACCEPTED, &value!({ "flow": flow.to_string() }))
}

/// The response to a confirmation.
pub(crate) fn confirmed() -> Response {
    json(StatusCode::OK, &value!({}))
}

/// The recipient of a requested mail: `email` or, without it, `username`. The limits on length are those of
/// accounts.
pub(crate) fn mail_recipient(fields: &mut Fields) -> MailRecipient {
    if fields.has("email") || !fields.has("username") {
        MailRecipient::Email(fields.text("email", Whitespace::Trimmed, limits::EMAIL_BYTES))
    } else {
        MailRecipient::Name(fields.text("username", Whitespace::Trimmed, limits::NAME_CHARS))
    }
}

/// The proof that a mail was read: `token` or, without it, `flow` and `code`. Wrong codes count against
/// `network`.
pub(crate) fn proof(fields: &mut Fields, network: Option<IpAddr>) -> MailProof {
    if fields.has("token") || !fields.has("code") {
        return MailProof::Link(Zeroizing::new(fields.text("token", Whitespace::Trimmed, usize::MAX)));
    }
    let flow = fields.text("flow", Whitespace::Trimmed, usize::MAX);
    MailProof::Code {
        flow,
        code: Zeroizing::new(fields.text("code", Whitespace::Trimmed, usize::MAX)),
        network,
    }
}
