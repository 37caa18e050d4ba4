//! `quash serve`: starts the server, and stops it in order.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use quash_server::{DroppedLines, HttpSettings, Listener, MailWay, ProgramMetrics, Tls};
use quash_service::{Mailer, Service};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::context::CommandContext;
use super::doctor::LocalFacts;
use super::listen::{self, ServerAddress};
use crate::control::ControlServer;
use crate::data_dir::{DataDir, IfMissing, ServerLock};
use crate::error::{CommandError, Exit};
use crate::mail::{self, MailSetup};
use crate::opening::{self, FencedSettings, Opened, StateFiles};
use crate::output;
use crate::settings::{Engine, Loaded, Settings};
use crate::stderr::Stderr;
use crate::traces::{self, Traces};

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The address and port to listen on (port 0 for a free one), or unix:/path [default: 127.0.0.1:7827;
    /// environment: QUASH_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<String>,
    /// With PostgreSQL: store this node's settings that define tokens, such as tokens.user_id_field, where they
    /// differ from those of the other nodes. The other nodes then answer 503 until they are restarted with the same
    /// settings
    #[arg(long)]
    apply_settings: bool,
}

impl ServeArgs {
    fn fenced(&self) -> FencedSettings {
        if self.apply_settings { FencedSettings::Apply } else { FencedSettings::Compare }
    }
}

/// A server that has opened its store and its sockets, but doesn't accept connections yet.
pub(super) struct Ready {
    pub(super) server_address: ServerAddress,
    service: Service,
    state_files: Option<StateFiles>,
    listener: Listener,
    http: HttpSettings,
    mailer: Option<Arc<dyn Mailer>>,
    control: ControlServer,
    stderr: Stderr,
    is_traced: bool,
}

pub(super) async fn run(args: &ServeArgs, context: &CommandContext) -> Result<(), CommandError> {
    let loaded = Arc::new(context.loaded()?);
    let dropped = DroppedLines::default();
    let stderr = Stderr::start(dropped.clone()).map_err(|error| {
        CommandError::failure(format!("the thread that writes the log cannot be started: {error}"))
    })?;
    let traces = loaded.settings.traces.as_ref().map(Traces::start).transpose()?;
    context.start_server_log(loaded.settings.log, traces.as_ref(), &stderr);
    let served = run_with_log(args, context, &loaded, &stderr, &dropped).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    stderr.drain();
    served
}

async fn run_with_log(
    args: &ServeArgs,
    context: &CommandContext,
    loaded: &Arc<Loaded>,
    stderr: &Stderr,
    dropped: &DroppedLines,
) -> Result<(), CommandError> {
    let settings = &loaded.settings;
    let (stop, stopping) = watch::channel(false);
    let (opened, is_open) = watch::channel(false);
    tokio::spawn(stop_on_signals(Signals::start()?, is_open, stop, stderr.clone()));
    let mut hangup = install_signal_handler(SignalKind::hangup())?;
    let tls = settings.tls.as_ref().map(listen::load).transpose()?;
    let (data_dir, made) = context.data_dir(IfMissing::Create, settings)?;
    if made {
        tracing::info!("made the data directory {}", data_dir.path().display());
    }
    let ready = prepare(settings, args.fenced(), &data_dir, tls.as_ref(), stderr).await?;
    opened.send_replace(true);
    let local = LocalFacts::new(Arc::clone(loaded), data_dir.path().to_owned());
    ready.service.set_fact_source(Arc::new(local));
    // Only operators see it.
    if let Err(failure) = ready.service.describe_node(env!("CARGO_PKG_VERSION"), &loaded.digest()).await {
        tracing::warn!(%failure, "failed to show this node to operators");
    }
    let certificate = tls.clone();
    let (form, url) = (context.form, ready.server_address.to_string());
    let print =
        move || output::result(form, &json!({ "listening": url }), || format!("quash is listening on {url}"));
    output::without_waiting(print).transpose()?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            listen::reload(tls.as_ref());
        }
    });
    let program =
        ProgramMetrics { dropped: dropped.clone(), certificate, version: env!("CARGO_PKG_VERSION") };
    serve(ready, stopping, &program).await?;
    tracing::info!("stopped");
    Ok(())
}

/// The time in which a store may still be opened after the first signal.
const OPENED_WITHIN: Duration = Duration::from_secs(2);

/// Stops the server in order at the first signal, and at once at the second. Before the store is open, the first one
/// soon ends the process: a database that doesn't answer would hold it up.
async fn stop_on_signals(
    mut signals: Signals,
    mut is_open: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    stderr: Stderr,
) {
    let name = signals.next().await;
    // A node that is nearly ready has a lease, which an orderly stop gives back.
    let opened = tokio::time::timeout(OPENED_WITHIN, is_open.wait_for(|open| *open));
    let is_opened = tokio::select! {
        opened = opened => opened.is_ok_and(|opened| opened.is_ok()),
        _ = signals.next() => false,
    };
    if !is_opened {
        tracing::info!("{name}: stopped before the store was open");
        stderr.drain();
        std::process::exit(0);
    }
    tracing::info!("{name}: no new connections; requests under way are finished");
    stop.send_replace(true);
    let name = signals.next().await;
    tracing::warn!("{name} again: stopping at once");
    stderr.drain();
    std::process::exit(i32::from(Exit::Failure.code()));
}

