//! The command's end of the control socket: sends requests to the running server or, if none runs, executes
//! them itself.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{ANSWER_BYTES, Answer, Reply, Request, author, execute, socket};
use crate::data_dir::{DataDir, IfMissing};
use crate::error::{CommandError, Exit};
use crate::opening::{self, FencedSettings, Opened, StateFiles};
use crate::output;
use crate::settings::{Engine, Settings};
use quash_store::{PostgresOptions, PostgresStore};

/// The store that this process has opened because no server runs. It stays open for further requests: opening
/// it a second time would fail on the first one's lock.
pub(crate) type Local = OnceCell<Opened>;

/// Executes a request, in the running server or in this process.
///
/// # Errors
/// The request can't be executed, or fails.
pub(crate) async fn ask(
    request: Request,
    settings: &Settings,
    data_dir: &DataDir,
    if_missing: IfMissing,
    local: &Local,
) -> Result<Reply, CommandError> {
    if let Some(opened) = local.get() {
        return execute_here(opened, request).await;
    }
    if let Some(server) = connect(data_dir).await? {
        return ask_server(server, &request).await;
    }
    match &settings.engine {
        Engine::Memory => {
            return Err(CommandError::new(
                Exit::Unavailable,
                "no server runs, and with storage.engine = \"memory\" there is no database to open",
            )
            .hint("start `quash serve` with the same data directory"));
        }
        Engine::Sqlite if if_missing == IfMissing::Refuse && !data_dir.database().exists() => {
            return Err(CommandError::new(Exit::NotFound, format!("there is no quash in {}", data_dir.path().display()))
                .hint("name its data directory with --data-dir or QUASH_DATA_DIR; `quash serve` and `quash account add` create a new one"));
        }
        Engine::Postgres(url) if if_missing == IfMissing::Refuse => {
            let options = PostgresOptions::new(url.expose());
            if PostgresStore::is_new(&options).await.map_err(opening::open_error)? {
                return Err(CommandError::new(Exit::NotFound, "no server was ever started on the database of storage.url")
                    .hint("check the name of the database; `quash serve` and `quash account add` make its tables and keys"));
            }
        }
        Engine::Sqlite | Engine::Postgres(_) => {}
    }
    match opening::open(settings, FencedSettings::Compare, data_dir).await {
        Ok(opened) => {
            opened.made.iter().for_each(|made| output::note(&format!("made {made}")));
            execute_here(local.get_or_init(async || opened).await, request).await
        }
        Err(error) if error.exit == Exit::InUse => {
            // A starting server locks the store a moment before it opens its socket.
            let server = connect(data_dir).await?.ok_or_else(|| {
                CommandError::new(Exit::InUse, format!("{}, and no server answers at its control socket", error.message))
                    .hint("another command may be running: try again; if a server is starting or stopping, wait for it")
            })?;
            ask_server(server, &request).await
        }
        Err(error) => Err(error),
    }
}

/// Executes a request in this process.
async fn execute_here(opened: &Opened, request: Request) -> Result<Reply, CommandError> {
    let done = execute(&opened.service, request, Some(author::current_user())).await;
    opened.service.seal_audit_now().await;
    opened.state_files.iter().for_each(StateFiles::record);
    done
}

/// Executes a request in the running server; `None`: no server runs.
///
/// # Errors
/// The request can't be executed, or fails.
pub(crate) async fn ask_running(
    request: &Request,
    data_dir: &DataDir,
) -> Result<Option<Reply>, CommandError> {
    match connect(data_dir).await? {
        Some(server) => ask_server(server, request).await.map(Some),
        None => Ok(None),
    }
}

/// Connects to the running server; `None`: no server runs.
async fn connect(data_dir: &DataDir) -> Result<Option<UnixStream>, CommandError> {
    match socket::connect(data_dir.path()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => {
            let path = socket::path_in(data_dir.path());
            Err(CommandError::failure(format!(
                "the control socket {} cannot be used: {error}",
                path.display()
            ))
            .hint("run the command as the user that the server runs as"))
        }
    }
}

async fn ask_server(server: UnixStream, request: &Request) -> Result<Reply, CommandError> {
    let disconnected = || {
        let hint =
            if request.changes() { "check whether the change was made, and try again" } else { "try again" };
        CommandError::new(Exit::Unavailable, "the server closed the connection before it answered").hint(hint)
    };
    let mut line = Zeroizing::new(
        serde_json::to_vec(request).map_err(|error| CommandError::failure(error.to_string()))?,
    );
    line.push(b'\n');
    let (reading, mut writing) = server.into_split();
    // A server that refuses a long line closes the connection before the line is sent; its answer explains
    // that.
    let sent = writing.write_all(&line).await;
    let mut answer = Vec::new();
    let read = BufReader::new(reading.take(ANSWER_BYTES)).read_until(b'\n', &mut answer).await;
    if answer.is_empty() && (sent.is_err() || read.is_err() || read.is_ok_and(|length| length == 0)) {
        return Err(disconnected());
    }
    match serde_json::from_slice(&answer) {
        Ok(Answer::Done(reply)) => Ok(*reply),
        Ok(Answer::Failed(error)) => Err(error),
        Err(_) => Err(CommandError::failure("failed to parse the server's answer")
            .hint("use the same version of quash for the server and the command")),
    }
}
