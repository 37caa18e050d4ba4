//! Reads the fields of a request: from JSON, a form or a multipart form, with the errors that clients of
//! Simple JWT know.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use quash_core::token::{Duplicates, parse_json};
use serde_json::{Map, Value};

use crate::request::body::WholeRequest;
use crate::request::body_error::{BodyError, FieldError};
use crate::request::charset::Charset;
use crate::request::surrogates::{Mark, marked};

/// The number of unknown fields that an error names, and the characters of each name.
const UNKNOWN: usize = 10;
const UNKNOWN_CHARS: usize = 50;

#[derive(Default)]
pub(crate) struct Fields {
    values: Map<String, Value>,
    /// The mark that replaces lone surrogates in the values, if there were any.
    mark: Option<Mark>,
    faults: Vec<(String, FieldError)>,
}

/// The handling of white space in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whitespace {
    /// Without the surrounding white space.
    Trimmed,
    /// Exactly as sent.
    AsSent,
}

impl Fields {
    pub(crate) async fn read(request: Request) -> Result<Self, BodyError> {
        let WholeRequest { parts, bytes, content_type } = WholeRequest::read(request).await?;
        let charset = &content_type.charset;
        let values = match content_type.media_type.as_str() {
            "application/json" => return of_json(&bytes, charset),
            "application/x-www-form-urlencoded" => charset
                .decode_form(&bytes)?
                .into_iter()
                .map(|(name, value)| (name, Value::String(value)))
                .collect(),
            "multipart/form-data" => {
                of_multipart(Request::from_parts(parts, Body::from(bytes)), charset).await?
            }
            _ => return Err(content_type.refused()),
        };
        Ok(Self { values, ..Self::default() })
    }

    /// Reads the fields of a request to one of quash's own paths: JSON only, which no form of another site
    /// can send.
    pub(crate) async fn read_json(request: Request) -> Result<Self, BodyError> {
        let WholeRequest { bytes, content_type, .. } = WholeRequest::read(request).await?;
        match content_type.media_type.as_str() {
            "application/json" => of_json(&bytes, &content_type.charset),
            _ => Err(content_type.refused()),
        }
    }

