//! Reads the bytes of request bodies, within limits on size, time and memory. `fields.rs` and `form.rs` read
//! them as fields and as a form.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;

use crate::net::memory::MemoryAccount;
use crate::request::body_error::BodyError;
use crate::request::charset::Charset;

/// The largest body, in bytes. It holds two passwords of the maximum length with each character escaped as
/// `\uXXXX\uXXXX`.
const BODY_BYTES: usize = 32 * 1024;
/// The initial buffer for a body that arrives in parts, in bytes.
const FIRST_BYTES: usize = 1024;
/// The time limit for receiving a body.
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// A request whose body has been read.
pub(crate) struct WholeRequest {
    pub(crate) parts: Parts,
    pub(crate) bytes: Bytes,
    pub(crate) content_type: ContentType,
}

impl WholeRequest {
    pub(crate) async fn read(request: Request) -> Result<Self, BodyError> {
        Self::read_up_to(request, BODY_BYTES).await
    }

    /// Like [`WholeRequest::read`], but limits the body to `most` bytes.
    pub(crate) async fn read_up_to(request: Request, most: usize) -> Result<Self, BodyError> {
        let (parts, body) = request.into_parts();
        let bytes = read_whole(body, parts.extensions.get(), most).await?;
        let content_type = ContentType::of(&parts.headers, &bytes);
        Ok(Self { parts, bytes, content_type })
    }

    /// Returns the text of a JSON body in UTF-8. Nothing has checked it yet.
    pub(crate) fn into_json_text(self) -> Result<Bytes, BodyError> {
        let Self { bytes, content_type, .. } = self;
        match (content_type.media_type.as_str(), &content_type.charset) {
            ("application/json", Charset::Utf8) => Ok(bytes),
            ("application/json", charset) => Ok(charset.decode(&bytes)?.into_owned().into()),
            _ => Err(content_type.refused()),
        }
    }
}

/// The content type that the header declares.
pub(crate) struct ContentType {
    /// Lower case, without parameters.
    pub(crate) media_type: String,
    pub(crate) charset: Charset,
}

impl ContentType {
    /// Without a content type, an empty body counts as JSON, and any other body as text.
    fn of(headers: &HeaderMap, body: &[u8]) -> Self {
        let sent = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let sent = sent.as_deref().unwrap_or(if body.is_empty() { "application/json" } else { "text/plain" });
        let media_type = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self { media_type, charset: Charset::of(sent) }
    }

    /// Refuses the media type.
    pub(crate) fn refused(&self) -> BodyError {
        BodyError::MediaType(self.media_type.chars().take(100).collect())
    }
}

/// Reads a whole body of at most `most` bytes. Charges it to its connection's account, if there is one.
async fn read_whole(body: Body, account: Option<&MemoryAccount>, most: usize) -> Result<Bytes, BodyError> {
    let closing = async {
        match account {
            Some(account) => account.closing().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        whole = tokio::time::timeout(BODY_WITHIN, gather(body, account, most)) => whole.map_err(|_| BodyError::Timeout)?,
        () = closing => Err(BodyError::NoMemory),
    }
}

/// Copies the parts into one buffer: each part, however short, would keep the buffer alive that it was read
/// into.
async fn gather(body: Body, account: Option<&MemoryAccount>, most: usize) -> Result<Bytes, BodyError> {
    let mut body = Limited::new(body, most);
    let mut charge = account.map(MemoryAccount::body);
    let Some(first) = next_part(&mut body, most).await? else { return Ok(Bytes::new()) };
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
        part = next_part(&mut body, most).await?;
    }
    Ok(whole.into())
}

async fn next_part(body: &mut Limited<Body>, most: usize) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => BodyError::TooLarge(most),
            Err(_) => BodyError::Incomplete,
        })?;
        // Trailers don't belong to a body.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::memory::Memory;

    #[tokio::test]
    async fn body_size_is_limited() {
        let of = |length: usize| read_whole(Body::from("x".repeat(length)), None, BODY_BYTES);
        assert_eq!(of(BODY_BYTES).await.map(|whole| whole.len()), Ok(BODY_BYTES));
        assert_eq!(of(BODY_BYTES + 1).await, Err(BodyError::TooLarge(BODY_BYTES)));
    }

    /// A body that arrives one byte at a time, each in its own buffer.
    fn in_parts(bytes: &'static [u8]) -> Body {
        Body::from_stream(futures_util::stream::iter(
            bytes.chunks(1).map(|part| Ok::<_, std::io::Error>(Bytes::from(part))),
        ))
    }

    #[tokio::test]
    async fn bodies_in_parts_are_gathered_and_limited() {
        let whole = read_whole(in_parts(br#"{"username":"dana"}"#), None, BODY_BYTES).await;
        assert_eq!(whole.as_deref(), Ok(&br#"{"username":"dana"}"#[..]));
        static LONG: [u8; BODY_BYTES + 1] = [b' '; BODY_BYTES + 1];
        assert_eq!(
            read_whole(in_parts(&LONG[1..]), None, BODY_BYTES).await.map(|whole| whole.len()),
            Ok(BODY_BYTES)
        );
        assert_eq!(read_whole(in_parts(&LONG), None, BODY_BYTES).await, Err(BodyError::TooLarge(BODY_BYTES)));
    }

    #[tokio::test]
    async fn bodies_end_when_their_connection_closes() {
        let memory = Memory::new(64 * 1024);
        let account = memory.open(false);
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let reading = async { read_whole(endless, Some(&account), BODY_BYTES).await };
        let flood = async { (0..8).map(|_| memory.open(false)).collect::<Vec<_>>() };
        let (read, _others) = tokio::join!(reading, flood);
        assert_eq!(read, Err(BodyError::NoMemory));
        assert_eq!(read_whole(in_parts(b"ab"), Some(&account), BODY_BYTES).await, Err(BodyError::NoMemory));
    }
}
