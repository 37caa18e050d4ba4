//! The parameters of lists: filters, the size of a page, and the cursor at which it begins. A cursor is opaque to
//! clients. It names the last item of the page before, so that changes meanwhile neither repeat nor hide others.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::limits;
use serde_json::{Value, json};

use crate::error::http_error::HttpError;
use crate::openapi::operation::Operation;

/// The parameters of a request, each of which occurs once.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// The order of the items that a cursor continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Name,
    Email,
    Session,
}

impl<'a> Query<'a> {
    /// Reads the parameters. An unknown one is refused: with a misspelt filter, a list would have other items than
    /// the client expects.
    pub(crate) fn read(query: Option<&'a str>, known: &[&str]) -> Result<Self, HttpError> {
        let parameters: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        for (place, (name, _)) in parameters.iter().enumerate() {
            let Some(known) = known.iter().find(|known| *known == name) else {
                let fault = match known {
                    [] => "This path takes no parameters.".to_owned(),
                    known => format!("A parameter isn't one of {}.", known.join(", ")),
                };
                return Err(HttpError::of_field("query", &fault));
            };
            if parameters.iter().skip(place + 1).any(|(other, _)| other == name) {
                return Err(HttpError::of_field(known, "Send it once."));
            }
        }
        Ok(Self(parameters))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// All parameters, in the order of the request.
    pub(crate) fn into_pairs(self) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        self.0
    }

    pub(crate) fn limit(&self) -> Result<u32, HttpError> {
        let Some(text) = self.get("limit") else { return Ok(limits::PAGE) };
        page_limit(text)
    }

    /// Returns the place after which the page begins.
    pub(crate) fn cursor(&self, order: Order) -> Result<Option<String>, HttpError> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let place = place_of(text, order);
        place.map(Some).ok_or_else(|| {
            HttpError::of_field("cursor", "Not a `next` of this list in the same order: begin without it.")
        })
    }
}

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

/// Returns the cursor after a place.
pub(crate) fn cursor_after(order: Order, place: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}{place}", order.letter()))
}

fn place_of(cursor: &str, order: Order) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix(order.letter()).map(str::to_owned)
}

impl Order {
    const fn letter(self) -> char {
        match self {
            Self::Name => 'n',
            Self::Email => 'e',
            Self::Session => 's',
        }
    }
}

/// Describes `limit` and `cursor`.
pub(crate) fn describe_page(operation: Operation) -> Operation {
    operation.query("limit", limit_schema(), "The most items of a page.").query(
        "cursor",
        text(),
        "The `next` of the page before.",
    )
}

/// The schema of a parameter that is a text.
pub(crate) fn text() -> Value {
    json!({ "type": "string" })
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

    #[test]
    fn cursors_continue_their_own_order_only() {
        let cursor = cursor_after(Order::Name, "dana\u{e9}");
        assert_eq!(place_of(&cursor, Order::Name).as_deref(), Some("dana\u{e9}"));
        assert_eq!(place_of(&cursor, Order::Email), None);
        for malformed in ["", "%", "bmRhbmE=", "dana", "\u{e9}"] {
            assert_eq!(place_of(malformed, Order::Name), None, "{malformed}");
        }
    }
}
