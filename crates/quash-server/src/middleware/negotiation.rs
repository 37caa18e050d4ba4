//! Content negotiation on the paths that follow Simple JWT, as in Django REST framework: before any other
//! check of a request.
//!
//! The only representation is JSON. `?format=` may name it and `Accept` may allow it; clients can choose only
//! the indentation. Unlike in the framework, a range with `q=0` refuses (RFC 9110 12.4.2).

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_LENGTH};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Serializer, Value};

use crate::error::http_error::HttpError;

/// The deepest indentation, in spaces.
const INDENT: usize = 8;
/// The longest response that is indented, in bytes. Responses on these paths are far shorter.
const INDENTED_BYTES: usize = 64 * 1024;

/// The JSON format that a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum JsonFormat {
    Compact,
    /// The spaces per level, at least one.
    Indented(usize),
}

/// Refuses a request whose client accepts no available format, and formats the response as the client asks.
pub(crate) async fn negotiate(request: Request, next: Next) -> Result<Response, HttpError> {
    if !is_known(request.uri().query().unwrap_or_default()) {
        return Err(HttpError::not_found());
    }
    match accepted(request.headers()) {
        None => Err(HttpError::not_acceptable()),
        Some(JsonFormat::Compact) => Ok(next.run(request).await),
        Some(JsonFormat::Indented(blanks)) => indented(next.run(request).await, blanks).await,
    }
}

/// Returns whether `?format=` names an available format. `api`, the framework's page for browsers, also
/// returns JSON. The last of several values counts.
fn is_known(query: &str) -> bool {
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "format").last();
    named.is_none_or(|(_, format)| matches!(&*format, "" | "json" | "api"))
}

/// Returns the format that `Accept` asks for. `None` if it excludes JSON. Browsers that ask for HTML receive
/// JSON. An empty header excludes nothing.
fn accepted(headers: &HeaderMap) -> Option<JsonFormat> {
    let lines: Vec<_> =
        headers.get_all(ACCEPT).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let ranges: Vec<Range<'_>> =
        lines.iter().flat_map(|line| line.split(',')).filter_map(Range::read).collect();
    if ranges.is_empty() {
        return Some(JsonFormat::Compact);
    }
    match judged(&ranges, "application", "json") {
        Some(Judged::Taken(range)) => Some(range.form()),
        Some(Judged::Refused) => None,
        None => match judged(&ranges, "text", "html")? {
            Judged::Taken(_) => Some(JsonFormat::Compact),
            Judged::Refused => None,
        },
    }
}

/// A client's judgement of a media type.
enum Judged<'r, 'h> {
    Taken(&'r Range<'h>),
    Refused,
}

/// Judges a media type by the most specific ranges that match it (RFC 9110 12.5.1). `None` if no range does.
fn judged<'r, 'h>(ranges: &'r [Range<'h>], main: &str, sub: &str) -> Option<Judged<'r, 'h>> {
    let closest = ranges.iter().filter_map(|range| range.closeness(main, sub)).max()?;
    let mut closest = ranges.iter().filter(|range| range.closeness(main, sub) == Some(closest));
    Some(closest.find(|range| !range.is_refused()).map_or(Judged::Refused, Judged::Taken))
}

/// An element of `Accept`. A comma within quotation marks ends it, as in the framework: none of our media
/// types contains one.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    /// Names and values, undecoded.
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Range<'a> {
    fn read(member: &'a str) -> Option<Self> {
        let mut parts = member.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        if range.is_empty() && parameters.is_empty() {
            return None;
        }
        let (main, sub) = range.split_once('/').unwrap_or((range, ""));
        Some(Self { main, sub, parameters })
    }

    /// Returns how specifically the range matches a media type, if it does: `*/*`, by type, by subtype, or
    /// with parameters.
    fn closeness(&self, main: &str, sub: &str) -> Option<u8> {
        match (self.main, self.sub) {
            ("*", "*") => Some(0),
            (ours, "*") if ours.eq_ignore_ascii_case(main) => Some(1),
            (ours, name) if ours.eq_ignore_ascii_case(main) && name.eq_ignore_ascii_case(sub) => {
                let weighs_only = self.parameters.iter().all(|(name, _)| name.eq_ignore_ascii_case("q"));
                Some(if weighs_only { 2 } else { 3 })
            }
            _ => None,
        }
    }

    /// Returns whether the weight is 0. An invalid weight counts as 1.
    fn is_refused(&self) -> bool {
        self.parameter("q").is_some_and(|weight| {
            weight.starts_with('0') && weight.bytes().all(|byte| matches!(byte, b'0' | b'.'))
        })
    }

    /// Reads `indent`, if it is a whole number, and limits it to [`INDENT`].
    fn form(&self) -> JsonFormat {
        let digits = self.parameter("indent").map_or("", |text| text.strip_prefix('+').unwrap_or(text));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return JsonFormat::Compact;
        }
        match digits.parse().unwrap_or(usize::MAX).min(INDENT) {
            0 => JsonFormat::Compact,
            blanks => JsonFormat::Indented(blanks),
        }
    }

    /// Returns the last parameter with this name.
    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        self.parameters
            .iter()
            .rev()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| *value)
    }
}

