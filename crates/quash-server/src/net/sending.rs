//! Tracks the progress of responses: a connection may wait for its client as long as the client takes bytes.
//! A slow download completes; a client that stalls, or that reads slower than [`RATE`] to occupy a
//! connection, is disconnected. `metered.rs` notes the writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// The time after which a client that takes no byte of a waiting response is disconnected.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// The lowest average rate at which a client may take a response, in bytes per second.
const RATE: u64 = 1024;
/// The largest part of a body that is handed to the HTTP layer at a time, in bytes. The layer buffers it, so
/// a larger part would hide whether the client takes it.
const PIECE: usize = 16 * 1024;

/// The progress of the responses of one connection. Counted without waking any task.
#[derive(Clone, Default)]
pub(crate) struct SendProgress(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// Bytes that the socket has accepted.
    taken: AtomicU64,
    /// Whether the socket refused the last write, because the client hasn't taken what was written before.
    is_blocked: AtomicBool,
    /// Bodies whose last part the HTTP layer has not sent yet. In HTTP/2 a client can stop a stream while the
    /// socket accepts writes.
    offered: AtomicUsize,
}

/// The time for which a connection may still wait for its client: spent by waiting, earned by the bytes that
/// the client takes.
pub(crate) struct Patience {
    left: Duration,
    taken: u64,
}

impl SendProgress {
    /// Wraps a body so that it holds `held` until it has been sent. Returns a body of known length that fits
    /// into one piece unchanged: it isn't worth an allocation.
    pub(crate) fn track<H: Send + Unpin + 'static>(&self, body: Body, held: H) -> Body {
        if body.size_hint().exact().is_some_and(|length| length <= PIECE as u64) {
            return body;
        }
        Body::new(TrackedBody {
            body,
            rest: Bytes::new(),
            offer: Offer { sending: self.clone(), is_open: false },
            _held: held,
        })
    }

    /// Returns whether the socket has refused the last write.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.is_blocked.load(Ordering::Relaxed)
    }

    fn is_waiting(&self) -> bool {
        self.is_blocked() || self.0.offered.load(Ordering::Relaxed) > 0
    }

    /// Notes an attempt to write to the connection's stream.
    pub(crate) fn note(&self, written: &Poll<io::Result<usize>>) {
        self.0.is_blocked.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = written {
            self.0.taken.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Patience {
    pub(crate) fn new(sending: &SendProgress) -> Self {
        Self { left: STALLED_AFTER, taken: sending.0.taken.load(Ordering::Relaxed) }
    }

    /// Returns whether the connection's patience with its client is exhausted, `passed` after the last check.
    pub(crate) fn is_over(&mut self, sending: &SendProgress, passed: Duration) -> bool {
        let taken = sending.0.taken.load(Ordering::Relaxed);
        self.look(taken, sending.is_waiting(), passed)
    }

    fn look(&mut self, taken: u64, is_waiting: bool, passed: Duration) -> bool {
        let earned = Duration::from_millis(taken.saturating_sub(self.taken).saturating_mul(1000) / RATE);
        self.taken = taken;
        self.left = self.left.saturating_add(earned).min(STALLED_AFTER);
        self.left = if is_waiting {
            self.left.saturating_sub(passed)
        } else {
            (self.left + passed).min(STALLED_AFTER)
        };
        self.left.is_zero()
    }
}

/// A body that is handed out in pieces. It counts as offered from each piece until the next one is requested.
struct TrackedBody<H> {
    body: Body,
    rest: Bytes,
    offer: Offer,
    _held: H,
}

struct Offer {
    sending: SendProgress,
    is_open: bool,
}

impl Offer {
    fn set(&mut self, is_open: bool) {
        let offered = &self.sending.0.offered;
        match (std::mem::replace(&mut self.is_open, is_open), is_open) {
            (false, true) => drop(offered.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(offered.fetch_sub(1, Ordering::Relaxed)),
            (true, true) | (false, false) => {}
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.set(false);
    }
}

impl<H: Send + Unpin + 'static> HttpBody for TrackedBody<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.offer.set(false);
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        self.offer.set(true);
        let piece = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower().saturating_add(rest));
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience() -> Patience {
        Patience::new(&SendProgress::default())
    }

    #[test]
    fn stalled_clients_exhaust_their_patience() {
        let mut patience = patience();
        assert!((1..30).all(|_| !patience.look(0, true, SECOND)));
        assert!(patience.look(0, true, SECOND), "one second past the edge");
    }

    #[test]
    fn clients_at_the_minimum_rate_are_served() {
        let mut patience = patience();
        // 64 KiB at a time, as the kernel frees its buffer, at 4 KiB a second.
        for second in 0..10_000 {
            assert!(!patience.look(second / 16 * 64 * 1024, true, SECOND), "second {second}");
        }
    }

    #[test]
    fn clients_below_the_minimum_rate_are_disconnected() {
        let mut patience = patience();
        let given_up = (1..).find(|second| patience.look(second * (RATE / 2), true, SECOND));
        assert_eq!(given_up, Some(59), "each second but the first earns half of one");
    }

    #[test]
    fn waiting_for_the_application_costs_no_patience() {
        let mut patience = patience();
        assert!((0..1000).all(|_| !patience.look(0, false, SECOND)));
    }

    #[tokio::test]
    async fn tracked_bodies_keep_bytes_and_length() {
        let sending = SendProgress::default();
        let bytes = Bytes::from(vec![7; 3 * PIECE + 1]);
        let mut body = sending.track(Body::from(bytes.clone()), ());
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        let first = body.frame().await.expect("a frame").expect("data").into_data().expect("data");
        assert_eq!((first.len(), body.size_hint().exact()), (PIECE, Some(bytes.len() as u64 - PIECE as u64)));
        assert!(sending.is_waiting());
        let rest = body.collect().await.expect("the rest").to_bytes();
        assert_eq!([first, rest].concat(), bytes);
        assert!(!sending.is_waiting());
    }
}
