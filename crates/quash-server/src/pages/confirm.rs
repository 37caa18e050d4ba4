//! `GET /verify?token=…` and `GET /email?token=…`: show a button. `POST`: confirms the address, or changes
//! the account's address.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::StatusCode;
use quash_core::model::Purpose;
use quash_service::MailProof;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{describe_link, message, page, token_in};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    title: &'a str,
    text: &'a str,
    /// The name of the account that completing the registration creates.
    username: Option<&'a str>,
    action: &'a str,
    button: &'a str,
    token: &'a str,
}

pub(crate) async fn show_verification(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let token = token_in(query.as_deref());
    let username = state.service.pending_name(&token).await?;
    let form = ConfirmPage {
        title: "Confirm your e-mail address",
        text: match username {
            Some(_) => {
                "This creates an account with the following user name. If you did not choose it, close this page."
            }
            None => "You can sign in once your address is confirmed.",
        },
        username: username.as_deref(),
        action: "verify",
        button: "Confirm this address",
        token: &token,
    };
    Ok(page(StatusCode::OK, &form))
}

pub(crate) async fn show_email(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpError> {
    let title = "Use this e-mail address for your account";
    let text = "This address will replace your account's current one. All devices that are signed in will be signed out.";
    let token = token_in(query.as_deref());
    let form = ConfirmPage {
        title,
        text,
        username: None,
        action: "email",
        button: "Use this address",
        token: &token,
    };
    state.service.check_link(&token, Purpose::EmailChange).await?;
    Ok(page(StatusCode::OK, &form))
}

pub(crate) async fn send_verification(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let proof = sent(request).await?;
    state.service.confirm_verification(&proof).await?;
    Ok(message(StatusCode::OK, "Your e-mail address is confirmed", "You can sign in now."))
}

pub(crate) async fn send_email(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, HttpError> {
    let proof = sent(request).await?;
    state.service.confirm_email_change(&proof, None).await?;
    Ok(message(
        StatusCode::OK,
        "Your account has a new e-mail address",
        "All devices have been signed out. Please sign in again.",
    ))
}

/// Reads the token that the button sends. A missing token is treated as an invalid one.
async fn sent(request: Request) -> Result<MailProof, HttpError> {
    let mut fields = Fields::read(request).await?;
    Ok(MailProof::Link(Zeroizing::new(fields.text("token", Whitespace::Trimmed, usize::MAX))))
}

/// The token of a link.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form whose fields are read one by one")]
struct LinkForm {
    #[schema(min_length = 1)]
    token: String,
}

pub(crate) fn describe_show_verification() -> Operation {
    describe_link("showVerification", "Shows the form that confirms an address")
}

pub(crate) fn describe_show_email() -> Operation {
    describe_link("showEmailChange", "Shows the form that changes an account's address")
}

pub(crate) fn describe_send_verification() -> Operation {
    describe_sent("sendVerification", "Confirms an address, and completes a registration")
        .refuses(&[Code::RegistrationTaken])
}

pub(crate) fn describe_send_email() -> Operation {
    describe_sent("sendEmailChange", "Changes an account's address: all sessions end")
}

fn describe_sent(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(Tag::Pages, id, summary)
        .fields::<LinkForm>()
        .answers_page("It is done.")
        .refuses(&[Code::LinkNotValid, Code::Throttled])
}
