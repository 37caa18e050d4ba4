//! Listens at a TCP address or a unix socket, with or without TLS.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::net::tls::Tls;

/// The mode of a unix socket: only its owner and group may connect. A proxy runs as another user of the same
/// group.
const SOCKET_MODE: u32 = 0o660;

/// The unsent bytes that the kernel may buffer per connection.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 16 * 1024;

/// A listening socket, and the limits of its connections.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    pub(crate) tls: Option<Tls>,
    pub(crate) connections: usize,
    pub(crate) memory: usize,
    pub(crate) idle: Duration,
}

/// The reason why a unix socket can't be opened.
#[derive(Debug)]
pub enum SocketFault {
    /// Another process listens there, or may do so.
    InUse,
    /// The file isn't a socket.
    NotASocket,
    Failed(io::Error),
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// A byte stream over any transport.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Listener {
    /// The maximum number of open connections. Each costs a file descriptor, and tens of kilobytes at worst.
    pub const CONNECTIONS: usize = 16_384;

    /// The default memory budget for connections and unfinished requests, in bytes.
    pub const MEMORY: usize = 512 * 1024 * 1024;
    /// The default time for which an idle connection is kept.
    pub const IDLE: Duration = Duration::from_secs(10);

    /// Listens at a TCP address.
    pub fn tcp(listener: TcpListener) -> Self {
        Self::at(Socket::Tcp(listener))
    }

    /// Listens at a unix socket. Creates its file and removes it with the listener. Replaces one that a
    /// crashed server left behind. Clients have no address.
    ///
    /// # Errors
    /// Another process listens there, another file exists there, or the operating system refuses.
    pub async fn unix(path: &Path) -> Result<Self, SocketFault> {
        remove_stale(path).await?;
        let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => SocketFault::InUse,
            _ => SocketFault::Failed(error),
        })?;
        let file = SocketFile::of(path).map_err(SocketFault::Failed)?;
        fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(SocketFault::Failed)?;
        Ok(Self::at(Socket::Unix { listener, _file: file }))
    }

    fn at(socket: Socket) -> Self {
        Self { socket, tls: None, connections: Self::CONNECTIONS, memory: Self::MEMORY, idle: Self::IDLE }
    }

    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Lowers the maximum number of connections, for a process with fewer file descriptors than
    /// [`Listener::CONNECTIONS`].
    #[must_use]
    pub fn at_most(self, connections: usize) -> Self {
        Self { connections: connections.clamp(1, Self::CONNECTIONS), ..self }
    }

    /// Sets the memory budget for connections and unfinished requests, in bytes.
    #[must_use]
    pub fn with_memory(self, memory: usize) -> Self {
        Self { memory, ..self }
    }

    /// Sets the time for which an idle connection is kept.
    #[must_use]
    pub fn keeping_idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// Accepts the next connection. Returns its peer's address, if there is one.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<SocketAddr>)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small responses must not wait for the acknowledgement of the previous one.
                let _ = stream.set_nodelay(true);
                limit_unsent(&stream);
                Ok((Box::new(stream), Some(peer)))
            }
            Socket::Unix { listener, .. } => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }
}

/// Limits the unsent bytes that the kernel buffers. Otherwise it accepts megabytes ahead of a slow client,
/// and `sending.rs` sees no progress for minutes.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) {
    // If this fails, only the slowest clients are disconnected.
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_stream: &TcpStream) {}

/// Removes a socket if no process listens at it.
async fn remove_stale(path: &Path) -> Result<(), SocketFault> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketFault::Failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketFault::NotASocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(SocketFault::Failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A socket that is too busy, or that we may not connect to, may be in use.
        Ok(_) | Err(_) => Err(SocketFault::InUse),
    }
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// The device and inode numbers, which distinguish it from a file that another server has created at its
    /// path.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // The next server replaces a file that is left behind.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl fmt::Display for SocketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another process is listening there"),
            Self::NotASocket => f.write_str("a file that isn't a socket exists there"),
            Self::Failed(_) => f.write_str("the operating system refused"),
        }
    }
}

impl std::error::Error for SocketFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::InUse | Self::NotASocket => None,
        }
    }
}
