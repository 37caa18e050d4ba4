//! Reads request bodies: JSON, forms or multipart, within limits, with the errors that clients of Simple JWT
//! know.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use quash_core::token::{Duplicates, parse_json};
use serde_json::{Map, Value};

use crate::charset::{Charset, NotText};
use crate::memory::{Full, MemoryAccount};
use crate::surrogates::{Mark, marked};

/// The largest body, in bytes. It holds two passwords of the maximum length with each character escaped as
/// `\uXXXX\uXXXX`.
const BODY_BYTES: usize = 32 * 1024;
/// The initial buffer for a body that arrives in parts, in bytes.
const FIRST_BYTES: usize = 1024;
/// The number of unknown fields that an error names, and the characters of each name.
const UNKNOWN: usize = 10;
const UNKNOWN_CHARS: usize = 50;
/// The time limit for receiving a body.
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// An error in a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BodyError {
    TooLarge,
    Timeout,
    NoMemory,
    Incomplete,
    MediaType(String),
    Json(String),
    Multipart,
    /// The body isn't text in the charset that it declares.
    Charset(NotText),
    NotAnObject(&'static str),
    Nothing,
    Fields(Vec<(String, FieldError)>),
    /// Fields that don't exist here, by their names, shortened.
    Unknown(Vec<String>),
    /// A form parameter that occurs twice.
    Duplicated(&'static str),
}

/// An error in a field, in the words of Django REST framework.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldError {
    Required,
    Null,
    Blank,
    NotText,
    NulCharacter,
    Surrogate(u16),
    /// The maximum length, in characters.
    TooLong(usize),
}

#[derive(Default)]
pub(crate) struct Fields {
    values: Map<String, Value>,
    /// The mark that replaces lone surrogates in the values, if there were any.
    mark: Option<Mark>,
    faults: Vec<(String, FieldError)>,
}

