//! One file for each endpoint, with its shape on the wire. Core types are never serialised here: what a client sees
//! is written down in the endpoint's file.

pub(crate) mod token;

pub(crate) mod refresh;

pub(crate) mod verify;

pub(crate) mod blacklist;

pub(crate) mod logout;

pub(crate) mod describe;

pub(crate) mod me;

pub(crate) mod jwks;

pub(crate) mod health;

pub(crate) mod docs;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use quash_core::token::Issued;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::answer::token_json;
use crate::body::{BodyFault, Fields, Take};

/// Reads the one token that most of these endpoints take.
pub(crate) async fn token_field(request: Request, name: &'static str) -> Result<String, BodyFault> {
    let mut fields = Fields::read(request).await?;
    let token = fields.text(name, Take::Trimmed, usize::MAX);
    fields.done().map(|()| token)
}

/// Which token of a pair comes first: clients that compare bytes know both orders from Simple JWT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// As after a sign-in.
    RefreshFirst,
    /// As after a refresh.
    AccessFirst,
}

/// Tokens on their way to the client.
#[derive(Serialize)]
#[serde(untagged)]
enum Tokens<'a> {
    RefreshFirst { refresh: &'a str, access: &'a str },
    AccessFirst { access: &'a str, refresh: &'a str },
    Access { access: &'a str },
    Sliding { token: &'a str },
}

/// Tokens that were issued.
pub(crate) fn issued(tokens: Issued, order: Order) -> Response {
    let shown = match (&tokens, order) {
        (Issued::Access { access }, _) => Tokens::Access { access },
        (Issued::Both { access, refresh }, Order::RefreshFirst) => Tokens::RefreshFirst { refresh, access },
        (Issued::Both { access, refresh }, Order::AccessFirst) => Tokens::AccessFirst { access, refresh },
        (Issued::Sliding { token }, _) => Tokens::Sliding { token },
    };
    token_json(StatusCode::OK, &shown)
}

/// `{}`: it is done, and there is nothing to say.
pub(crate) fn done() -> Response {
    token_json(StatusCode::OK, &Value::Object(Map::new()))
}
