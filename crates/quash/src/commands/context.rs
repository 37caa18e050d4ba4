//! The context of a command: its data directory, its settings, and the format of its output.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use quash_service::TRACED;
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::GlobalArgs;
use crate::control::{self, Local, Reply, Request};
use crate::data_dir::{DataDir, IfMissing};
use crate::error::CommandError;
use crate::output::{self, OutputFormat};
use crate::settings::{
    self, Environment, Flags, Loaded, LogFormat, LogSettings, Named, NamedKey, SecretText, Settings,
    ValueFault,
};
use crate::stderr::Stderr;
use crate::traces::Traces;

/// The context of a command.
pub(super) struct CommandContext {
    flags: Flags,
    environment: Environment,
    pub(super) form: OutputFormat,
    /// Print sequence numbers of the log in texts for people, too.
    pub(super) verbose: bool,
    local: Local,
}

impl CommandContext {
    pub(super) fn new(args: GlobalArgs, listen: Option<String>, form: OutputFormat) -> Self {
        let flags = Flags { data_dir: args.data_dir, config: args.config, listen, set: args.set };
        Self { flags, environment: Environment::read(), form, verbose: args.verbose, local: Local::new() }
    }

    /// Reads the settings, before any file is created.
    pub(super) fn settings(&self) -> Result<Settings, CommandError> {
        self.loaded().map(|loaded| loaded.settings)
    }

    /// Reads the settings with their origins.
    pub(super) fn loaded(&self) -> Result<Loaded, CommandError> {
        Ok(settings::load(&self.flags, &self.environment, &self.data_dir_path())?)
    }

    /// Reads the settings, and examines the files and sockets that they name.
    pub(super) fn loaded_and_examined(
        &self,
        look: impl Fn(&Named) -> Vec<(NamedKey, ValueFault)>,
    ) -> Result<Loaded, CommandError> {
        Ok(settings::load_examined(&self.flags, &self.environment, &self.data_dir_path(), look)?)
    }

    /// Opens the data directory.
    pub(super) fn data_dir(
        &self,
        if_missing: IfMissing,
        settings: &Settings,
    ) -> Result<(DataDir, bool), CommandError> {
        DataDir::open(self.data_dir_path(), if_missing, settings.group_access)
    }

    /// Executes a request, in the running server or in this process.
    pub(super) async fn ask(&self, if_missing: IfMissing, request: Request) -> Result<Reply, CommandError> {
        self.executor(if_missing)?.ask(request).await
    }

    /// Returns the executor for several requests.
    pub(super) fn executor(&self, if_missing: IfMissing) -> Result<Executor<'_>, CommandError> {
        let settings = self.settings()?;
        self.start_log(&settings);
        let (data_dir, made) = self.data_dir(if_missing, &settings)?;
        if made {
            output::note(&format!("made the data directory {}", data_dir.path().display()));
        }
        Ok(Executor { settings, data_dir, if_missing, local: &self.local })
    }

    /// Ends the command's work on a store that it has opened itself: other nodes don't wait for this process any
    /// more.
    pub(super) async fn close(&self) {
        if let Some(opened) = self.local.get() {
            opened.service.leave().await;
        }
    }

    /// The source of an import that the environment names.
    pub(super) fn import_source(&self) -> Option<SecretText> {
        self.environment.import_source.clone()
    }

    /// Prints a result.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub(super) fn print(
        &self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), CommandError> {
        output::result(self.form, value, text).map(drop)
    }

    /// Starts to write warnings and errors to stderr, as text.
    pub(super) fn start_log(&self, settings: &Settings) {
        let level = settings.log.level.min(LevelFilter::WARN);
        start_log(LogSettings { level, format: LogFormat::Text }, None, io::stderr, self.is_coloured());
    }

    /// Starts a server's log, which never blocks, and its traces. Panics go to the log, too: Rust's own hook would
    /// wait for standard error.
    pub(super) fn start_server_log(&self, log: LogSettings, traces: Option<&Traces>, stderr: &Stderr) {
        start_log(log, traces, stderr.clone(), self.is_coloured());
        std::panic::set_hook(Box::new(|panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!("panicked at {location}: {}", panic.payload_as_str().unwrap_or("no message"));
        }));
    }

    fn is_coloured(&self) -> bool {
        !self.environment.no_color && io::stderr().is_terminal()
    }

    /// Returns the path of the data directory.
    pub(super) fn data_dir_path(&self) -> PathBuf {
        let named = self.flags.data_dir.clone().or_else(|| self.environment.data_dir.clone());
        named.unwrap_or_else(|| PathBuf::from("quash-data"))
    }
}

/// Executes requests in the running server or, if none runs, on the store.
pub(super) struct Executor<'a> {
    settings: Settings,
    data_dir: DataDir,
    if_missing: IfMissing,
    local: &'a Local,
}

impl Executor<'_> {
    pub(super) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Executes a request.
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, CommandError> {
        control::ask(request, &self.settings, &self.data_dir, self.if_missing, self.local).await
    }

    /// Executes a request in the running server; `None`: no server runs.
    pub(super) async fn ask_running(&self, request: &Request) -> Result<Option<Reply>, CommandError> {
        control::ask_running(request, &self.data_dir).await
    }
}

fn start_log(
    log: LogSettings,
    traces: Option<&Traces>,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
    coloured: bool,
) {
    // Spans are for traces alone.
    let shown = Targets::new().with_default(log.level).with_target(TRACED, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(coloured);
    let subscriber = tracing_subscriber::registry().with(traces.map(Traces::layer));
    let started = match log.format {
        LogFormat::Text => subscriber.with(lines.with_filter(shown)).try_init(),
        LogFormat::Json => subscriber.with(lines.json().flatten_event(true).with_filter(shown)).try_init(),
    };
    if let Err(error) = started {
        output::note(&format!("failed to start the log: {error}"));
    }
}

/// The error for a reply that doesn't match the request.
pub(super) fn unexpected() -> CommandError {
    CommandError::failure("the server's reply doesn't match the request")
        .hint("use the same version of quash for the server and the command")
}
