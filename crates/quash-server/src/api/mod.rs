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
use serde_json::{Map, Value};

use crate::answer::token_json;
use crate::body::{BodyFault, Fields, Take};

/// Reads the one token that most of these endpoints take.
pub(crate) async fn token_field(request: Request, name: &'static str) -> Result<String, BodyFault> {
    let mut fields = Fields::read(request).await?;
    let token = fields.text(name, Take::Trimmed, usize::MAX);
    fields.done().map(|()| token)
}

/// `{}`: it is done, and there is nothing to say.
pub(crate) fn done() -> Response {
    token_json(StatusCode::OK, &Value::Object(Map::new()))
}
