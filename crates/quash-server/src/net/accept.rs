//! The accept loop: limits the number of connections, runs each in a task of its own, and drains them on
//! shutdown.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::net::connection::ConnectionHandler;
use crate::net::listen::Listener;

/// The time limit for pending requests after shutdown has begun.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);
/// The pause before accepting again when the system can't provide another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves a router until `shutdown`, then lets pending requests finish, for at most eight seconds. With
/// everything else that has to close, the process ends within ten.
///
/// # Errors
/// None today: when the system can't provide another connection, it may do so later.
pub async fn serve(
    listener: Listener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let handler = ConnectionHandler::new(router, stopping).at(&listener);
    let mut connections = JoinSet::new();
    // Logged once each time the limit is reached: connections that come and go at the limit mustn't fill the
    // log.
    let mut logged_full = false;
    let mut shutdown = pin!(shutdown);
    loop {
        let may_accept = connections.len() < listener.connections;
        if !may_accept && !logged_full {
            tracing::warn!(
                "reached the limit of {} open connections; further ones have to wait",
                listener.connections
            );
        }
        logged_full = !may_accept || (logged_full && connections.len() > listener.connections / 2);
        tokio::select! {
            accepted = listener.accept(), if may_accept => match accepted {
                Ok((stream, peer)) => {
                    let tls = listener.tls.as_ref().map(crate::net::tls::Tls::acceptor);
                    connections.spawn(handler.clone().serve_connection(stream, peer, tls));
                }
                Err(error) => pause_after_accept_error(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_WITHIN, drained).await.is_err() {
        tracing::warn!("shutdown timed out with requests still pending");
    }
    Ok(())
}

/// Ignores a connection that the client closed before it was accepted. If the process has no file descriptor
/// left, waits: the connection can be accepted later.
async fn pause_after_accept_error(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused => {}
        _ => {
            tracing::warn!(%error, "failed to accept a connection");
            tokio::time::sleep(ACCEPT_AGAIN).await;
        }
    }
}
