//! The socket and the certificate of `quash serve`, with hints for the errors of both.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quash_core::model::Clock;
use quash_server::{Listener, SocketFault, Tls, TlsFault, TlsFaultKind, TlsFiles};
use tokio::net::TcpListener;

use crate::error::{CommandError, Exit};
use crate::file_descriptors;
use crate::machine;
use crate::moment::Moment;
use crate::settings::{Listen, Settings};
use quash_server::SystemClock;

/// The address of a running server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ServerAddress {
    /// A TCP address, for HTTP or HTTPS.
    At { scheme: &'static str, address: SocketAddr },
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

fn cannot_listen(address: SocketAddr, error: &io::Error) -> CommandError {
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
    let error = CommandError::failure(fault.to_string());
    let file = fault.file.display();
    match fault.kind {
        TlsFaultKind::OpenToOthers { .. } => {
            error.hint(format!("chmod 600 {file}, or 640 and a group of quash's own"))
        }
        TlsFaultKind::Expired | TlsFaultKind::NotYetValid => {
            error.hint("get a new certificate, or check this machine's clock")
        }
        TlsFaultKind::AnothersKey => {
            error.hint("set http.tls_key to the key of the first certificate in http.tls_cert")
        }
        TlsFaultKind::NoKey | TlsFaultKind::BadKey => {
            error.hint("put an unencrypted private key there: RSA, ECDSA or Ed25519, as PEM")
        }
        TlsFaultKind::Unreadable(_)
        | TlsFaultKind::TooLong
        | TlsFaultKind::NotPem
        | TlsFaultKind::NoCertificate
        | TlsFaultKind::BadCertificate => {
            error.hint("set http.tls_cert and http.tls_key to PEM files that quash can read")
        }
    }
}
