//! Sign-in: `{"username","password"}`; `accounts.username_field` renames the first field. `POST /api/token/`
//! returns `{"refresh","access"}`, `POST /api/token/sliding/` returns `{"token"}`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use quash_core::decide::Kind;
use quash_core::model::limits;
use quash_service::{Attempt, SignedIn};
use serde_json::{Value, json};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{SlidingToken, TokenPair, issued};
use crate::error::code::Code;
use crate::error::http_error::HttpError;
use crate::openapi::operation::{Operation, Tag};
use crate::request::body_error::BodyError;
use crate::request::client_info::Client;
use crate::request::device::with_token;
use crate::request::fields::{Fields, Whitespace};
use crate::state::AppState;

pub(crate) async fn obtain(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    sign_in(&state, Kind::Pair, client, request).await
}

pub(crate) async fn obtain_sliding(
    State(state): State<Arc<AppState>>,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    sign_in(&state, Kind::Sliding, client, request).await
}

async fn sign_in(
    state: &AppState,
    kind: Kind,
    client: Client,
    request: Request,
) -> Result<Response, HttpError> {
    let (name, password) = credentials(state, request).await?;
    let Client { device, network, device_token, transport } = client;
    let attempt = Attempt { kind, name, password, device, network, device_token };
    let answer = match state.service.sign_in(attempt).await {
        Ok(SignedIn { tokens, device_token }) => {
            let answer = issued(state, tokens, super::Order::RefreshFirst).into_response();
            device_token.iter().fold(answer, |answer, token| with_token(answer, token, transport))
        }
        Err(failure) => HttpError::from(failure).into_response(),
    };
    // Refusals say too how many attempts are left.
    Ok(state.with_allowance(answer, network).await)
}

async fn credentials(state: &AppState, request: Request) -> Result<(String, Zeroizing<String>), BodyError> {
    let mut fields = Fields::read(request).await?;
    let name = state.login_name(&mut fields);
    let password = Zeroizing::new(fields.text("password", Whitespace::AsSent, limits::PASSWORD_CHARS));
    fields.done().map(|()| (name, password))
}

/// The name of an account, or its address, and its password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose fields are read one by one")]
struct SignIn {
    #[schema(min_length = 1)]
    username: String,
    #[schema(min_length = 1, format = Password, max_length = 1024)]
    password: String,
}

pub(crate) fn describe_obtain() -> Operation {
    let operation = Operation::new(Tag::Tokens, "signIn", "Signs in: returns a refresh and an access token");
    described(operation.answers::<TokenPair>(StatusCode::OK, "The tokens of a new session."))
}

pub(crate) fn describe_obtain_sliding() -> Operation {
    let operation = Operation::new(Tag::Tokens, "signInSliding", "Signs in: returns a sliding token");
    described(operation.answers::<SlidingToken>(StatusCode::OK, "The token of a new session."))
}

fn described(operation: Operation) -> Operation {
    let operation = operation
        .text("An unknown name, a wrong password and an account that is locked, deactivated or without a password get the same 401.")
        .fields::<SignIn>()
        .header("Quash-Device", text(), "The device token of an earlier sign-in, or empty to get one.")
        .answers_header(
            StatusCode::OK,
            "Quash-Device",
            json!({ "description": "A device token, if the request has this header.", "schema": text() }),
        )
        .refuses(&[
            Code::BadCredentials,
            Code::EmailNotVerified,
            Code::PasswordChangeRequired,
            Code::Throttled,
            Code::Unavailable,
            Code::NoSigningKey,
        ]);
    let allowance = json!({
        "description": "The remaining failed sign-ins of the client's network, if they are limited (draft-ietf-httpapi-ratelimit-headers).",
        "schema": text(),
    });
    let policy = json!({ "description": "The limit that `RateLimit` counts against.", "schema": text() });
    [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].into_iter().fold(
        operation,
        |operation, status| {
            operation.answers_header(status, "RateLimit", allowance.clone()).answers_header(
                status,
                "RateLimit-Policy",
                policy.clone(),
            )
        },
    )
}

fn text() -> Value {
    json!({ "type": "string" })
}
