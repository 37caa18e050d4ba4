//! The server over real sockets: TLS, unix sockets, deadlines and limits on connections.

#[path = "../support/mod.rs"]
mod support;

mod client;

mod certificates;

mod tls;

mod unix;

mod deadlines;

mod framing;

mod memory;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use quash_server::Listener;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is stopped by [`Served::stop`], or with the test.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Served {
    /// Starts a server at a free port; `listening` configures its listener.
    async fn start(router: Router, listening: impl FnOnce(Listener) -> Listener) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, serving) = serve(listening(Listener::tcp(listener)), router);
        Self { address, stop, serving }
    }

    /// Tells the server to end, and waits until it has.
    async fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.serving.await.expect("it doesn't panic").expect("it serves");
    }
}

fn serve(listener: Listener, router: Router) -> (oneshot::Sender<()>, JoinHandle<io::Result<()>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(quash_server::serve(listener, router, async {
        let _stopped = stopped.await;
    }));
    (stop, serving)
}

/// A router without its own threads, so that the clock can be stopped.
fn hello() -> Router {
    Router::new().route("/", get(async || "hello").post(async |body: String| body.len().to_string()))
}

/// Waits for the effect of a server's deadline, on a clock that jumps to the next deadline whenever all tasks
/// are idle. Also returns how far the clock jumped. No bytes that need an answer may be in transit meanwhile,
/// because the clock may jump then. A deadline of the test itself could be reached before the server has
/// started its own.
async fn jumping<T>(awaited: impl Future<Output = T>) -> (T, Duration) {
    tokio::time::pause();
    #[expect(clippy::disallowed_methods, reason = "the test measures how far its paused clock jumped")]
    let begun = tokio::time::Instant::now();
    let done = awaited.await;
    let passed = begun.elapsed();
    tokio::time::resume();
    (done, passed)
}