/// Opens the store and the sockets. From then on, the kernel queues connections.
pub(super) async fn prepare(
    settings: &Settings,
    fenced: FencedSettings,
    data_dir: &DataDir,
    tls: Option<&Tls>,
    stderr: &Stderr,
) -> Result<Ready, CommandError> {
    if matches!(settings.engine, Engine::Memory) {
        tracing::warn!(
            "storage.engine = \"memory\": accounts, sessions and revocations are lost when this process ends; don't use it in production"
        );
    }
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let lock = data_dir.lock_for_server()?;
    let opened = opening::open(settings, fenced, data_dir).await?;
    opened.made.iter().for_each(|made| tracing::info!("made {made}"));
    let service = opened.service.clone();
    match open_sockets(opened, settings, data_dir, lock, tls, stderr).await {
        Ok(ready) => Ok(ready),
        Err(error) => {
            // Other nodes would wait for this one until its lease expires.
            service.leave().await;
            Err(error)
        }
    }
}

async fn open_sockets(
    opened: Opened,
    settings: &Settings,
    data_dir: &DataDir,
    lock: ServerLock,
    tls: Option<&Tls>,
    stderr: &Stderr,
) -> Result<Ready, CommandError> {
    let (service, state_files) = (opened.service, opened.state_files);
    let (listener, server_address) = listen::open(settings, tls).await?;
    let control = ControlServer::start(service.clone(), data_dir, lock)?;
    let MailSetup { mode, mailer } = mail::setup(settings, &server_address.to_string(), stderr)?;
    match mode {
        MailWay::Sent => {}
        MailWay::Written => {
            tracing::info!("mails are written to standard error, for development: mail.host is not set")
        }
        MailWay::Waiting(setting) => tracing::warn!("mails are queued but not sent: {setting} is not set"),
    }
    let http = HttpSettings { mail: mode, ..settings.http.clone() };
    Ok(Ready {
        server_address,
        service,
        state_files,
        listener,
        http,
        mailer,
        control,
        stderr: stderr.clone(),
        is_traced: settings.traces.is_some(),
    })
}

/// Serves until `stopping` becomes true, then finishes the requests under way.
pub(super) async fn serve(
    ready: Ready,
    mut stopping: watch::Receiver<bool>,
    program: &ProgramMetrics,
) -> Result<(), CommandError> {
    let Ready { service, state_files, listener, http, mailer, control, stderr, is_traced, .. } = ready;
    let router = quash_server::router_counting(service.clone(), http, program);
    let router = if is_traced { traces::traced(router) } else { router };
    let (upkeep_service, seal_service, feed_service, closing_service, watch_service) =
        (service.clone(), service.clone(), service.clone(), service.clone(), service);
    let upkeep = tokio::spawn(async move { upkeep_service.upkeep().await });
    let sealing = tokio::spawn(async move { seal_service.seal_audit().await });
    let deliveries = mailer.map(|mailer| {
        let service = watch_service.clone();
        tokio::spawn(async move { service.deliver(mailer).await })
    });
    let recording = state_files.clone().map(|state_files| tokio::spawn(state_files.follow()));
    let watch = tokio::spawn(async move { end_when_broken(&watch_service, &stderr).await });
    let stopped = async move {
        // A dropped sender also stops the server.
        let _asked = stopping.wait_for(|stopping| *stopping).await;
        // Feed connections stay open until the feed is closed.
        feed_service.close_feed();
    };
    let served = quash_server::serve(listener, router, stopped).await;
    upkeep.abort();
    sealing.abort();
    deliveries.iter().for_each(JoinHandle::abort);
    recording.iter().for_each(JoinHandle::abort);
    watch.abort();
    closing_service.seal_audit_now().await;
    state_files.iter().for_each(StateFiles::record);
    // Last: from now on, no other node waits for what this one accepts or signs.
    closing_service.leave().await;
    drop(control);
    served.map_err(|error| CommandError::failure(format!("the server's socket failed: {error}")))
}

/// Ends the process after a failed write to disk: from then on, no request may be acknowledged.
async fn end_when_broken(service: &Service, stderr: &Stderr) {
    let Some(mut broken) = service.broken() else { return };
    if broken.wait_for(|broken| *broken).await.is_ok() {
        tracing::error!(
            "a write to disk failed; stopping, so that no change is acknowledged that isn't durable"
        );
        stderr.drain();
        std::process::exit(i32::from(Exit::Failure.code()));
    }
}

/// The signals that ask a server to stop.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn start() -> Result<Self, CommandError> {
        Ok(Self {
            terminate: install_signal_handler(SignalKind::terminate())?,
            interrupt: install_signal_handler(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn install_signal_handler(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind)
        .map_err(|error| CommandError::failure(format!("failed to install a signal handler: {error}")))
}
