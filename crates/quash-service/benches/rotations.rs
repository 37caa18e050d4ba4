//! Durable rotations through the whole service, compared with a bare loop that only commits groups. Prints
//! `figure <name> <ours> <baseline>`, in rotations a second, each the median of alternating rounds, for
//! `cargo xtask bench`.
#![expect(clippy::disallowed_methods, reason = "a bench measures time and reads its arguments")]
#![expect(clippy::print_stdout, reason = "a bench prints its results")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quash_core::decide::{Device, Kind};
use quash_core::model::{Clock, Entropy, PasswordHash, Policy, Seeded, Timestamp, draw};
use quash_core::token::{Algorithm, Issued};
use quash_service::{
    Arena, Argon2Hasher, Attempt, CostClass, DeviceTokenInput, FetchNothing, FormatFault, HashSettings,
    KeySetup, MasterKey, NewAccount, NewPassword, NewState, PasswordHasher, Rehash, Service, Setup,
};
use quash_store::{MemoryCoordination, MemoryCounters, SqliteOptions, SqliteStore, Store};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

const CLIENTS: usize = 256;
const ROUND: Duration = Duration::from_secs(4);
const ROUNDS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    runtime.block_on(async {
        for (algorithm, name) in [(Algorithm::EdDsa, "EdDSA"), (Algorithm::Hs256, "HS256")] {
            if !is_asked_for(&format!("rotations, {name}")) {
                continue;
            }
            let bench = Bench::start(&folder.path().join(format!("{name}.db")), algorithm).await;
            let bare = Bare::start(&folder.path().join(format!("bare-{name}.db")));
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push((bench.round().await, bare.round().await));
            }
            let median = |mut figures: Vec<f64>| {
                figures.sort_by(f64::total_cmp);
                figures[figures.len() / 2]
            };
            let ours = median(rounds.iter().map(|round| round.0).collect());
            let baseline = median(rounds.iter().map(|round| round.1).collect());
            println!("figure rotations, {name} {ours:.1} {baseline:.1}");
        }
    });
}

/// Returns whether the arguments select this figure. Without arguments, all are selected.
fn is_asked_for(name: &str) -> bool {
    std::env::args().skip(1).find(|arg| !arg.starts_with('-')).is_none_or(|asked| asked == name)
}

fn refresh_of(issued: Issued) -> String {
    match issued {
        Issued::Both { refresh, .. } => refresh,
        other => panic!("a pair: {other:?}"),
    }
}

/// The service, and the newest refresh token of each client.
struct Bench {
    service: Service,
    tokens: Vec<Arc<tokio::sync::Mutex<String>>>,
}

impl Bench {
    async fn start(path: &Path, algorithm: Algorithm) -> Self {
        let store = Arc::new(SqliteStore::open(path, SqliteOptions::default()).expect("a store"));
        let entropy: Arc<dyn Entropy> = Arc::new(Seeded::new(1));
        let term = Policy::default().feed.term;
        let coordination =
            MemoryCoordination::beside(Arc::clone(&store) as Arc<dyn Store>, term, Duration::ZERO);
        let service = Service::start(Setup {
            store,
            file: None,
            node: None,
            coordination: Arc::new(coordination.await.expect("a store")),
            counters: Arc::new(MemoryCounters::new(Policy::default().lockout)),
            audit_seal: None,
            policy: Policy::default(),
            keys: KeySetup::of(algorithm),
            fetch: Arc::new(FetchNothing),
            master: MasterKey::new(&*entropy),
            hasher: Arc::new(NoHash),
            hashing: HashSettings::default(),
            rehash: Rehash::default(),
            clock: Arc::new(System(Instant::now())),
            entropy,
        });
        let service = service.await.expect("a service");
        let password = || Zeroizing::new("correct horse".to_owned());
        let known = Some(NewPassword::Plain(password()));
        let account = NewAccount {
            name: "dana".into(),
            email: None,
            verified: false,
            subject: None,
            password: known,
            state: NewState::Active,
            claims: None,
        };
        service.add_account(account).await.expect("an account");
        let mut tokens = Vec::new();
        for _ in 0..CLIENTS {
            let attempt = Attempt {
                kind: Kind::Pair,
                name: "dana".into(),
                password: password(),
                device: Default::default(),
                network: None,
                device_token: Default::default(),
            };
            let refresh = refresh_of(service.sign_in(attempt).await.expect("a session").tokens);
            tokens.push(Arc::new(tokio::sync::Mutex::new(refresh)));
        }
        Self { service, tokens }
    }

