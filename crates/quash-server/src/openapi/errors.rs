//! The schemas of errors: by status, each with the closed list of its codes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::reference;
use crate::error::code::Code;
use crate::middleware::errors::ErrorFormat;

/// Returns the meaning of each code, as Markdown.
pub(super) fn text(codes: &[Code]) -> String {
    let mut lines: Vec<_> =
        codes.iter().map(|code| format!("- `{}`: {}", code.as_str(), code.title())).collect();
    let mut seen = BTreeSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    lines.join("\n")
}

/// Returns the bodies of errors with one status, with their media types.
pub(super) fn content(status: u16, format: ErrorFormat, codes: &[Code]) -> Vec<(&'static str, Value)> {
    match format {
        ErrorFormat::SimpleJwt => vec![("application/json", simple_jwt(codes))],
        ErrorFormat::Problem => vec![("application/problem+json", problem(status, codes))],
        ErrorFormat::Page => vec![("text/html; charset=utf-8", json!({ "type": "string" }))],
    }
}

fn problem(status: u16, codes: &[Code]) -> Value {
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    json!({ "allOf": [
        reference("Problem"),
        { "properties": { "status": { "const": status }, "code": { "enum": names } } },
    ] })
}

fn simple_jwt(codes: &[Code]) -> Value {
    let names: Vec<_> =
        codes.iter().filter(|code| code.is_in_simple_jwt_bodies()).map(|code| code.as_str()).collect();
    let detail = match names.as_slice() {
        [] => reference("Detail"),
        _ => json!({ "allOf": [reference("Detail"), { "properties": { "code": { "enum": names } } }] }),
    };
    if codes.contains(&Code::InvalidRequest) {
        json!({ "anyOf": [detail, reference("FieldErrors")] })
    } else {
        detail
    }
}

/// Returns the headers of each error with this status.
pub(super) fn headers(status: u16) -> Vec<(&'static str, Value)> {
    match status {
        401 => vec![("WWW-Authenticate", required_header("string", "The scheme and the realm."))],
        429 | 503 => {
            vec![("Retry-After", required_header("integer", "The time to wait, in whole seconds."))]
        }
        _ => Vec::new(),
    }
}

fn required_header(kind: &str, text: &str) -> Value {
    json!({ "description": text, "required": true, "schema": { "type": kind } })
}
