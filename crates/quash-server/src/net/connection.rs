//! Handles one connection from its handshake to its end, within limits on time and resources.
//! `request/body.rs` and `middleware/layers.rs` limit a request after its head; `sending.rs` limits the time
//! for a response; `memory.rs` accounts for the memory.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
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

use crate::net::keep_alive::KeepAlive;
use crate::net::listen::{Listener, Stream};
use crate::net::memory::{Full, Memory, MemoryAccount, PendingRequestCharge};
use crate::net::metered::MeteredStream;
use crate::net::sending::{Patience, SendProgress};
use crate::net::tls::H2;

/// The maximum size of a request's head, in bytes.
const HEADER_BYTES: u32 = 16 * 1024;
/// The maximum number of headers in an HTTP/1 request. In HTTP/2 each header counts 32 bytes extra (RFC 9113
/// 6.5.2).
const HEADERS: usize = 100;
/// The time limit for a TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// The time limit for receiving a request's head, from its first byte.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The number of checks before a connection counts as idle.
const LOOKS: u32 = 10;
/// The time limit for closing a connection after it has been told to.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// The time limit for closing a connection to free memory, despite pending requests: a 503 has been sent by
/// then.
const YIELD_WITHIN: Duration = Duration::from_millis(100);
/// The time after which a silent peer with pending HTTP/2 requests is pinged, and the time limit for its
/// response.
const PING_AFTER: Duration = Duration::from_secs(10);
/// The maximum number of open streams in an HTTP/2 connection: no fewer than RFC 9113 6.5.2 recommends.
const STREAMS: u32 = 100;
/// The maximum number of streams that the peer has reset before they were accepted, and of streams reset
/// because of its errors.
const RESET_STREAMS: usize = 32;
/// The bytes that a peer may send on one stream, and on a whole connection, before they are read; and the
/// bytes of a response that are buffered until the peer takes them.
const STREAM_WINDOW: u32 = 32 * 1024;
const CONNECTION_WINDOW: u32 = 128 * 1024;
const SEND_BUFFER: usize = 64 * 1024;

/// The longest response that is charged to the memory budget, in bytes. Only snapshots are longer, and their
/// clients are authenticated.
const CHARGED: u64 = 512 * 1024;

/// Marks requests that arrived over TLS, in their extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

/// The state that all connections of a server share.
#[derive(Clone)]
pub(crate) struct ConnectionHandler {
    http: Builder<TokioExecutor>,
    router: Router,
    memory: Memory,
    idle: Duration,
    stopping: watch::Receiver<bool>,
}

