//! `ETag` and `If-Match` (RFC 9110 13.1.1) of an account: its version, which every change of it raises. Signing in
//! changes none, so that a form which shows an account can be saved while its owner works.

use axum::response::Response;
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, StatusCode};
use quash_core::model::Account;
use serde_json::json;

use crate::error::code::Code;
use crate::openapi::operation::Operation;
use crate::response::with_header;

/// Adds the tag of the account that a response shows.
pub(crate) fn tagged(answer: Response, account: &Account) -> Response {
    with_header(answer, ETAG, &format!("\"{}\"", account.version))
}

/// Returns the versions of which the account must have one. `None`: any. A weak tag, and one that isn't a version,
/// match none.
pub(crate) fn versions(headers: &HeaderMap) -> Option<Vec<u64>> {
    let mut versions = None;
    for value in headers.get_all(IF_MATCH) {
        for tag in value.as_bytes().split(|byte| *byte == b',') {
            let tag = tag.trim_ascii();
            if tag == b"*" {
                return None;
            }
            let number = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
            let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
            versions.get_or_insert_with(Vec::new).extend(number);
        }
    }
    versions
}

/// Describes the tag of a response.
pub(crate) fn describe_tag(operation: Operation, status: StatusCode) -> Operation {
    let tag =
        json!({ "description": "The account's version, for `If-Match`.", "schema": { "type": "string" } });
    operation.answers_header(status, "ETag", tag)
}

/// Describes the condition of a request.
pub(crate) fn describe_condition(operation: Operation) -> Operation {
    let text =
        "The `ETag` of the account as it was read: if another request has changed it since, nothing happens.";
    operation.header("If-Match", json!({ "type": "string" }), text).refuses(&[Code::VersionDiffers])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn conditions_are_lists_of_versions() {
        let read = |lines: &[&'static str]| {
            versions(&lines.iter().map(|line| (IF_MATCH, HeaderValue::from_static(line))).collect())
        };
        assert_eq!((read(&[]), read(&["*"]), read(&["\"1\"", "*"])), (None, None, None));
        assert_eq!(read(&["\"7\""]), Some(vec![7]));
        assert_eq!(read(&["\"7\", \"8\"", "\"9\""]), Some(vec![7, 8, 9]));
        for none in ["W/\"7\"", "7", "", "\"x\"", "\"\""] {
            assert_eq!(read(&[none]), Some(vec![]), "{none}");
        }
    }
}