    /// Takes a text. Collects a missing or invalid one as an error, so that one response can report all of
    /// them.
    pub(crate) fn text(&mut self, name: &str, take: Whitespace, longest: usize) -> String {
        let taken = match self.values.remove(name) {
            None => Err(FieldError::Required),
            Some(Value::Null) => Err(FieldError::Null),
            Some(Value::String(text)) => match self.mark.and_then(|mark| mark.first_in(&text)) {
                Some(_) if text.contains('\0') => Err(FieldError::NulCharacter),
                Some(surrogate) => Err(FieldError::Surrogate(surrogate)),
                None => check(text, take, longest),
            },
            Some(Value::Number(number)) => check(number.to_string(), take, longest),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(FieldError::NotText),
        };
        taken.unwrap_or_else(|fault| {
            self.faults.push((name.to_owned(), fault));
            String::new()
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Like [`Fields::done`], but also refuses fields that weren't taken.
    pub(crate) fn done_with_all(self) -> Result<(), BodyError> {
        if self.values.is_empty() {
            return self.done();
        }
        let names = self.values.keys().take(UNKNOWN).map(|name| name.chars().take(UNKNOWN_CHARS).collect());
        Err(BodyError::Unknown(names.collect()))
    }

    /// Returns the collected errors of the texts that were taken.
    pub(crate) fn done(self) -> Result<(), BodyError> {
        if self.faults.is_empty() { Ok(()) } else { Err(BodyError::Fields(self.faults)) }
    }
}

/// Checks a text. White space alone counts as blank even if the text is taken as sent: no valid password is
/// blank.
fn check(text: String, take: Whitespace, longest: usize) -> Result<String, FieldError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(FieldError::Blank);
    }
    if text.contains('\0') {
        return Err(FieldError::NulCharacter);
    }
    let taken = match take {
        Whitespace::AsSent => &text,
        Whitespace::Trimmed => trimmed,
    };
    if taken.len() > longest && taken.chars().count() > longest {
        return Err(FieldError::TooLong(longest));
    }
    Ok(if taken.len() == text.len() { text } else { taken.to_owned() })
}

fn of_json(bytes: &[u8], charset: &Charset) -> Result<Fields, BodyError> {
    if bytes.is_empty() {
        return Ok(Fields::default());
    }
    let decoded = match charset {
        // The parser reports the position of an invalid byte.
        Charset::Utf8 => Cow::Borrowed(bytes),
        charset => match charset.decode(bytes)? {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    };
    let bytes = &*decoded;
    let (value, mark) = match parse_json(bytes, Duplicates::LastWins) {
        Ok(value) => (value, None),
        Err(error) => read_marked(bytes).ok_or_else(|| {
            // The parser's message could quote the input, which may contain a password: report only the
            // position.
            let what = if error.is_eof() { "Unexpected end" } else { "Unexpected input" };
            BodyError::Json(format!("{what}: line {} column {}", error.line(), error.column()))
        })?,
    };
    Err(BodyError::NotAnObject(match value {
        Value::Object(values) => return Ok(Fields { values, mark, ..Fields::default() }),
        Value::Null => return Err(BodyError::Nothing),
        Value::Array(_) => "list",
        Value::String(_) => "str",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
    }))
}

/// Reads JSON whose only errors are lone surrogates.
fn read_marked(bytes: &[u8]) -> Option<(Value, Option<Mark>)> {
    let (repaired, mark) = marked(bytes)?;
    parse_json(repaired.as_bytes(), Duplicates::LastWins).ok().map(|value| (value, Some(mark)))
}

/// A part may declare its own charset.
async fn of_multipart(request: Request, charset: &Charset) -> Result<Map<String, Value>, BodyError> {
    let mut multipart = Multipart::from_request(request, &()).await.map_err(|_| BodyError::Multipart)?;
    let mut values = Map::new();
    while let Some(field) = multipart.next_field().await.map_err(|_| BodyError::Multipart)? {
        let Some(name) = field.name().map(str::to_owned) else { continue };
        let own = field
            .content_type()
            .filter(|content_type| content_type.to_ascii_lowercase().contains("charset"))
            .map(Charset::of);
        let bytes = field.bytes().await.map_err(|_| BodyError::Multipart)?;
        let text = own.as_ref().unwrap_or(charset).decode(&bytes)?;
        values.insert(name, Value::String(text.into_owned()));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::CONTENT_TYPE;
    use quash_core::model::limits;

    use super::*;

    async fn read(media_type: Option<&str>, body: impl Into<Body>) -> Result<Fields, BodyError> {
        let mut request = Request::new(body.into());
        if let Some(media_type) = media_type {
            request.headers_mut().insert(CONTENT_TYPE, media_type.parse().expect("a media type"));
        }
        Fields::read(request).await
    }

    async fn username(body: &str) -> Result<String, FieldError> {
        let mut fields = read(Some("application/json"), body.to_owned()).await.expect("an object");
        let text = fields.text("username", Whitespace::Trimmed, usize::MAX);
        match fields.done() {
            Ok(()) => Ok(text),
            Err(BodyError::Fields(faults)) => Err(faults[0].1),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn field_errors_match_django_rest_framework() {
        assert_eq!(username("{}").await, Err(FieldError::Required));
        assert_eq!(username(r#"{"username":null}"#).await, Err(FieldError::Null));
        assert_eq!(username(r#"{"username":"  "}"#).await, Err(FieldError::Blank));
        assert_eq!(username(r#"{"username":["a"]}"#).await, Err(FieldError::NotText));
        assert_eq!(username(r#"{"username":true}"#).await, Err(FieldError::NotText));
        assert_eq!(username(r#"{"username":"a\u0000b"}"#).await, Err(FieldError::NulCharacter));
        assert_eq!(username(r#"{"username":12}"#).await, Ok("12".into()));
        assert_eq!(username(r#"{"username":"a","username":" b "}"#).await, Ok("b".into()));
    }

    #[tokio::test]
    async fn lone_surrogates_are_errors_of_their_field() {
        assert_eq!(
            username(r#"{"username":"\ud800","password":"x"}"#).await,
            Err(FieldError::Surrogate(0xd800))
        );
        assert_eq!(username(r#"{"username":"a\udFFFb\ud801"}"#).await, Err(FieldError::Surrogate(0xdfff)));
        assert_eq!(username(r#"{"username":"\ud800\u0000"}"#).await, Err(FieldError::NulCharacter));
        assert_eq!(username(r#"{"username":["\ud800"]}"#).await, Err(FieldError::NotText));
        assert_eq!(username(r#"{"username":"\ud800","username":"dana"}"#).await, Ok("dana".into()));
        assert_eq!(
            username(r#"{"username":"dana","\ud800":"\udc00","other":["\udc00"]}"#).await,
            Ok("dana".into())
        );
        assert_eq!(
            username("{\"username\":\"\u{fdd0}\\ufdd1\",\"other\":\"\\ud800\"}").await,
            Ok("\u{fdd0}\u{fdd1}".into())
        );
        assert_eq!(
            read(Some("application/json"), r#""\ud800""#).await.err(),
            Some(BodyError::NotAnObject("str"))
        );
        for (body, place) in [
            (r#"{"username":"\ud800","#, "Unexpected input: line 1 column 20"),
            (r#"{"username":"\ud80"#, "Unexpected end: line 1 column 18"),
            (r#"{"username":"\ud800"}}"#, "Unexpected input: line 1 column 20"),
        ] {
            assert_eq!(
                read(Some("application/json"), body).await.err(),
                Some(BodyError::Json(place.into())),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn bodies_other_than_objects_are_refused() {
        for (body, kind) in
            [("[]", "list"), ("\"x\"", "str"), ("1", "int"), ("1.5", "float"), ("true", "bool")]
        {
            assert_eq!(
                read(Some("application/json; charset=utf-8"), body).await.err(),
                Some(BodyError::NotAnObject(kind))
            );
        }
        assert_eq!(read(Some("application/json"), "null").await.err(), Some(BodyError::Nothing));
        assert!(matches!(read(Some("application/json"), "{\"a\":").await, Err(BodyError::Json(_))));
        assert!(matches!(read(Some("application/json"), "[".repeat(30_000)).await, Err(BodyError::Json(_))));
        assert!(matches!(
            read(Some("application/json"), vec![b'"', 0xff, b'"']).await,
            Err(BodyError::Json(_))
        ));
        assert_eq!(read(None, "x").await.err(), Some(BodyError::MediaType("text/plain".into())));
        assert!(read(None, "").await.is_ok());
    }

    #[tokio::test]
    async fn bodies_in_parts_are_parsed() {
        let parts =
            br#"{"username":"dana"}"#.chunks(1).map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
        let body = Body::from_stream(futures_util::stream::iter(parts));
        let mut fields = read(Some("application/json"), body).await.expect("an object");
        assert_eq!(fields.text("username", Whitespace::AsSent, 9), "dana");
    }

    #[tokio::test]
    async fn forms_are_parsed() {
        let mut form = read(Some("application/x-www-form-urlencoded"), "a=1+2%26&b=2").await.expect("a form");
        assert_eq!(form.text("a", Whitespace::AsSent, 9), "1 2&");
        let body = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n b \r\n--X--\r\n";
        let mut multipart =
            read(Some("multipart/form-data; boundary=X"), body).await.expect("a multipart form");
        assert_eq!(multipart.text("a", Whitespace::AsSent, 9), " b ");
        for (media_type, body) in
            [("multipart/form-data", body), ("multipart/form-data; boundary=X", "--X\r\nhalf")]
        {
            assert_eq!(read(Some(media_type), body).await.err(), Some(BodyError::Multipart));
        }
    }

    #[tokio::test]
    async fn bodies_are_decoded_from_their_charset() {
        let part = |header: &str, value: &[u8]| {
            [
                format!("--X\r\nContent-Disposition: form-data; name=\"a\"{header}\r\n\r\n").as_bytes(),
                value,
                b"\r\n--X--\r\n",
            ]
            .concat()
        };
        let utf_16: Vec<u8> =
            "\u{feff}{\"a\":\"\u{e9}\"}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (content_type, body) in [
            ("application/json; charset=iso-8859-1", b"{\"a\":\"\xe9\"}".to_vec()),
            ("application/json; charset=\"UTF-16\"", utf_16),
            ("application/x-www-form-urlencoded; charset=iso-8859-1", b"a=%e9".to_vec()),
            ("multipart/form-data; boundary=X; charset=iso-8859-1", part("", b"\xe9")),
            (
                "multipart/form-data; boundary=X",
                part("\r\nContent-Type: text/plain; charset=iso-8859-1", b"\xe9"),
            ),
            (
                "multipart/form-data; boundary=X; charset=iso-8859-1",
                part("\r\nContent-Type: text/plain; charset=utf-8", "\u{e9}".as_bytes()),
            ),
        ] {
            let mut fields = read(Some(content_type), body)
                .await
                .unwrap_or_else(|fault| panic!("{content_type}: {fault:?}"));
            assert_eq!(fields.text("a", Whitespace::AsSent, 9), "\u{e9}", "{content_type}");
        }
        for (content_type, body) in [
            ("application/json; charset=utf-16", b"{}x".to_vec()),
            ("application/json; charset=us-ascii", "{\"a\":\"\u{e9}\"}".into()),
            ("application/x-www-form-urlencoded", b"a=%e9".to_vec()),
            ("application/x-www-form-urlencoded", b"a=1&other=%ff".to_vec()),
            ("multipart/form-data; boundary=X", part("", b"\xe9")),
        ] {
            assert!(
                matches!(read(Some(content_type), body).await, Err(BodyError::Charset(_))),
                "{content_type}"
            );
        }
    }

    #[test]
    fn password_length_is_limited() {
        let longest = limits::PASSWORD_CHARS;
        assert!(check("é".repeat(longest), Whitespace::AsSent, longest).is_ok());
        assert_eq!(
            check("é".repeat(longest + 1), Whitespace::AsSent, longest),
            Err(FieldError::TooLong(longest))
        );
        assert_eq!(check(" a ".into(), Whitespace::AsSent, longest).as_deref(), Ok(" a "));
        assert_eq!(check("  ab  ".into(), Whitespace::Trimmed, 2).as_deref(), Ok("ab"));
        assert_eq!(check("  ab  ".into(), Whitespace::Trimmed, 1), Err(FieldError::TooLong(1)));
    }
}