/// The parameters of a form, each of which may occur once (RFC 6749 3.1).
pub(crate) struct FormParameters {
    pairs: Vec<(String, String)>,
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
        let (parts, body) = request.into_parts();
        let bytes = read_whole(body, parts.extensions.get()).await?;
        let ContentType { media_type, charset } = ContentType::of(&parts.headers, &bytes);
        let values = match media_type.as_str() {
            "application/json" => return of_json(&bytes, &charset),
            "application/x-www-form-urlencoded" => charset
                .decode_form(&bytes)?
                .into_iter()
                .map(|(name, value)| (name, Value::String(value)))
                .collect(),
            "multipart/form-data" => {
                of_multipart(Request::from_parts(parts, Body::from(bytes)), &charset).await?
            }
            other => return Err(BodyError::MediaType(other.chars().take(100).collect())),
        };
        Ok(Self { values, ..Self::default() })
    }

    /// Reads the fields of a request to one of quash's own paths: JSON only, which no form of another site
    /// can send.
    pub(crate) async fn read_json(request: Request) -> Result<Self, BodyError> {
        let (parts, body) = request.into_parts();
        let bytes = read_whole(body, parts.extensions.get()).await?;
        let ContentType { media_type, charset } = ContentType::of(&parts.headers, &bytes);
        match media_type.as_str() {
            "application/json" => of_json(&bytes, &charset),
            other => Err(BodyError::MediaType(other.chars().take(100).collect())),
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

impl FormParameters {
    /// Reads a form body, and no other type.
    pub(crate) async fn read(request: Request) -> Result<Self, BodyError> {
        let (parts, body) = request.into_parts();
        let bytes = read_whole(body, parts.extensions.get()).await?;
        let ContentType { media_type, charset } = ContentType::of(&parts.headers, &bytes);
        match media_type.as_str() {
            "application/x-www-form-urlencoded" => Ok(Self { pairs: charset.decode_form(&bytes)? }),
            other => Err(BodyError::MediaType(other.chars().take(100).collect())),
        }
    }

    /// Takes a parameter. One without a value counts as omitted (RFC 6749 3.1).
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Option<String>, BodyError> {
        let mut values = self.pairs.extract_if(.., |(found, _)| found == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(BodyError::Duplicated(name)),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }
}

impl From<NotText> for BodyError {
    fn from(fault: NotText) -> Self {
        Self::Charset(fault)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("This field is required."),
            Self::Null => f.write_str("This field may not be null."),
            Self::Blank => f.write_str("This field may not be blank."),
            Self::NotText => f.write_str("Not a valid string."),
            Self::NulCharacter => f.write_str("Null characters are not allowed."),
            Self::Surrogate(unit) => write!(f, "Surrogate characters are not allowed: U+{unit:04X}."),
            Self::TooLong(longest) => write!(f, "Ensure this field has no more than {longest} characters."),
        }
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

/// Reads a whole body. Charges it to its connection's account, if there is one.
async fn read_whole(body: Body, account: Option<&MemoryAccount>) -> Result<Bytes, BodyError> {
    let closing = async {
        match account {
            Some(account) => account.closing().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        whole = tokio::time::timeout(BODY_WITHIN, gather(Limited::new(body, BODY_BYTES), account)) => whole.map_err(|_| BodyError::Timeout)?,
        () = closing => Err(BodyError::NoMemory),
    }
}

/// Copies the parts into one buffer: each part, however short, would keep the buffer alive that it was read
/// into.
async fn gather(mut body: Limited<Body>, account: Option<&MemoryAccount>) -> Result<Bytes, BodyError> {
    let mut charge = account.map(MemoryAccount::body);
    let Some(first) = next_part(&mut body).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = Vec::new();
    let mut part = Some(first);
    while let Some(bytes) = part {
        let length = whole.len() + bytes.len();
        if length > whole.capacity() {
            let capacity = length.next_power_of_two().max(FIRST_BYTES);
            charge.as_mut().map(|charge| charge.grow_to(capacity)).transpose()?;
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&bytes);
        part = next_part(&mut body).await?;
    }
    Ok(whole.into())
}

async fn next_part(body: &mut Limited<Body>) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => BodyError::TooLarge,
            Err(_) => BodyError::Incomplete,
        })?;
        // Trailers don't belong to a body.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

impl From<Full> for BodyError {
    fn from(Full: Full) -> Self {
        Self::NoMemory
    }
}

/// The content type that the header declares.
struct ContentType {
    /// Lower case, without parameters.
    media_type: String,
    charset: Charset,
}

impl ContentType {
    /// Without a content type, an empty body counts as JSON, and any other body as text.
    fn of(headers: &HeaderMap, body: &[u8]) -> Self {
        let sent = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let sent = sent.as_deref().unwrap_or(if body.is_empty() { "application/json" } else { "text/plain" });
        let media_type = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self { media_type, charset: Charset::of(sent) }
    }
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
    use quash_core::model::limits;

    use super::*;
    use crate::memory::Memory;

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
    async fn body_size_is_limited() {
        let of = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        assert!(read(Some("application/json"), of(BODY_BYTES)).await.is_ok());
        assert_eq!(read(Some("application/json"), of(BODY_BYTES + 1)).await.err(), Some(BodyError::TooLarge));
    }

    /// A body that arrives one byte at a time, each in its own buffer.
    fn in_parts(bytes: &'static [u8]) -> Body {
        Body::from_stream(futures_util::stream::iter(
            bytes.chunks(1).map(|part| Ok::<_, std::io::Error>(Bytes::from(part))),
        ))
    }

    #[tokio::test]
    async fn bodies_in_parts_are_gathered_and_limited() {
        let mut fields =
            read(Some("application/json"), in_parts(br#"{"username":"dana"}"#)).await.expect("an object");
        assert_eq!(fields.text("username", Whitespace::AsSent, 9), "dana");
        static LONG: [u8; BODY_BYTES + 1] = [b' '; BODY_BYTES + 1];
        assert_eq!(read_whole(in_parts(&LONG[1..]), None).await.map(|whole| whole.len()), Ok(BODY_BYTES));
        assert_eq!(read_whole(in_parts(&LONG), None).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn bodies_end_when_their_connection_closes() {
        let memory = Memory::new(64 * 1024);
        let account = memory.open(false);
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let reading = async { read_whole(endless, Some(&account)).await };
        let flood = async { (0..8).map(|_| memory.open(false)).collect::<Vec<_>>() };
        let (read, _others) = tokio::join!(reading, flood);
        assert_eq!(read, Err(BodyError::NoMemory));
        assert_eq!(read_whole(in_parts(b"ab"), Some(&account)).await, Err(BodyError::NoMemory));
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
