//! The control socket's file: `control.sock` in the data directory, for its owner only. The path of a unix socket is
//! bounded (108 bytes on Linux), a data directory's isn't: a long one is reached through an open handle on it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "control.sock";
/// Longer paths may not fit into a socket's address.
const PATH_BYTES: usize = 100;

/// A path that fits into a socket's address, and what must stay open for it.
struct Reachable {
    path: PathBuf,
    _handle: Option<File>,
}

/// Where the socket is.
pub(super) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// Listens. A socket that stands there already is taken away: the caller holds the lock that says whose it is.
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

/// Connects to whoever listens.
pub(super) async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let reachable = reachable(data_dir)?;
    UnixStream::connect(&reachable.path).await
}

fn reachable(data_dir: &Path) -> io::Result<Reachable> {
    use std::os::unix::ffi::OsStrExt;
    let path = path_in(data_dir);
    if path.as_os_str().as_bytes().len() <= PATH_BYTES {
        return Ok(Reachable { path, _handle: None });
    }
    through_handle(data_dir)
}

#[cfg(target_os = "linux")]
fn through_handle(data_dir: &Path) -> io::Result<Reachable> {
    use std::os::fd::AsRawFd;
    let handle = File::open(data_dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())).join(NAME);
    Ok(Reachable { path, _handle: Some(handle) })
}

#[cfg(not(target_os = "linux"))]
fn through_handle(_: &Path) -> io::Result<Reachable> {
    Err(io::Error::new(
        io::ErrorKind::InvalidFilename,
        "the path is too long for a unix socket: choose a shorter data directory",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_path_is_reached_and_a_stale_socket_replaced() {
        let room = tempfile::tempdir().expect("a temporary directory");
        for name in ["short", &"long".repeat(50)] {
            let data_dir = room.path().join(name);
            fs::create_dir(&data_dir).expect("it is ours");
            assert!(connect(&data_dir).await.is_err(), "nobody is there");
            drop(listen(&data_dir).expect("a first socket"));
            let refused = connect(&data_dir).await.expect_err("nobody listens");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let _listener = listen(&data_dir).expect("the stale one is replaced");
            assert!(connect(&data_dir).await.is_ok());
            let mode = fs::metadata(path_in(&data_dir)).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
    }
}
