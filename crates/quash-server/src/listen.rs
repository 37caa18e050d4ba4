//! Where a server listens: at a TCP address or a unix socket, with TLS or without.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::tls::Tls;

/// Its owner and group may connect to a unix socket, nobody else: a proxy runs as another user, in the same group.
const SOCKET_MODE: u32 = 0o660;

/// Bytes that the kernel may hold of a connection before it has sent them.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 16 * 1024;

/// Where a server listens, and how.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    pub(crate) tls: Option<Tls>,
    pub(crate) connections: usize,
    pub(crate) memory: usize,
    pub(crate) idle: Duration,
}

/// Why a unix socket can't be listened at.
#[derive(Debug)]
pub enum SocketFault {
    /// Somebody listens there, or it can't be told.
    InUse,
    /// Something that isn't a socket stands there.
    NotASocket,
    /// The system refuses.
    Failed(io::Error),
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// What comes in: bytes, whatever carries them.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Listener {
    /// Connections that may be open at once. Each costs a handle of the process, and tens of kilobytes at worst.
    pub const CONNECTIONS: usize = 16_384;

    /// The memory of connections and of unfinished requests, in bytes, where nobody chooses another.
    pub const MEMORY: usize = 512 * 1024 * 1024;
    /// How long an idle connection is kept, where nobody chooses another time.
    pub const IDLE: Duration = Duration::from_secs(10);

    /// At a TCP address.
    pub fn tcp(listener: TcpListener) -> Self {
        Self::at(Socket::Tcp(listener))
    }

    /// At a unix socket, whose file is made here and removed with the listener. One that a dead server has left is
    /// replaced. Those who connect have no address.
    ///
    /// # Errors
    /// Somebody listens there, another file stands there, or the system refuses.
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

    /// With TLS.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// With no more connections at once than this, where the process has handles for fewer than
    /// [`Listener::CONNECTIONS`].
    #[must_use]
    pub fn at_most(self, connections: usize) -> Self {
        Self { connections: connections.clamp(1, Self::CONNECTIONS), ..self }
    }

    /// With another budget for the memory of connections and of unfinished requests, in bytes.
    #[must_use]
    pub fn with_memory(self, memory: usize) -> Self {
        Self { memory, ..self }
    }

    /// With another time for which an idle connection is kept.
    #[must_use]
    pub fn keeping_idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// The next connection, and the address that it comes from, if it has one.
    pub(crate) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Option<SocketAddr>)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small answers must not wait for an acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                limit_unsent(&stream);
                Ok((Box::new(stream), Some(peer)))
            }
            Socket::Unix { listener, .. } => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }
}

/// Has the kernel accept only little beyond what it can send at once. Otherwise it takes megabytes ahead of a slow client,
/// and `sending.rs` sees no progress for minutes.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) {
    // Without it only the slowest clients are cut off.
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_stream: &TcpStream) {}

/// Takes away a socket at which nobody listens.
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
        // One that is too busy, or that we may not ask, isn't dead.
        Ok(_) | Err(_) => Err(SocketFault::InUse),
    }
}

/// The file of a unix socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Its device and its number there: what tells it from one that another server has put in its place.
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
            // One that stays behind is found stale by the next server.
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
            Self::InUse => f.write_str("another process listens there"),
            Self::NotASocket => f.write_str("a file that isn't a socket stands there"),
            Self::Failed(_) => f.write_str("the system refuses"),
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
