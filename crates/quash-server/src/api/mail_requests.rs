//! Shared code of the endpoints that request a mail or confirm one: a request gets `{"flow"}`, a confirmation
//! brings `{"token"}` or `{"flow","code"}`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{FlowId, limits};
use quash_service::{MailProof, MailRecipient};
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::request::body_error::BodyError;
use crate::request::fields::{Fields, Whitespace};
use crate::response::json;

/// The id of a request for a mail, which goes with the code from it.
#[derive(Serialize, ToSchema)]
pub(crate) struct FlowStarted {
    flow: String,
}

/// The recipient of a mail: its account's address or name.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
pub(crate) enum Recipient {
    Email {
        #[schema(min_length = 1, max_length = 254)]
        email: String,
    },
    Username {
        #[schema(min_length = 1, max_length = 150)]
        username: String,
    },
}

/// The proof that a mail was read: the token from its link, or its code with the flow.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
pub(crate) enum Proof {
    Link {
        #[schema(min_length = 1)]
        token: String,
    },
    Code {
        #[schema(min_length = 1)]
        flow: String,
        #[schema(min_length = 1)]
        code: String,
    },
}

/// Reads a body to its end and takes its fields.
pub(crate) async fn read<T>(request: Request, take: impl FnOnce(&mut Fields) -> T) -> Result<T, BodyError> {
    let mut fields = Fields::read(request).await?;
    let taken = take(&mut fields);
    fields.done().map(|()| taken)
}

/// The response to a request for a mail. It doesn't reveal whether a mail is sent.
pub(crate) fn asked(flow: FlowId) -> Response {
    json(StatusCode::ACCEPTED, &FlowStarted { flow: flow.to_string() })
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
