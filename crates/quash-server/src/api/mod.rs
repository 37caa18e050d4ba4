//! One file per endpoint, each with its wire format. Core types are never serialized here: the endpoint's
//! file spells out what a client receives.

pub(crate) mod token;

pub(crate) mod refresh;

pub(crate) mod verify;

pub(crate) mod blacklist;

pub(crate) mod logout;

pub(crate) mod describe;

pub(crate) mod me;

pub(crate) mod forward_auth;

pub(crate) mod account_changes;

pub(crate) mod accounts;

pub(crate) mod admin;

pub(crate) mod sessions;

pub(crate) mod mail_requests;

pub(crate) mod password_reset;

pub(crate) mod email_verification;

pub(crate) mod registration;

pub(crate) mod email;

pub(crate) mod feed;

pub(crate) mod jwks;

pub(crate) mod oauth;

pub(crate) mod openapi_json;

pub(crate) mod revocations;

pub(crate) mod health;

pub(crate) mod metrics;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use quash_core::token::Issued;
use quash_verify::HeaderFault;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::http_error::HttpError;
use crate::request::body_error::BodyError;
use crate::request::fields::{Fields, Whitespace};
use crate::response::{json, token_json, with_header};
use crate::settings::RefreshCookie;
use crate::state::AppState;

/// Reads the single token that most of these endpoints take.
pub(crate) async fn token_field(request: Request, name: &'static str) -> Result<String, BodyError> {
    let mut fields = Fields::read(request).await?;
    let token = fields.text(name, Whitespace::Trimmed, usize::MAX);
    fields.done().map(|()| token)
}

/// The order of the tokens in a pair. Clients that compare bytes know both orders from Simple JWT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// As after a sign-in.
    RefreshFirst,
    /// As after a refresh.
    AccessFirst,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tokens<'a> {
    RefreshFirst { refresh: &'a str, access: &'a str },
    AccessFirst { access: &'a str, refresh: &'a str },
    Access { access: &'a str },
    Sliding { token: &'a str },
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPair {
    access: String,
    /// Absent where refresh tokens travel in a cookie, and after a refresh where refreshing doesn't rotate.
    #[schema(min_length = 1, value_type = String, required = false)]
    refresh: Option<String>,
}

/// A sliding token.
#[derive(Serialize, ToSchema)]
pub(crate) struct SlidingToken {
    #[schema(min_length = 1)]
    token: String,
}

/// The new tokens of a session whose previous ones are revoked.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes `Tokens`, whose order varies")]
pub(crate) enum NewTokens {
    Pair(TokenPair),
    Sliding(SlidingToken),
}

/// A refresh token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body whose field is read by its name")]
pub(crate) struct RefreshToken {
    #[schema(min_length = 1)]
    refresh: String,
}

/// An object without members.
#[derive(ToSchema)]
pub(crate) struct Empty {}

/// The response with issued tokens, on a path that follows Simple JWT.
pub(crate) fn issued(state: &AppState, tokens: Issued, order: Order) -> Result<Response, HttpError> {
    match state.settings.refresh_cookie {
        RefreshCookie::Off => Ok(token_json(StatusCode::OK, &Tokens::of(&tokens, order))),
        RefreshCookie::On => {
            state.with_cookie(&tokens, |shown| token_json(StatusCode::OK, &Tokens::of(shown, order)))
        }
    }
}

/// The response with issued tokens, on one of quash's own paths.
pub(crate) fn own_tokens(state: &AppState, tokens: Issued) -> Result<Response, HttpError> {
    match state.settings.refresh_cookie {
        RefreshCookie::Off => Ok(json(StatusCode::OK, &Tokens::of(&tokens, Order::AccessFirst))),
        RefreshCookie::On => {
            state.with_cookie(&tokens, |shown| json(StatusCode::OK, &Tokens::of(shown, Order::AccessFirst)))
        }
    }
}

impl<'a> Tokens<'a> {
    fn of(tokens: &'a Issued, order: Order) -> Self {
        match (tokens, order) {
            (Issued::Access { access }, _) => Self::Access { access },
            (Issued::Both { access, refresh }, Order::RefreshFirst) => Self::RefreshFirst { refresh, access },
            (Issued::Both { access, refresh }, Order::AccessFirst) => Self::AccessFirst { access, refresh },
            (Issued::Sliding { token }, _) => Self::Sliding { token },
        }
    }
}

/// Success without content.
pub(crate) fn no_content() -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    with_header(answer, CACHE_CONTROL, "no-store")
}

/// Returns the refresh token of a request that has no other field.
pub(crate) async fn presented_refresh(state: &AppState, request: Request) -> Result<String, HttpError> {
    // The headers are needed for the cookie alone.
    let headers = match state.settings.refresh_cookie {
        RefreshCookie::On => request.headers().clone(),
        RefreshCookie::Off => HeaderMap::new(),
    };
    let mut fields = Fields::read(request).await?;
    let token = refresh_token(state, &headers, &mut fields)?;
    fields.done()?;
    Ok(token)
}

/// Returns the refresh token of a request: from its body or, where refresh tokens travel in a cookie, from
/// the cookie. A request with both is refused.
pub(crate) fn refresh_token(
    state: &AppState,
    headers: &HeaderMap,
    fields: &mut Fields,
) -> Result<String, HttpError> {
    match state.sent_cookie(headers)? {
        Some(_) if fields.has("refresh") => Err(HttpError::two_tokens()),
        Some(token) => Ok(token.to_owned()),
        None if state.settings.refresh_cookie == RefreshCookie::On && !fields.has("refresh") => {
            Err(HeaderFault::Missing.into())
        }
        None => Ok(fields.text("refresh", Whitespace::Trimmed, usize::MAX)),
    }
}

/// `{}`: success without content.
pub(crate) fn empty_object() -> Response {
    token_json(StatusCode::OK, &Value::Object(Map::new()))
}
