//! The header `Keep-Alive: timeout=N` of HTTP/1.1 responses: announces the time for which the server keeps an
//! idle connection. A proxy that reuses connections must close them earlier, or it may send a request on a
//! closing connection.

use std::time::Duration;

use axum::response::Response;
use http::header::{CONNECTION, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The announcement in the response to one request.
pub(crate) struct KeepAlive(Option<HeaderValue>);

impl KeepAlive {
    /// Empty if the connection ends with the response, and in HTTP/2, which has no such header (RFC 9113
    /// 8.2.2).
    pub(crate) fn of<B>(request: &Request<B>, idle: Duration) -> Self {
        let keeps = request.version() == Version::HTTP_11 && !closes(request.headers());
        Self(keeps.then(|| HeaderValue::try_from(format!("timeout={}", idle.as_secs())).ok()).flatten())
    }

    pub(crate) fn announce(self, mut answer: Response) -> Response {
        if let Some(value) = self.0.filter(|_| !closes(answer.headers())) {
            answer.headers_mut().insert(KEEP_ALIVE, value);
        }
        answer
    }
}

fn closes(headers: &HeaderMap) -> bool {
    let mut options =
        headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}
