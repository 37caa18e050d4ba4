//! `GET /reset?token=…`: shows a form for a new password. `POST /reset`: sets it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::{Purpose, limits};
use quash_service::MailProof;
use zeroize::Zeroizing;

use super::{message, page, refused, token_in};
use crate::body::{BodyFault, Fields, Take};
use crate::client::Client;
use crate::code::Code;
use crate::door::Door;
use crate::error::Fault;

#[derive(Template)]
#[template(path = "reset.html")]
struct Form<'a> {
    token: &'a str,
    error: Option<&'a str>,
    least: usize,
}

/// Shows the form. Doesn't use the link up.
pub(crate) async fn show(State(door): State<Arc<Door>>, RawQuery(query): RawQuery) -> Response {
    let token = token_in(query.as_deref());
    match door.service.look_at_link(&token, Purpose::Reset).await {
        Ok(()) => form(StatusCode::OK, &token, None),
        Err(failure) => refused(&door.fault(&failure)),
    }
}

/// Sets the password, or shows the form again with the error.
pub(crate) async fn send(State(door): State<Arc<Door>>, client: Client, request: Request) -> Response {
    let mut fields = match Fields::read(request).await {
        Ok(fields) => fields,
        Err(fault) => return refused(&fault.into()),
    };
    let token = fields.text("token", Take::Trimmed, usize::MAX);
    let password = Zeroizing::new(fields.text("new_password", Take::AsSent, limits::PASSWORD_CHARS));
    if let Err(BodyFault::Fields(faults)) = fields.done() {
        return match faults.iter().find(|(name, _)| name == "new_password") {
            Some((_, fault)) if faults.len() == 1 => {
                form(StatusCode::BAD_REQUEST, &token, Some(&fault.to_string()))
            }
            _ => refused(&Fault::of(
                &quash_core::model::Refusal::LinkInvalid.into(),
                &door.service.policy().tokens.names,
            )),
        };
    }
    match door
        .service
        .confirm_reset(&MailProof::Link(Zeroizing::new(token.clone())), password, client.network)
        .await
    {
        Ok(()) => {
            let text = "Sign in with your new password. All devices that were signed in to your account have been signed out.";
            message(StatusCode::OK, "Your password has been changed", text)
        }
        Err(failure) => match door.fault(&failure) {
            fault if fault.code() == Code::PasswordRefused => {
                form(fault.status(), &token, Some(fault.detail()))
            }
            fault => refused(&fault),
        },
    }
}

fn form(status: StatusCode, token: &str, error: Option<&str>) -> Response {
    page(status, &Form { token, error, least: limits::PASSWORD_MIN_CHARS })
}
