//! The control socket's file: `control.sock` in the data directory, accessible only to its owner. The path of
//! a unix socket is limited (108 bytes on Linux), unlike that of a data directory: a long path goes through
//! an open directory handle.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "control.sock";
/// The longest path that surely fits into a socket's address, in bytes.
const PATH_BYTES: usize = 100;

/// A path that fits into a socket's address, and the handle that must stay open for it.
struct ReachablePath {
    path: PathBuf,
    _handle: Option<File>,
}

pub(super) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// Listens on the socket. Replaces an existing file: the caller holds the server lock, so no other server
/// uses it.
pub(super) fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    let reachable = reachable(data_dir)?;
    match fs::remove_file(&reachable.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&reachable.path)?;
    fs::set_permissions(&reachable.path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to the running server.
pub(super) async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let reachable = reachable(data_dir)?;
    UnixStream::connect(&reachable.path).await
}

fn reachable(data_dir: &Path) -> io::Result<ReachablePath> {
    use std::os::unix::ffi::OsStrExt;
    let path = path_in(data_dir);
    if path.as_os_str().as_bytes().len() <= PATH_BYTES {
        return Ok(ReachablePath { path, _handle: None });
    }
    through_handle(data_dir)
}

#[cfg(target_os = "linux")]
fn through_handle(data_dir: &Path) -> io::Result<ReachablePath> {
    use std::os::fd::AsRawFd;
    let handle = File::open(data_dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())).join(NAME);
    Ok(ReachablePath { path, _handle: Some(handle) })
}

#[cfg(not(target_os = "linux"))]
fn through_handle(_: &Path) -> io::Result<ReachablePath> {
    Err(io::Error::new(
        io::ErrorKind::InvalidFilename,
        "the path is too long for a unix socket: choose a shorter data directory",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_paths_work_and_stale_sockets_are_replaced() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["short", &"long".repeat(50)] {
            let data_dir = dir.path().join(name);
            fs::create_dir(&data_dir).expect("it is ours");
            assert!(connect(&data_dir).await.is_err(), "there is no socket");
            drop(listen(&data_dir).expect("a first socket"));
            let refused = connect(&data_dir).await.expect_err("no process listens");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let _listener = listen(&data_dir).expect("the stale one is replaced");
            assert!(connect(&data_dir).await.is_ok());
            let mode = fs::metadata(path_in(&data_dir)).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
    }
}
