//! A proxy between a verifier and its issuer that injects faults of networks and of attackers.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Seeded, draw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::wait::pass;

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ProxyFault {
    None,
    /// Closes all connections, including new ones.
    Cut,
    /// Delays chunks by up to one and a half terms of a lease.
    Delay,
    /// Sends chunks twice, in both directions.
    Duplicate,
    /// Swaps a chunk with the next one.
    Reorder,
    /// Drops the end of a chunk and everything after it: closes the connection, or leaves it silent.
    Truncate,
    /// Flips a bit, in both directions; but not in the public keys, which no hash protects.
    Flip,
    /// Drops everything silently. An affected connection never carries data again.
    DropAll,
    /// Answers each request for a lease with an earlier valid answer, and drops everything else.
    Replay,
}

/// A proxy in front of an issuer.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    way: Arc<Way>,
}

struct Way {
    issuer: Mutex<SocketAddr>,
    fault: watch::Sender<ProxyFault>,
    chance: Seeded,
    answers: Mutex<Answers>,
    mangled: AtomicUsize,
}

/// Recorded answers to lease requests.
#[derive(Default)]
struct Answers {
    whole: Vec<u8>,
    coming: Vec<u8>,
    /// The number of complete answers.
    count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToIssuer,
    ToVerifier,
}

/// A verifier's connection: the state that both directions share.
#[derive(Default)]
struct Line {
    /// The last request was for a lease.
    leasing: AtomicBool,
    /// The last request was for the issuer's keys.
    keys: AtomicBool,
    /// The connection carries no more data.
    dead: AtomicBool,
}

/// The writer of one direction.
type Write = tokio::sync::Mutex<OwnedWriteHalf>;

/// The longest chunk, in bytes: frames of the feed are longer.
const CHUNK_BYTES: usize = 700;
/// The shortest truncated request, in bytes: its first chunk must show its path.
const SHORTEST: usize = 32;
/// The longest delay: longer than a lease.
const LATEST: Duration = Duration::from_millis(1500);
/// The longest that a chunk is held back for the next one.
const HELD: Duration = Duration::from_millis(30);
/// One chunk in this many is mangled.
const ONE_IN: usize = 4;

