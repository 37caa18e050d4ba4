//! One connection, from its handshake to its end: what it may cost, and how long it may keep us waiting. What a request
//! may take once its head has arrived is bounded in `body.rs` and `layers.rs`; how long a response may take, in `sending.rs`.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::listen::Stream;
use crate::sending::{Patience, Sending};
use crate::tls::H2;

/// The head of a request, in bytes.
const HEADER_BYTES: u32 = 16 * 1024;
/// Headers of one request, with HTTP/1. With HTTP/2 each counts 32 bytes more than it has (RFC 9113 6.5.2).
const HEADERS: usize = 100;
/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection is kept on which no request is under way: one whose head hasn't arrived isn't.
const IDLE_WITHIN: Duration = Duration::from_secs(10);
/// How often a connection is looked at before it is known to rest.
const LOOKS: u32 = 10;
/// How long a connection may take to close once it has been told to.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// How long a peer may be silent, and how long it may take to answer a ping, while its HTTP/2 requests are under way.
const PING_AFTER: Duration = Duration::from_secs(10);
/// Streams that one HTTP/2 connection may have open.
const STREAMS: u32 = 128;
/// Streams that a peer may have reset before we took them up, and that were reset because of its errors.
const RESET_STREAMS: usize = 32;
/// What a peer may send on a stream, and on all of a connection's, before we have read it; and what we keep of an
/// answer that it doesn't take. In bytes.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const SEND_BUFFER: usize = 64 * 1024;

/// In the extensions of requests that came over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secured;

/// What all connections of a server share.
#[derive(Clone)]
pub(crate) struct Attendant {
    http: Builder<TokioExecutor>,
    router: Router,
    stopping: watch::Receiver<bool>,
}

impl Attendant {
    pub(crate) fn new(router: Router, stopping: watch::Receiver<bool>) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().max_buf_size(HEADER_BYTES as usize).max_headers(HEADERS).keep_alive(true);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_BYTES)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(RESET_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_AFTER);
        Self { http, router, stopping }
    }

    /// Attends to a connection until it ends.
    pub(crate) async fn attend(mut self, stream: Box<dyn Stream>, peer: Option<SocketAddr>, tls: Option<TlsAcceptor>) {
        // Beneath TLS, so that only bytes that left count.
        let sending = Sending::default();
        let stream = sending.metered(stream);
        let Some(acceptor) = tls else {
            return self.serve(stream, sending, Arrival { peer, secured: None }).await;
        };
        let shaken = tokio::select! {
            shaken = timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)) => shaken,
            _ = self.stopping.wait_for(|stopping| *stopping) => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                // What was agreed on is what is spoken: without an agreement HTTP/1.1 (RFC 9113 3.2).
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                self.http = if is_h2 { self.http.http2_only() } else { self.http.http1_only() };
                self.serve(Box::new(stream), sending, Arrival { peer, secured: Some(Secured) }).await;
            }
            Ok(Err(error)) => tracing::trace!(%error, "a TLS handshake failed"),
            Err(_) => tracing::trace!("a TLS handshake took too long"),
        }
    }

    async fn serve(self, stream: Box<dyn Stream>, sending: Sending, arrival: Arrival) {
        let Self { http, router, mut stopping } = self;
        let work = Work { counts: Arc::default(), sending };
        let begun = work.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let under_way = begun.begin();
            let answer = router.clone().oneshot(arrival.mark(request.map(Body::new)));
            async move { answer.await.map(|answer| under_way.held_by(answer)) }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            pause = work.pause(IDLE_WITHIN) => match pause {
                Pause::Rested => None,
                Pause::Stalled => return tracing::trace!("a client takes its response too slowly"),
            },
            _ = stopping.wait_for(|stopping| *stopping) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    _ = work.pause(CLOSE_WITHIN) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        }
    }
}

/// What the requests of a connection have in common.
#[derive(Clone, Copy)]
struct Arrival {
    peer: Option<SocketAddr>,
    secured: Option<Secured>,
}

impl Arrival {
    fn mark(self, mut request: Request<Body>) -> Request<Body> {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(secured) = self.secured {
            request.extensions_mut().insert(secured);
        }
        request
    }
}

/// What the requests of a connection have come to. Counted, not told to anybody: a request must not wake what waits for
/// the connection's rest.
#[derive(Clone)]
struct Work {
    counts: Arc<Counts>,
    sending: Sending,
}

#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request that is under way until this is dropped.
struct UnderWay(Work);

/// Why a connection needn't be kept.
enum Pause {
    /// No request has been under way for long enough.
    Rested,
    /// The client doesn't take its response.
    Stalled,
}

impl Work {
    fn begin(&self) -> UnderWay {
        self.counts.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Returns once no request has been under way for this long, or a tenth longer, or once the client has stalled.
    async fn pause(&self, span: Duration) -> Pause {
        let (mut seen, mut quiet, mut patience) = (0, 0, Patience::new(&self.sending));
        while quiet < LOOKS {
            sleep(span / LOOKS).await;
            if patience.is_over(&self.sending, span / LOOKS) {
                return Pause::Stalled;
            }
            let (ended, begun) = (self.counts.ended.load(Ordering::Relaxed), self.counts.begun.load(Ordering::Relaxed));
            quiet = if begun == ended && begun == seen && !self.sending.is_blocked() { quiet + 1 } else { 0 };
            seen = begun;
        }
        Pause::Rested
    }
}

impl UnderWay {
    /// Keeps the request under way until its body has been sent. A short body of known length is done with when it is
    /// handed over.
    fn held_by(self, answer: Response) -> Response {
        let sending = self.0.sending.clone();
        answer.map(|body| sending.track(body, self))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.counts.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
