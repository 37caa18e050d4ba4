//! The socket and the certificate of `quash serve`, with hints for the errors of both.

use std::fmt;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use quash_core::model::Clock;
use quash_server::{Listener, SocketFault, Tls, TlsFault, TlsFaultKind, TlsFiles};
use rustix::fs::{Access, access};
use tokio::net::TcpListener;

use crate::error::{CommandError, Exit};
use crate::file_descriptors;
use crate::machine;
use crate::moment::Moment;
use crate::settings::{Listen, Named, NamedKey, Settings, ValueFault};
use quash_server::SystemClock;

/// The address of a running server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ServerAddress {
    /// A TCP address, for HTTP or HTTPS.
    At { scheme: &'static str, address: std::net::SocketAddr },
    /// The path of a unix socket.
    Through(PathBuf),
}

/// Opens the socket. From then on, the kernel queues connections.
pub(super) async fn open(
    settings: &Settings,
    tls: Option<&Tls>,
) -> Result<(Listener, ServerAddress), CommandError> {
    let (listener, server_address) = match &settings.listen {
        Listen::Tcp(address) => {
            let listener =
                TcpListener::bind(address).await.map_err(|error| cannot_listen(*address, &error))?;
            let address = listener.local_addr().map_err(|error| cannot_listen(*address, &error))?;
            let scheme = if tls.is_some() { "https" } else { "http" };
            (Listener::tcp(listener), ServerAddress::At { scheme, address })
        }
        Listen::Unix(path) => {
            let listener = Listener::unix(path).await.map_err(|fault| cannot_listen_at(path, &fault))?;
            (listener, ServerAddress::Through(path.clone()))
        }
    };
    let listener = listener
        .at_most(file_descriptors::for_connections())
        .with_memory(settings.memory.unwrap_or_else(machine::for_connections))
        .keeping_idle(settings.idle_timeout);
    Ok((tls.cloned().into_iter().fold(listener, Listener::with_tls), server_address))
}

/// Reads the certificate and its key.
pub(super) fn load(files: &TlsFiles) -> Result<Tls, CommandError> {
    let tls = Tls::load(files.clone(), SystemClock.now()).map_err(|fault| cannot_speak_tls(&fault))?;
    tracing::info!("the certificate is valid until {}", Moment(tls.valid_until()).to_the_second());
    Ok(tls)
}

/// Examines the certificate, its key and the socket, for `quash config check`. Whether a TCP address is free, or
/// is one of this machine, only shows when the server starts.
pub(super) fn examine(named: &Named) -> Vec<(NamedKey, ValueFault)> {
    let tls = named.tls.as_ref().and_then(|files| {
        let fault = Tls::load(files.clone(), SystemClock.now()).err()?;
        let key = if fault.file == files.key { NamedKey::Key } else { NamedKey::Certificates };
        Some((key, ValueFault::new(fault.kind.to_string(), tls_remedy(&fault))))
    });
    let socket = match &named.listen {
        Some(Listen::Unix(path)) => socket_fault(path).map(|wrong| (NamedKey::Listen, wrong)),
        Some(Listen::Tcp(_)) | None => None,
    };
    tls.into_iter().chain(socket).collect()
}

/// Reads the certificate and its key again. If there are none or the files are wrong, the server keeps
/// running unchanged.
pub(super) fn reload(tls: Option<&Tls>) {
    match tls.map(|tls| tls.reload(SystemClock.now()).map(|()| tls.valid_until())) {
        None => tracing::info!("SIGHUP: no certificate is configured, so nothing is reloaded"),
        Some(Ok(until)) => tracing::info!(
            "SIGHUP: reloaded the certificate; it is valid until {}",
            Moment(until).to_the_second()
        ),
        Some(Err(fault)) => {
            tracing::error!("SIGHUP: keeping the previous certificate: {fault}")
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { scheme, address } => write!(f, "{scheme}://{address}"),
            Self::Through(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn cannot_listen(address: std::net::SocketAddr, error: &io::Error) -> CommandError {
    let message = format!("cannot listen on {address}: {error}");
    match error.kind() {
        io::ErrorKind::AddrInUse => CommandError::new(Exit::InUse, message)
            .hint("stop the process that listens there, or choose another port with --listen; port 0 takes a free one"),
        io::ErrorKind::PermissionDenied => CommandError::failure(message).hint("choose a port above 1023"),
        _ => CommandError::failure(message).hint("choose an address of this machine with --listen"),
    }
}

fn cannot_listen_at(path: &Path, fault: &SocketFault) -> CommandError {
    let message = format!("cannot listen at {}: {fault}", path.display());
    match fault {
        SocketFault::InUse => CommandError::new(Exit::InUse, message)
            .hint("stop the process that listens there, or choose another path in http.listen"),
        SocketFault::NotASocket => {
            CommandError::failure(message).hint("choose another path in http.listen, or move that file away")
        }
        SocketFault::Failed(error) => CommandError::failure(format!("{message}: {error}"))
            .hint("choose a short path in a directory that quash may write"),
    }
}

fn cannot_speak_tls(fault: &TlsFault) -> CommandError {
    CommandError::new(Exit::Usage, fault.to_string()).hint(tls_remedy(fault))
}

fn tls_remedy(fault: &TlsFault) -> String {
    match fault.kind {
        TlsFaultKind::OpenToOthers { .. } => {
            format!("chmod 600 {}, or 640 and a group of quash's own", fault.file.display())
        }
        TlsFaultKind::Expired | TlsFaultKind::NotYetValid => {
            "get a new certificate, or check this machine's clock".into()
        }
        TlsFaultKind::AnothersKey => {
            "set http.tls_key to the key of the first certificate in http.tls_cert".into()
        }
        TlsFaultKind::NoKey | TlsFaultKind::BadKey => {
            "put an unencrypted private key there: RSA, ECDSA or Ed25519, as PEM".into()
        }
        TlsFaultKind::Unreadable(_)
        | TlsFaultKind::TooLong
        | TlsFaultKind::NotPem
        | TlsFaultKind::NoCertificate
        | TlsFaultKind::BadCertificate => {
            "set http.tls_cert and http.tls_key to PEM files that quash can read".into()
        }
    }
}

/// Returns the fault of a unix socket's path, if `serve` can't create the socket there.
fn socket_fault(path: &Path) -> Option<ValueFault> {
    const IN_ANOTHER: &str = "choose a path in a directory that quash may write";
    if SocketAddr::from_pathname(path).is_err() {
        return Some(ValueFault::new("is too long for a socket", "choose a path of at most 107 bytes"));
    }
    // A socket that a running server uses, or has left behind, is no fault.
    if path.symlink_metadata().is_ok_and(|found| !found.file_type().is_socket()) {
        return Some(ValueFault::new(
            "is a file that isn't a socket",
            "choose another path, or move that file away",
        ));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match directory.metadata() {
        Err(error) => {
            Some(ValueFault::new(format!("is in a directory that can't be used: {error}"), IN_ANOTHER))
        }
        Ok(found) if !found.is_dir() => {
            Some(ValueFault::new("is below something that isn't a directory", IN_ANOTHER))
        }
        Ok(_) if access(directory, Access::WRITE_OK | Access::EXEC_OK).is_err() => {
            Some(ValueFault::new("is in a directory that this user may not write", IN_ANOTHER))
        }
        Ok(_) => None,
    }
}