impl ConnectionHandler {
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
        Self { http, router, memory: Memory::new(Listener::MEMORY), idle: Listener::IDLE, stopping }
    }

    /// Applies the memory budget and the idle time of a listener.
    pub(crate) fn at(self, listener: &Listener) -> Self {
        Self { memory: Memory::new(listener.memory), idle: listener.idle, ..self }
    }

    /// Serves a connection until it ends.
    pub(crate) async fn serve_connection(
        mut self,
        stream: Box<dyn Stream>,
        peer: Option<SocketAddr>,
        tls: Option<TlsAcceptor>,
    ) {
        // Wraps the stream beneath TLS, so that only bytes that were sent count.
        let sending = SendProgress::default();
        let account = self.memory.open(tls.is_some());
        let stream: Box<dyn Stream> = Box::new(MeteredStream::new(stream, account.clone(), sending.clone()));
        let Some(acceptor) = tls else {
            return self.serve(stream, sending, ConnectionExtensions { peer, secured: None, account }).await;
        };
        let handshake_done = tokio::select! {
            () = account.closing() => return,
            handshake_done = timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)) => handshake_done,
            _ = self.stopping.wait_for(|stopping| *stopping) => return,
        };
        match handshake_done {
            Ok(Ok(stream)) => {
                account.handshake_done();
                // Without an agreed protocol, speak HTTP/1.1 (RFC 9113 3.2).
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                self.http = if is_h2 { self.http.http2_only() } else { self.http.http1_only() };
                self.serve(
                    Box::new(stream),
                    sending,
                    ConnectionExtensions { peer, secured: Some(OverTls), account },
                )
                .await;
            }
            Ok(Err(error)) => tracing::trace!(%error, "a TLS handshake failed"),
            Err(_) => tracing::trace!("a TLS handshake took too long"),
        }
    }

    async fn serve(self, stream: Box<dyn Stream>, sending: SendProgress, arrival: ConnectionExtensions) {
        let Self { http, router, idle, mut stopping, .. } = self;
        let account = arrival.account.clone();
        let work = RequestCounts { counts: Arc::default(), sending, account: account.clone() };
        let (begun, stops) = (work.clone(), stopping.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let keeps = KeepAlive::of(&request, idle);
            let (under_way, has_memory) = begun.begin(&request);
            if has_memory == Err(Full) {
                request.extensions_mut().insert(Full);
            }
            let answer = router.clone().oneshot(arrival.clone().mark(request.map(Body::new)));
            let stops = stops.clone();
            async move {
                let answer = answer.await.map(|answer| under_way.held_by(answer));
                answer.map(|answer| if *stops.borrow() { answer } else { keeps.announce(answer) })
            }
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            until_closable = work.until_closable(idle) => match until_closable {
                CloseReason::Idle => None,
                CloseReason::Stalled => return tracing::trace!("a client takes its response too slowly"),
            },
            () = account.closing() => None,
            _ = stopping.wait_for(|stopping| *stopping) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None if account.is_closed() && !work.is_under_way() => return,
            None => {
                connection.as_mut().graceful_shutdown();
                let too_long = async {
                    account.closing().await;
                    sleep(YIELD_WITHIN).await;
                };
                tokio::select! {
                    ended = connection => ended,
                    _ = work.until_closable(CLOSE_WITHIN) => return,
                    () = too_long => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        }
    }
}

/// The extensions that all requests of a connection share.
#[derive(Clone)]
struct ConnectionExtensions {
    peer: Option<SocketAddr>,
    secured: Option<OverTls>,
    account: MemoryAccount,
}

impl ConnectionExtensions {
    fn mark(self, mut request: Request<Body>) -> Request<Body> {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(secured) = self.secured {
            request.extensions_mut().insert(secured);
        }
        request.extensions_mut().insert(self.account);
        request
    }
}

/// The number of requests that began and ended on a connection. Plain counters: a request must not wake the
/// task that waits for the connection to become idle.
#[derive(Clone)]
struct RequestCounts {
    counts: Arc<Counts>,
    sending: SendProgress,
    account: MemoryAccount,
}

#[derive(Default)]
struct Counts {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A pending request, until this is dropped.
struct PendingRequest {
    work: RequestCounts,
    ongoing: Option<PendingRequestCharge>,
}

/// The reason to close a connection.
enum CloseReason {
    /// No request has been pending for the idle time.
    Idle,
    /// The client doesn't take its response.
    Stalled,
}

impl RequestCounts {
    fn begin(&self, request: &Request<Incoming>) -> (PendingRequest, Result<(), Full>) {
        self.counts.begun.fetch_add(1, Ordering::Relaxed);
        let ongoing = self.account.begin(head_bytes(request), request.version());
        let has_memory = ongoing.as_ref().map(|_| ()).map_err(|full| *full);
        (PendingRequest { work: self.clone(), ongoing: ongoing.ok() }, has_memory)
    }

    fn is_under_way(&self) -> bool {
        self.counts.begun.load(Ordering::Relaxed) != self.counts.ended.load(Ordering::Relaxed)
    }

    /// Returns once no request has been pending for `idle`, or up to a tenth longer; once a head has taken
    /// too long; or once the client has stalled.
    async fn until_closable(&self, idle: Duration) -> CloseReason {
        let look = idle.min(HEAD_WITHIN) / LOOKS;
        let (mut seen, mut quiet, mut in_a_head) = (0, Duration::ZERO, Duration::ZERO);
        let mut patience = Patience::new(&self.sending);
        while quiet < idle && in_a_head < HEAD_WITHIN {
            sleep(look).await;
            if patience.is_over(&self.sending, look) {
                return CloseReason::Stalled;
            }
            let (ended, begun) =
                (self.counts.ended.load(Ordering::Relaxed), self.counts.begun.load(Ordering::Relaxed));
            let rests = begun == ended
                && begun == seen
                && !self.sending.is_blocked()
                && !self.account.must_wait_for_memory();
            let is_in_a_head = rests && self.account.is_in_a_head();
            quiet = if rests { quiet + look } else { Duration::ZERO };
            in_a_head = if is_in_a_head { in_a_head + look } else { Duration::ZERO };
            seen = begun;
        }
        CloseReason::Idle
    }
}

/// Returns the size of a request's head in bytes, counted as HTTP/2 does (RFC 9113 6.5.2).
fn head_bytes(request: &Request<Incoming>) -> usize {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    request.uri().path().len() + request.uri().query().map_or(0, str::len) + headers.sum::<usize>()
}

impl PendingRequest {
    /// Keeps the request pending until its response body has been sent. A short body of known length counts
    /// as sent when it is handed over.
    fn held_by(mut self, answer: Response) -> Response {
        if let Some(ongoing) = &mut self.ongoing {
            ongoing.answered(answer.body().size_hint().exact().filter(|length| *length <= CHARGED));
        }
        let sending = self.work.sending.clone();
        answer.map(|body| sending.track(body, self))
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.work.counts.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