/// Indents the JSON of a response. Leaves a body that isn't JSON unchanged.
async fn indented(answer: Response, blanks: usize) -> Result<Response, HttpError> {
    let failed = |error: &dyn std::fmt::Display| {
        HttpError::internal(format!("failed to indent the JSON of a response: {error}"))
    };
    let (mut parts, body) = answer.into_parts();
    let compact = to_bytes(body, INDENTED_BYTES).await.map_err(|error| failed(&error))?;
    let Ok(value) = serde_json::from_slice::<Value>(&compact) else {
        return Ok(Response::from_parts(parts, Body::from(compact)));
    };
    let mut text = Vec::with_capacity(compact.len() * 2);
    let blanks = " ".repeat(blanks);
    let written = value.serialize(&mut Serializer::with_formatter(
        &mut text,
        PrettyFormatter::with_indent(blanks.as_bytes()),
    ));
    written.map_err(|error| failed(&error))?;
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Body::from(text)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(lines: &[&str]) -> Option<JsonFormat> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_bytes(line.as_bytes()).expect("a header value"));
        }
        accepted(&headers)
    }

    #[test]
    fn common_accept_headers_yield_json() {
        for lines in [
            &[][..],
            &[""],
            &[" , ,"],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["Application/JSON; version=2"],
            &["application/json, text/plain, */*"],
            &["application/xml", "application/json;q=0.1"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["text/html"],
            &["text/*"],
            &["application/json;q=1.5"],
            &["application/json;q=much"],
            &["application/json;q"],
            &["application/json;;;"],
            &["application/json, */*;q=0"],
            &["application/json;q=0, application/json"],
            &["application/xml;a=\", application/json"],
        ] {
            assert_eq!(of(lines), Some(JsonFormat::Compact), "{lines:?}");
        }
    }

    #[test]
    fn accept_headers_excluding_json_are_refused() {
        for lines in [
            &["application/xml"][..],
            &["application/xml, text/plain;q=0.5"],
            &["json"],
            &["*"],
            &["*/json"],
            &["application/"],
            &["/"],
            &[";q=1"],
            &["application/json+ld"],
            &["*/*;q=0"],
            &["application/json;q=0"],
            &["application/json;q=0.000, */*"],
            &["application/json; Q=0, text/html"],
            &["text/html;q=0, text/*"],
            &["\u{e9}\u{ff}"],
        ] {
            assert_eq!(of(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn indent_is_a_bounded_integer() {
        for (range, blanks) in [
            ("application/json; indent=1", 1),
            ("application/json;indent=4", 4),
            ("application/json; INDENT = \"4\"", 4),
            ("application/json; indent=+2", 2),
            ("application/json; indent=8", 8),
            ("application/json; indent=9", 8),
            ("application/json; indent=99999999999999999999999", 8),
            ("application/json; indent=2; indent=3", 3),
            ("*/*; indent=4", 4),
            ("*/*; indent=2, application/*; indent=4", 4),
            ("application/json, application/json; indent=4", 4),
        ] {
            assert_eq!(of(&[range]), Some(JsonFormat::Indented(blanks)), "{range}");
        }
        for indent in ["0", "-1", "", "4.0", "four", "\u{661}", "+", "0x4", "4 4"] {
            assert_eq!(
                of(&[&format!("application/json; indent={indent}")]),
                Some(JsonFormat::Compact),
                "{indent}"
            );
        }
        assert_eq!(of(&["text/html; indent=4"]), Some(JsonFormat::Compact));
    }

    #[test]
    fn the_last_format_parameter_counts() {
        for query in [
            "",
            "format=",
            "format=json",
            "format=api",
            "format=xml&format=json",
            "f%6frmat=%6Ason",
            "formats=xml",
        ] {
            assert!(is_known(query), "{query}");
        }
        for query in [
            "format=xyz",
            "format=JSON",
            "format=json%20",
            "format=json&format=xml",
            "format=%00",
            "format=%ff",
        ] {
            assert!(!is_known(query), "{query}");
        }
    }
}
