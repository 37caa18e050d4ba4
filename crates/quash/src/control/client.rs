//! The command's end: asks the running server or, where none runs, does the work itself.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{ANSWER_BYTES, Answer, Reply, Request, author, execute, socket};
use crate::data_dir::{Absent, DataDir};
use crate::error::{CommandError, Exit};
use crate::opening::{self, Notes, Opened};
use crate::output;
use crate::settings::{Engine, Settings};

/// The store as this process has it open, where no server runs: opened for the first request, and kept for those that
/// follow. A second opening in one process would meet the first one's lock.
pub(crate) type Local = OnceCell<Opened>;

/// Has a request executed.
///
/// # Errors
/// It can't be executed, or fails.
pub(crate) async fn ask(
    request: Request,
    settings: &Settings,
    data_dir: &DataDir,
    absent: Absent,
    local: &Local,
) -> Result<Reply, CommandError> {
    if let Some(opened) = local.get() {
        return here(opened, request).await;
    }
    if let Some(server) = connect(data_dir).await? {
        return ask_server(server, &request).await;
    }
    if settings.engine == Engine::Memory {
        return Err(CommandError::new(
            Exit::Unavailable,
            "no server runs, and with storage.engine = \"memory\" there is nothing else to ask",
        )
        .hint("start `quash serve` with the same data directory"));
    }
    if absent == Absent::Refuse && !data_dir.database().exists() {
        return Err(CommandError::new(Exit::NotFound, format!("there is no quash in {}", data_dir.path().display()))
            .hint("name its data directory with --data-dir or QUASH_DATA_DIR; `quash serve` and `quash account add` make a new one"));
    }
    match opening::open(settings, data_dir).await {
        Ok(opened) => {
            opened.made.iter().for_each(|made| output::note(&format!("made {made}")));
            here(local.get_or_init(async || opened).await, request).await
        }
        Err(error) if error.exit == Exit::InUse => {
            // A server that is just starting takes the store first and opens its socket a moment later.
            let server = connect(data_dir).await?.ok_or_else(|| {
                CommandError::new(Exit::InUse, format!("{}, and no server answers at its control socket", error.message))
                    .hint("another command may be at work: try again; if a server is starting or stopping, wait for it")
            })?;
            ask_server(server, &request).await
        }
        Err(error) => Err(error),
    }
}

/// Executes a request in this process.
async fn here(opened: &Opened, request: Request) -> Result<Reply, CommandError> {
    let done = execute(&opened.service, request, Some(author::here())).await;
    opened.service.seal_audit_now().await;
    opened.notes.iter().for_each(Notes::note);
    done
}

/// Has a request executed by the running server; `None` where none runs.
///
/// # Errors
/// It can't be executed, or fails.
pub(crate) async fn ask_running(
    request: &Request,
    data_dir: &DataDir,
) -> Result<Option<Reply>, CommandError> {
    match connect(data_dir).await? {
        Some(server) => ask_server(server, request).await.map(Some),
        None => Ok(None),
    }
}

/// A connection to the running server; `None` where none runs.
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
    let went_away = || {
        CommandError::new(Exit::Unavailable, "the server went away before it answered")
            .hint("look whether it was done, and try again")
    };
    let mut line = Zeroizing::new(
        serde_json::to_vec(request).map_err(|error| CommandError::failure(error.to_string()))?,
    );
    line.push(b'\n');
    let (reading, mut writing) = server.into_split();
    // A server that refuses a long line has closed its end before it was sent: its answer says so.
    let sent = writing.write_all(&line).await;
    let mut answer = Vec::new();
    let read = BufReader::new(reading.take(ANSWER_BYTES)).read_until(b'\n', &mut answer).await;
    if answer.is_empty() && (sent.is_err() || read.is_err() || read.is_ok_and(|length| length == 0)) {
        return Err(went_away());
    }
    match serde_json::from_slice(&answer) {
        Ok(Answer::Done(reply)) => Ok(*reply),
        Ok(Answer::Failed(error)) => Err(error),
        Err(_) => Err(CommandError::failure("the server's answer can't be understood")
            .hint("use the same version of quash for both")),
    }
}
