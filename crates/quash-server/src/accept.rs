//! The accept loop: as many connections as there may be at once, each in a task of its own, and an orderly end.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::Attendant;
use crate::listen::Listener;

/// How long requests may still take once the server has been told to end.
const DRAIN_WITHIN: Duration = Duration::from_secs(8);
/// How long to wait when the system gives no more connections.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves a router until `shutdown`, then lets the requests under way finish, for eight seconds at most: with what
/// else there is to close, the process ends within ten.
///
/// # Errors
/// None today: a system that gives no more connections may do so later.
pub async fn serve(
    listener: Listener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let attendant = Attendant::new(router, stopping).at(&listener);
    let mut connections = JoinSet::new();
    // Told once each time: connections that come and go at the edge mustn't fill the log.
    let mut told_full = false;
    let mut shutdown = pin!(shutdown);
    loop {
        let may_accept = connections.len() < listener.connections;
        if !may_accept && !told_full {
            tracing::warn!("{} connections are open: more have to wait", listener.connections);
        }
        told_full = !may_accept || (told_full && connections.len() > listener.connections / 2);
        tokio::select! {
            accepted = listener.accept(), if may_accept => match accepted {
                Ok((stream, peer)) => {
                    let tls = listener.tls.as_ref().map(crate::tls::Tls::acceptor);
                    connections.spawn(attendant.clone().attend(stream, peer, tls));
                }
                Err(error) => wait_out(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_WITHIN, drained).await.is_err() {
        tracing::warn!("requests were still under way when the time to finish them was over");
    }
    Ok(())
}

/// A connection that went before it was accepted is nobody's fault; one that can't be accepted because the process has
/// no handle left for it will be accepted later.
async fn wait_out(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused => {}
        _ => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_AGAIN).await;
        }
    }
}
