//! The header `If-Match` (RFC 9110 13.1.1): a change is made only to what its sender has seen.

use http::HeaderMap;
use http::header::IF_MATCH;
use serde_json::json;

use crate::error::code::Code;
use crate::openapi::operation::Operation;

/// Returns whether a request may change what has this entity tag now.
pub(crate) fn if_match(headers: &HeaderMap, tag: &str) -> bool {
    let mut values = headers.get_all(IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    // The tags have no commas. A weak one never matches.
    let mut listed = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    listed.any(|listed| matches!(listed.trim(), listed if listed == "*" || listed == tag))
}

/// Describes [`if_match`].
pub(crate) fn describe_if_match(operation: Operation) -> Operation {
    operation
        .header("If-Match", json!({ "type": "string" }), "The `ETag` of the version that may be changed.")
        .refuses(&[Code::VersionDiffers])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn tags_match_exactly() {
        let matches = |sent: &[&'static str]| {
            let values = sent.iter().map(|sent| (IF_MATCH, HeaderValue::from_static(sent)));
            if_match(&values.collect(), "\"a-1\"")
        };
        assert!(matches(&[]) && matches(&["*"]) && matches(&["\"a-1\""]) && matches(&["\"a-0\" , \"a-1\""]));
        assert!(matches(&["\"a-0\"", "\"a-1\""]));
        assert!(!matches(&["\"a-0\""]) && !matches(&["W/\"a-1\""]) && !matches(&["a-1"]) && !matches(&[""]));
    }
}
