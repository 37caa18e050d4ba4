//! Connections that are cut at COMMIT: each change is written once or not at all, and its answer says which.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quash_core::model::{Change, Generation, NewEntry, ScopeKey, ScopeKind, SessionId};
use quash_store::{PostgresOptions, PostgresStore, Store, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Config;

use crate::server::{Stream, at_address, server_of};
use crate::support::postgres::database;
use crate::support::*;

/// The outcome of a COMMIT.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    /// It reaches the server, and its answer is lost.
    Unanswered,
    /// It reaches the server, and the connection is closed at once.
    Cut,
    /// It is lost with the connection.
    Lost,
}

/// A proxy in front of a server, which cuts some connections at COMMIT.
struct Proxy {
    address: std::net::SocketAddr,
    /// The number of connections that were cut.
    cut: Arc<AtomicU32>,
}

impl Proxy {
    async fn start(url: &str, every: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let address = listener.local_addr().expect("an address");
        let (commits, cut) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let proxy = Self { address, cut: Arc::clone(&cut) };
        let config: Config = url.parse().expect("a URL");
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                let (commits, cut, config) = (Arc::clone(&commits), Arc::clone(&cut), config.clone());
                tokio::spawn(async move {
                    let fate = || match commits.fetch_add(1, Ordering::Relaxed) % (every * 3) {
                        n if n == every => Fate::Unanswered,
                        n if n == every * 2 => Fate::Cut,
                        n if n == every * 3 - 1 => Fate::Lost,
                        _ => Fate::Delivered,
                    };
                    relay(client, server_of(&config).await, fate, &cut).await;
                });
            }
        });
        proxy
    }
}

async fn relay(mut client: TcpStream, mut server: Box<dyn Stream>, fate: impl Fn() -> Fate, cut: &AtomicU32) {
    let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(length @ 1..) = read else { return };
                let is_commit = sent[..length].windows(7).any(|bytes| bytes == b"COMMIT\0");
                let fate = if is_commit { fate() } else { Fate::Delivered };
                if !matches!(fate, Fate::Delivered) {
                    cut.fetch_add(1, Ordering::Relaxed);
                }
                if matches!(fate, Fate::Lost) || server.write_all(&sent[..length]).await.is_err() {
                    return;
                }
                match fate {
                    Fate::Cut => return,
                    Fate::Unanswered => {
                        let _ = tokio::time::timeout(Duration::from_secs(1), async {
                            loop {
                                match server.read(&mut answered).await {
                                    Ok(length @ 1..) if !answered[..length].windows(6).any(|bytes| bytes == b"COMMIT") => {}
                                    _ => return,
                                }
                            }
                        })
                        .await;
                        return;
                    }
                    Fate::Delivered | Fate::Lost => {}
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn id(n: u32) -> SessionId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// The outcomes of changes.
#[derive(Debug, Default)]
struct Told {
    written: u32,
    refused: u32,
    unknown: u32,
}

impl Told {
    /// Counts an outcome, and returns whether the change is said to be written. `None` if it isn't known.
    fn count<T>(&mut self, outcome: &Result<T, StoreError>) -> Option<bool> {
        match outcome {
            Ok(_) => {
                self.written += 1;
                Some(true)
            }
            Err(StoreError::Unavailable(_)) => {
                self.refused += 1;
                Some(false)
            }
            Err(StoreError::Unknown(_)) => {
                self.unknown += 1;
                None
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_commits_are_neither_doubled_nor_lost() {
    const SESSIONS: u32 = 240;
    let Some(database) = database().await else { return };
    let direct = database.open().await;
    commit(&direct, add(account("dana"))).await;
    let opened = head(&direct).await;
    for n in 0..SESSIONS {
        let one = quash_core::model::Session { id: id(n), ..session(1, "dana", opened) };
        commit(&direct, open(one, 1)).await;
    }
    let proxy = Proxy::start(&database.url(), 3).await;
    let url = at_address(&database, proxy.address);
    let store = Arc::new(PostgresStore::open(PostgresOptions::new(url)).await.expect("a store"));
    proxy.cut.store(0, Ordering::Relaxed);

    let mut told = Told::default();
    // One at a time, so that each commit is one change: then several at once, as batches.
    for width in [1, 8] {
        for from in (0..SESSIONS / 2).step_by(width) {
            let half = if width == 1 { 0 } else { SESSIONS / 2 };
            let tasks: Vec<_> = (from..from + width as u32)
                .map(|n| n + half)
                .map(|n| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        let key = ScopeKey(*id(n).as_bytes());
                        let rotate = Change::Rotate {
                            session: id(n),
                            from: Generation(0),
                            rotated_at: at(1000),
                            idle_until: at(90_000),
                        };
                        let rotated = store.commit(rotate).await;
                        let revoked =
                            Change::Revoke { entry: NewEntry { key, ..entry(ScopeKind::Token, 1) } };
                        let revoked = store.commit(revoked).await;
                        let ends_now = quash_core::model::SessionEnd {
                            session: id(n),
                            entry: NewEntry {
                                key: ScopeKey([n as u8; 16].map(|byte| !byte)),
                                ..end(1).entry
                            },
                            ..end(1)
                        };
                        let ended = store.commit(ends(vec![ends_now])).await;
                        (n, rotated, revoked, ended)
                    })
                })
                .collect();
            for task in tasks {
                let (n, rotated, revoked, ended) = task.await.expect("no panic");
                let loaded = direct.session(id(n)).await.expect("a read").found.expect("a session").0;
                if let Some(written) = told.count(&rotated) {
                    assert_eq!(loaded.generation.0, u32::from(written), "{rotated:?}");
                }
                if let Some(written) = told.count(&ended) {
                    assert_eq!(loaded.state != quash_core::model::SessionState::Live, written, "{ended:?}");
                }
                let found = direct.entries_of(&[ScopeKey(*id(n).as_bytes())]).await.expect("a read");
                if let Some(written) = told.count(&revoked) {
                    assert_eq!(found.len(), usize::from(written), "{revoked:?}");
                }
            }
        }
    }
    let cut = proxy.cut.load(Ordering::Relaxed);
    assert_eq!(told.unknown, 0, "{told:?}");
    assert!(cut > 60 && told.refused > 10 && told.written > cut, "{cut} were cut: {told:?}");
    whole_log(&direct).await;
    tell(cut, &told);
}

#[expect(clippy::print_stderr, reason = "figures for whoever runs the test with --no-capture")]
fn tell(cut: u32, told: &Told) {
    eprintln!("{cut} connections were cut at COMMIT: {told:?}");
}
