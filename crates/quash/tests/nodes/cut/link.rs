//! A connection to the database that a test can cut or make slow.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::SystemClock;
use tokio_postgres::config::Host;

use crate::support::wait::pause;

pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    /// The milliseconds by which answers are late.
    delay: AtomicU64,
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
                        let back = (back.0.expect("a descriptor"), back.1.expect("a descriptor"));
                        join(&accepting, client, server, back);
                    }
                    Host::Unix(folder) => {
                        let path = folder.join(format!(".s.PGSQL.{port}"));
                        let server = UnixStream::connect(path).expect("PostgreSQL runs");
                        let back = (server.try_clone(), client.try_clone());
                        let back = (back.0.expect("a descriptor"), back.1.expect("a descriptor"));
                        join(&accepting, client, server, back);
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

    /// Delays what the server sends from now on. Its chunks are under way at the same time.
    pub(crate) fn delay(&self, by: Duration) {
        self.shared.delay.store(u64::try_from(by.as_millis()).expect("short"), Ordering::SeqCst);
    }
}

/// Copies both directions until one ends.
fn join<S: Read + Write + Send + 'static>(
    shared: &Arc<Shared>,
    client: TcpStream,
    server: S,
    (mut from_server, mut to_client): (S, TcpStream),
) {
    let shared = Arc::clone(shared);
    thread::spawn(move || copy(client, server));
    let (late, delivered) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut bytes) {
            let delay = Duration::from_millis(shared.delay.load(Ordering::SeqCst));
            if late.send((SystemClock.uptime() + delay, bytes[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || deliver(&delivered, &mut to_client));
}

/// Writes each chunk when it is due.
fn deliver(chunks: &Receiver<(Duration, Vec<u8>)>, to: &mut impl Write) {
    for (due, bytes) in chunks {
        pause(due.saturating_sub(SystemClock.uptime()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
}
