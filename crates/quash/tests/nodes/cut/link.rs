//! A connection to the database that a test can cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio_postgres::config::Host;

pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// Opens a port of this machine that leads to the database's server.
    pub(crate) fn open(url: &str) -> Self {
        let config: tokio_postgres::Config = url.parse().expect("a URL");
        let (host, port) =
            (config.get_hosts()[0].clone(), config.get_ports().first().copied().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let kept = client.try_clone().expect("a descriptor");
                accepting.open.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
                match &host {
                    Host::Tcp(name) => {
                        let server = TcpStream::connect((name.as_str(), port)).expect("PostgreSQL runs");
                        let back = (server.try_clone(), client.try_clone());
                        join(client, server, back.0.expect("a descriptor"), back.1.expect("a descriptor"));
                    }
                    Host::Unix(folder) => {
                        let path = folder.join(format!(".s.PGSQL.{port}"));
                        let server = UnixStream::connect(path).expect("PostgreSQL runs");
                        let back = (server.try_clone(), client.try_clone());
                        join(client, server, back.0.expect("a descriptor"), back.1.expect("a descriptor"));
                    }
                }
            }
        });
        Self { address, shared }
    }

    /// Closes all connections, and new ones at once.
    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }
}

/// Copies both directions until one ends.
fn join<S: Read + Write + Send + 'static>(
    client: TcpStream,
    server: S,
    from_server: S,
    to_client: TcpStream,
) {
    thread::spawn(move || copy(client, server));
    thread::spawn(move || copy(from_server, to_client));
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
}
