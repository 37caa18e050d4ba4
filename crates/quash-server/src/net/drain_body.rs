//! Reads the rest of a request's body after its response is ready. Closing a connection with unread bytes
//! would destroy the response, so they are read, up to a limit; a client that sends more is told that the
//! connection closes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Version};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::net::memory::MemoryAccount;

/// The limit on unrequested bytes that are read.
const BYTES: u64 = 1024 * 1024;
/// The time limit for reading them.
const WITHIN: Duration = Duration::from_secs(1);

/// A request body that can still be read after its handler is done with it.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Body>>);

/// Reads the rest of an answered request. Only for HTTP/1: in HTTP/2 a stream ends without its connection.
pub(crate) async fn drain_unread_body(request: Request, next: Next) -> Response {
    let is_alone = matches!(request.version(), Version::HTTP_10 | Version::HTTP_11);
    if !is_alone || request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client that waits for `100 Continue` has sent nothing yet, and needn't.
    let waits = request.headers().contains_key(EXPECT);
    let account = request.extensions().get::<MemoryAccount>().cloned();
    let (parts, body) = request.into_parts();
    let shared = SharedBody(Arc::new(Mutex::new(body)));
    let mut answer = next.run(Request::from_parts(parts, Body::new(shared.clone()))).await;
    // Don't wait for a connection that has to close to free memory.
    let must_close = account.is_some_and(|account| account.is_closed());
    if !shared.is_read() && (waits || must_close || !shared.read().await) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

impl SharedBody {
    fn with<T>(&self, act: impl FnOnce(&mut Body) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_read(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    /// Reads the rest, unless it is too long or too slow. Returns whether it was read completely.
    async fn read(mut self) -> bool {
        if self.size_hint().lower() > BYTES {
            return false;
        }
        let all = async {
            let mut read = 0;
            loop {
                match std::future::poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await {
                    None => return true,
                    Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
                    Some(Err(_)) => return false,
                }
                if read > BYTES {
                    return false;
                }
            }
        };
        tokio::time::timeout(WITHIN, all).await.unwrap_or(false)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.is_read()
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
