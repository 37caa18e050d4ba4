//! The parameters of lists.

use quash_core::model::limits;
use serde_json::{Value, json};

use crate::error::http_error::HttpError;

/// Reads the requested page size, up to the limit.
///
/// # Errors
/// It isn't a number, zero, or too large.
pub(crate) fn page_limit(text: &str) -> Result<u32, HttpError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=limits::PAGE).contains(limit));
    limit.ok_or_else(|| HttpError::of_field("limit", "Must be from 1 to 200."))
}

/// The schema of the page size.
pub(crate) fn limit_schema() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": limits::PAGE, "default": limits::PAGE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_size_is_limited() {
        for (text, limit) in [
            ("1", Some(1)),
            ("200", Some(200)),
            ("0", None),
            ("201", None),
            ("-1", None),
            ("+1", None),
            ("9223372036854775808", None),
            ("", None),
        ] {
            assert_eq!(page_limit(text).ok(), limit, "{text}");
        }
    }
}
