//! The server's end of the control socket. A process that may open the socket may execute every request; the
//! file's mode is the only protection.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quash_service::Service;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Answer, REQUEST_BYTES, Request, author, execute, socket};
use crate::data_dir::{DataDir, ServerLock};
use crate::error::{CommandError, Exit};

/// The most concurrent commands; further ones wait in the socket's own queue.
const AT_A_TIME: usize = 16;
/// The longest that a command may take to send its line, and again to read its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The open control socket. Closing it removes the file.
pub(crate) struct ControlServer {
    path: PathBuf,
    serving: JoinHandle<()>,
    _lock: ServerLock,
}

impl ControlServer {
    /// Opens the socket, and starts to answer.
    ///
    /// # Errors
    /// The socket can't be created.
    pub(crate) fn start(
        service: Service,
        data_dir: &DataDir,
        lock: ServerLock,
    ) -> Result<Self, CommandError> {
        let path = socket::path_in(data_dir.path());
        let listener = socket::listen(data_dir.path()).map_err(|error| {
            CommandError::failure(format!(
                "the control socket {} cannot be created: {error}",
                display_path(&path)
            ))
        })?;
        Ok(Self { serving: tokio::spawn(accept(listener, service)), path, _lock: lock })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.serving.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = display_path(&self.path), "failed to remove the control socket");
        }
    }
}

async fn accept(listener: UnixListener, service: Service) {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = service.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &service).await {
                        tracing::debug!(%error, "a command disconnected before its answer");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a command's connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, service: &Service) -> io::Result<()> {
    let author = author::peer_user(&stream);
    let (reading, mut writing) = stream.into_split();
    let mut line = zeroize::Zeroizing::new(Vec::new());
    let reading =
        async { BufReader::new(reading.take(REQUEST_BYTES + 1)).read_until(b'\n', &mut line).await };
    tokio::time::timeout(TIMEOUT, reading).await??;
    let answer = match read(&line) {
        Ok(request) => match execute(service, request, author).await {
            Ok(reply) => Answer::Done(Box::new(reply)),
            Err(error) => Answer::Failed(error),
        },
        Err(error) => Answer::Failed(error),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    tokio::time::timeout(TIMEOUT, writing.write_all(&line)).await?
}

fn read(line: &[u8]) -> Result<Request, CommandError> {
    if line.len() as u64 > REQUEST_BYTES {
        return Err(CommandError::new(
            Exit::Usage,
            format!("the request is longer than {REQUEST_BYTES} bytes"),
        ));
    }
    // serde's message might quote the request.
    serde_json::from_slice(line).map_err(|_| {
        CommandError::new(Exit::Usage, "the server doesn't understand the request")
            .hint("use the same version of quash for the server and the command")
    })
}

fn display_path(path: &Path) -> String {
    path.display().to_string()
}