impl Proxy {
    /// Opens a proxy to the issuer at this address; its random choices follow from the seed.
    pub(crate) async fn open(issuer: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let way = Arc::new(Way {
            issuer: Mutex::new(issuer),
            fault: watch::Sender::new(ProxyFault::None),
            chance: Seeded::new(seed),
            answers: Mutex::default(),
            mangled: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&way);
        tokio::spawn(async move {
            while let Ok((verifier, _)) = listener.accept().await {
                let way = Arc::clone(&accepting);
                // Broken connections are expected.
                tokio::spawn(async move { drop(way.carry(verifier).await) });
            }
        });
        Self { address, way }
    }

    /// Sets the fault from now on.
    pub(crate) fn set_fault(&self, fault: ProxyFault) {
        self.way.fault.send_replace(fault);
    }

    /// Sets the issuer of new connections.
    pub(crate) fn set_issuer(&self, issuer: SocketAddr) {
        *self.way.issuer.lock().unwrap_or_else(PoisonError::into_inner) = issuer;
    }

    /// Returns the number of valid lease answers.
    pub(crate) fn leases(&self) -> usize {
        self.way.answers.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Returns the number of injected faults.
    pub(crate) fn mangled(&self) -> usize {
        self.way.mangled.load(Ordering::SeqCst)
    }
}

impl Way {
    async fn carry(&self, verifier: TcpStream) -> io::Result<()> {
        if self.fault() == ProxyFault::Cut && self.one_in(2) {
            return Ok(());
        }
        let issuer = *self.issuer.lock().unwrap_or_else(PoisonError::into_inner);
        let issuer = TcpStream::connect(issuer).await?;
        let ((from_verifier, to_verifier), (from_issuer, to_issuer)) =
            (verifier.into_split(), issuer.into_split());
        let (line, to_verifier) = (Line::default(), Write::new(to_verifier));
        let to_issuer = Write::new(to_issuer);
        let back = async {
            // With `DropAll`, the close of the other side isn't passed on.
            let over = self.pump(Direction::ToVerifier, from_issuer, &to_verifier, &to_verifier, &line).await;
            if line.dead.load(Ordering::SeqCst) { std::future::pending().await } else { over }
        };
        tokio::select! {
            over = self.pump(Direction::ToIssuer, from_verifier, &to_issuer, &to_verifier, &line) => over,
            over = back => over,
        }
    }

    /// Carries one direction of a connection. Forged answers are written to `verifier`.
    async fn pump(
        &self,
        direction: Direction,
        mut from: OwnedReadHalf,
        to: &Write,
        verifier: &Write,
        line: &Line,
    ) -> io::Result<()> {
        let (mut faults, mut buffer, mut held) = (self.fault.subscribe(), [0; CHUNK_BYTES], None::<Vec<u8>>);
        loop {
            let shortest = if direction == Direction::ToIssuer { SHORTEST } else { 1 };
            let length = shortest + self.below(CHUNK_BYTES + 1 - shortest);
            let read = tokio::select! {
                read = from.read(&mut buffer[..length]) => read?,
                changed = faults.changed() => match changed {
                    Ok(()) => {
                        self.begin(line)?;
                        continue;
                    }
                    Err(_) => return Ok(()),
                },
                () = pass(HELD), if held.is_some() => {
                    write(to, &held.take().unwrap_or_default()).await?;
                    continue;
                }
            };
            if read == 0 {
                return Ok(());
            }
            if line.dead.load(Ordering::SeqCst) || self.fault() == ProxyFault::DropAll {
                line.dead.store(true, Ordering::SeqCst);
                continue;
            }
            let piece = &buffer[..read];
            self.write_down(direction, piece, line);
            if self.fault() == ProxyFault::Replay {
                self.replay(direction, verifier, line).await?;
            } else if direction == Direction::ToVerifier
                && self.fault() == ProxyFault::Reorder
                && held.is_none()
                && self.mangles()
            {
                held = Some(piece.to_vec());
            } else {
                self.mangle(direction, piece, to, line).await?;
                write(to, &held.take().unwrap_or_default()).await?;
            }
        }
    }

    /// Starts a fault on an open connection.
    fn begin(&self, line: &Line) -> io::Result<()> {
        match self.fault() {
            ProxyFault::Cut => Err(io::ErrorKind::ConnectionAborted.into()),
            ProxyFault::DropAll => {
                line.dead.store(true, Ordering::SeqCst);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn mangle(&self, direction: Direction, piece: &[u8], to: &Write, line: &Line) -> io::Result<()> {
        let mut piece = piece.to_vec();
        let is_answer = direction == Direction::ToVerifier;
        match self.fault() {
            ProxyFault::Cut if self.mangles() => return Err(io::ErrorKind::ConnectionAborted.into()),
            ProxyFault::Delay if is_answer && self.mangles() => {
                let millis = self.below(usize::try_from(LATEST.as_millis()).expect("short"));
                pass(Duration::from_millis(millis.try_into().expect("short"))).await;
            }
            ProxyFault::Duplicate if self.mangles() => piece = piece.repeat(2),
            ProxyFault::Truncate if is_answer && self.mangles() => {
                piece.truncate(self.below(piece.len()));
                line.dead.store(self.one_in(2), Ordering::SeqCst);
                write(to, &piece).await?;
                return if line.dead.load(Ordering::SeqCst) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::ConnectionAborted.into())
                };
            }
            ProxyFault::Flip if !line.keys.load(Ordering::SeqCst) && self.mangles() => {
                let place = self.below(piece.len());
                piece[place] ^= 1 << self.below(8);
            }
            _ => {}
        }
        write(to, &piece).await
    }

    /// Records answers to lease requests while there is no fault.
    fn write_down(&self, direction: Direction, piece: &[u8], line: &Line) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = self.fault() == ProxyFault::None;
        match direction {
            Direction::ToIssuer if piece.starts_with(b"GET /") => {
                let is_lease = piece.starts_with(b"GET /v1/feed/lease");
                line.leasing.store(is_lease, Ordering::SeqCst);
                line.keys.store(piece.starts_with(b"GET /.well-known"), Ordering::SeqCst);
                if is_lease && is_good {
                    let whole = std::mem::take(&mut answers.coming);
                    if !whole.is_empty() {
                        answers.whole = whole;
                        answers.count += 1;
                    }
                }
            }
            Direction::ToVerifier if is_good && line.leasing.load(Ordering::SeqCst) => {
                answers.coming.extend(piece)
            }
            _ => {}
        }
    }

    /// Answers a lease request with an answer to another one.
    async fn replay(&self, direction: Direction, verifier: &Write, line: &Line) -> io::Result<()> {
        if direction == Direction::ToVerifier || !line.leasing.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).whole.clone();
        self.mangled.fetch_add(1, Ordering::SeqCst);
        write(verifier, &answer).await
    }

    fn fault(&self) -> ProxyFault {
        *self.fault.borrow()
    }

    fn mangles(&self) -> bool {
        let mangles = self.one_in(ONE_IN);
        self.mangled.fetch_add(usize::from(mangles), Ordering::SeqCst);
        mangles
    }

    fn one_in(&self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn below(&self, end: usize) -> usize {
        usize::from(u16::from_be_bytes(draw::<2>(&self.chance))) % end
    }
}

async fn write(to: &Write, bytes: &[u8]) -> io::Result<()> {
    to.lock().await.write_all(bytes).await
}
