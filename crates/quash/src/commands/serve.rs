//! `quash serve`: starts the server, and stops it in order.

use std::sync::Arc;

use clap::Args;
use quash_server::{DroppedLines, HttpSettings, Listener, MailWay, Tls};
use quash_service::{Mailer, Service};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::listen::{self, Reachable};
use super::place::Place;
use crate::control::ControlServer;
use crate::data_dir::{Absent, DataDir};
use crate::error::{CommandError, Exit};
use crate::mail::{self, Way};
use crate::opening::{self, Notes};
use crate::output;
use crate::settings::{Engine, Settings};
use crate::stderr::Stderr;

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The address and port to listen on (port 0 for a free one), or unix:/path [default: 127.0.0.1:7827;
    /// environment: QUASH_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<String>,
}

/// A server that has opened its store and its sockets, but doesn't accept connections yet.
pub(super) struct Ready {
    pub(super) reachable: Reachable,
    service: Service,
    notes: Option<Notes>,
    listener: Listener,
    door: HttpSettings,
    mailer: Option<Arc<dyn Mailer>>,
    control: ControlServer,
    stderr: Stderr,
}

pub(super) async fn run(place: &Place) -> Result<(), CommandError> {
    let settings = place.settings()?;
    let dropped = DroppedLines::default();
    let stderr = Stderr::start(dropped.clone()).map_err(|error| {
        CommandError::failure(format!("the thread that writes the log cannot be started: {error}"))
    })?;
    place.start_server_log(settings.log, &stderr);
    let served = run_with_log(place, &settings, &stderr, &dropped).await;
    stderr.drain();
    served
}

async fn run_with_log(
    place: &Place,
    settings: &Settings,
    stderr: &Stderr,
    dropped: &DroppedLines,
) -> Result<(), CommandError> {
    let mut signals = Signals::start()?;
    let mut hangup = hear(SignalKind::hangup())?;
    let tls = settings.tls.as_ref().map(listen::load).transpose()?;
    let (data_dir, made) = place.data_dir(Absent::Make, settings)?;
    if made {
        tracing::info!("made the data directory {}", data_dir.path().display());
    }
    let ready = prepare(settings, &data_dir, tls.as_ref(), stderr).await?;
    let (form, url) = (place.form, ready.reachable.to_string());
    let print =
        move || output::result(form, &json!({ "listening": url }), || format!("quash is listening on {url}"));
    output::without_waiting(print).transpose()?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            listen::reload(tls.as_ref());
        }
    });
    let (stop, stopping) = watch::channel(false);
    let leaving = stderr.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!("{name}: no new connections; requests under way are finished");
        stop.send_replace(true);
        let name = signals.next().await;
        tracing::warn!("{name} again: stopping at once");
        leaving.drain();
        std::process::exit(i32::from(Exit::Failure.code()));
    });
    serve(ready, stopping, dropped).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the store and the sockets. From then on, the kernel queues connections.
pub(super) async fn prepare(
    settings: &Settings,
    data_dir: &DataDir,
    tls: Option<&Tls>,
    stderr: &Stderr,
) -> Result<Ready, CommandError> {
    if settings.engine == Engine::Memory {
        tracing::warn!(
            "storage.engine = \"memory\": accounts, sessions and revocations are lost when this process ends; don't use it in production"
        );
    }
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let lock = data_dir.lock_for_server()?;
    let opened = opening::open(settings, data_dir).await?;
    opened.made.iter().for_each(|made| tracing::info!("made {made}"));
    let (service, notes) = (opened.service, opened.notes);
    let (listener, reachable) = listen::open(settings, tls).await?;
    let control = ControlServer::start(service.clone(), data_dir, lock)?;
    let Way { way, mailer } = mail::way(settings, &reachable.to_string(), stderr)?;
    match way {
        MailWay::Sent => {}
        MailWay::Written => {
            tracing::info!("mails are written to standard error, for development: mail.host is not set")
        }
        MailWay::Waiting(setting) => tracing::warn!("mails are queued but not sent: {setting} is not set"),
    }
    let door = HttpSettings { mail: way, ..settings.door.clone() };
    Ok(Ready { reachable, service, notes, listener, door, mailer, control, stderr: stderr.clone() })
}

/// Serves until `stopping` becomes true, then finishes the requests under way.
pub(super) async fn serve(
    ready: Ready,
    mut stopping: watch::Receiver<bool>,
    dropped: &DroppedLines,
) -> Result<(), CommandError> {
    let Ready { service, notes, listener, door, mailer, control, stderr, .. } = ready;
    let router = quash_server::router_counting(service.clone(), door, dropped);
    let (upkept, sealed, fed, closing, watched) =
        (service.clone(), service.clone(), service.clone(), service.clone(), service);
    let upkeep = tokio::spawn(async move { upkept.upkeep().await });
    let sealing = tokio::spawn(async move { sealed.seal_audit().await });
    let deliveries = mailer.map(|mailer| {
        let service = watched.clone();
        tokio::spawn(async move { service.deliver(mailer).await })
    });
    let noting = notes.clone().map(|notes| tokio::spawn(notes.follow()));
    let watch = tokio::spawn(async move { end_when_broken(&watched, &stderr).await });
    let stopped = async move {
        // A dropped sender also stops the server.
        let _asked = stopping.wait_for(|stopping| *stopping).await;
        // Feed connections stay open until the feed is closed.
        fed.close_feed();
    };
    let served = quash_server::serve(listener, router, stopped).await;
    upkeep.abort();
    sealing.abort();
    deliveries.iter().for_each(JoinHandle::abort);
    noting.iter().for_each(JoinHandle::abort);
    watch.abort();
    closing.seal_audit_now().await;
    notes.iter().for_each(Notes::note);
    drop(control);
    served.map_err(|error| CommandError::failure(format!("the server's socket failed: {error}")))
}

/// Ends the process after a failed write to disk: from then on, no request may be acknowledged.
async fn end_when_broken(service: &Service, stderr: &Stderr) {
    let mut broken = service.broken();
    if broken.wait_for(|broken| *broken).await.is_ok() {
        tracing::error!(
            "a write to disk failed; stopping, so that no change is acknowledged that isn't durable"
        );
        stderr.drain();
        std::process::exit(i32::from(Exit::Failure.code()));
    }
}

/// The signals that ask a server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn start() -> Result<Self, CommandError> {
        Ok(Self { terminate: hear(SignalKind::terminate())?, interrupt: hear(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn hear(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind)
        .map_err(|error| CommandError::failure(format!("failed to install a signal handler: {error}")))
}