    async fn round(&self) -> f64 {
        let work = |client: usize, done: Arc<AtomicU64>, until: Instant| {
            let (service, token) = (self.service.clone(), Arc::clone(&self.tokens[client]));
            async move {
                let mut token = token.lock().await;
                while Instant::now() < until {
                    *token = refresh_of(
                        service
                            .refresh(&token, &Device::default(), &DeviceTokenInput::Unsupported)
                            .await
                            .expect("a rotation"),
                    );
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        rate(work).await
    }
}

/// A writer thread that does the minimum for each rotation in a table of tokens: insert a token, mark the old
/// one, update the session, insert a row to be sent. It commits many in one transaction, with quash's
/// durability.
struct Bare {
    queue: mpsc::Sender<(i64, oneshot::Sender<()>)>,
}

impl Bare {
    fn start(path: &Path) -> Self {
        let conn = Connection::open(path).expect("a database");
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
             CREATE TABLE token (jti BLOB PRIMARY KEY, session INTEGER, used INTEGER) WITHOUT ROWID;
             CREATE TABLE session (id INTEGER PRIMARY KEY, jti BLOB, rotated_at INTEGER);
             CREATE TABLE outbox (n INTEGER PRIMARY KEY, session INTEGER, jti BLOB);",
        )
        .expect("a schema");
        for id in 0..CLIENTS {
            conn.execute("INSERT INTO session VALUES (?1, zeroblob(16), 0)", [id as i64]).expect("a session");
        }
        let (queue, waiting) = mpsc::channel(4096);
        std::thread::spawn(move || bare_writer(&conn, waiting));
        Self { queue }
    }

    async fn round(&self) -> f64 {
        let work = |client: usize, done: Arc<AtomicU64>, until: Instant| {
            let queue = self.queue.clone();
            async move {
                while Instant::now() < until {
                    let (reply, written) = oneshot::channel();
                    queue.send((client as i64, reply)).await.expect("a writer");
                    written.await.expect("a commit");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        rate(work).await
    }
}

fn bare_writer(conn: &Connection, mut waiting: mpsc::Receiver<(i64, oneshot::Sender<()>)>) {
    let entropy = Seeded::new(2);
    let mut batch = Vec::new();
    let run = |statement: &str, values: &[&dyn rusqlite::ToSql]| {
        conn.prepare_cached(statement)
            .and_then(|mut statement| statement.execute(values))
            .expect("a statement")
    };
    while waiting.blocking_recv_many(&mut batch, 512) > 0 {
        run("BEGIN IMMEDIATE", params![]);
        for (session, _) in &batch {
            let jti: [u8; 16] = draw(&entropy);
            run(
                "UPDATE token SET used = 1 WHERE jti = (SELECT jti FROM session WHERE id = ?1)",
                params![session],
            );
            run("INSERT INTO token VALUES (?1, ?2, 0)", params![jti, session]);
            run("UPDATE session SET jti = ?1, rotated_at = 1 WHERE id = ?2", params![jti, session]);
            run("INSERT INTO outbox (session, jti) VALUES (?1, ?2)", params![session, jti]);
        }
        run("COMMIT", params![]);
        for (_, reply) in batch.drain(..) {
            let _ = reply.send(());
        }
    }
}

/// The rotations a second of all clients together.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    work: impl Fn(usize, Arc<AtomicU64>, Instant) -> F,
) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let until = started + ROUND;
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| tokio::spawn(work(client, Arc::clone(&done), until))).collect();
    for client in clients {
        client.await.expect("a client");
    }
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// A free hasher, because passwords aren't measured here.
struct NoHash;

impl PasswordHasher for NoHash {
    fn hash(&self, password: &str, _salt: [u8; 16], _arena: &mut Arena) -> PasswordHash {
        PasswordHash::new(password.to_owned())
    }

    fn verify(&self, password: &str, hash: &PasswordHash, _arena: &mut Arena) -> bool {
        password == hash.as_str()
    }

    fn decoy(&self, _class: CostClass, _salt: [u8; 16], _output: [u8; 64]) -> PasswordHash {
        PasswordHash::new(String::new())
    }

    fn current(&self) -> CostClass {
        Argon2Hasher::new().current()
    }

    fn is_current(&self, _hash: &PasswordHash) -> bool {
        true
    }

    fn class_of(&self, _hash: &PasswordHash) -> Result<Option<CostClass>, FormatFault> {
        Ok(Some(self.current()))
    }
}

struct System(Instant);

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Timestamp::from_millis(i64::try_from(since.as_millis()).expect("a moment"))
    }

    fn uptime(&self) -> Duration {
        self.0.elapsed()
    }
}
