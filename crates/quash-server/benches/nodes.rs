//! Measures nodes over one database of PostgreSQL, whose URL is the second argument: log-outs a second, the time
//! from the answer of one node to the refusal at verifiers of another, and the time that a guarded request waits
//! for the log's head. Prints `figure <name> <ours> <other>` for `cargo xtask bench`: log-outs a second and 0;
//! the median and the 99th percentile in milliseconds; or, for checks, that percentile and the one of a bare read.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time, and takes arguments")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "../tests/support/hasher.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "the benchmark needs only the one that costs nothing")]
mod hasher;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quash_core::decide::{Device, Kind};
use quash_core::model::{Policy, ProcessLabel, Rights, Seeded, draw};
use quash_core::token::{Algorithm, Issued};
use quash_server::HttpSettings;
use quash_service::{
    Attempt, DeviceTokenInput, FetchNothing, HashSettings, KeySetup, MasterKey, NewAccount, NewPassword,
    NewState, NodeSetup, Rehash, Service, Setup,
};
use quash_store::{PostgresCoordination, PostgresCounters, PostgresOptions, PostgresStore, StatementNames};
use quash_verify::SystemClock;
use support::{Refusals, percentiles, shares};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use zeroize::Zeroizing;

/// The calls at once.
const CALLERS: usize = 256;
/// Their accounts: one account can't cause so many entries at once.
const ACCOUNTS: usize = 1000;
/// The rounds of log-outs, and the log-outs of each.
const ROUNDS: usize = 3;
const LOG_OUTS: usize = 10_000;
/// The verifiers of the other node, and the sessions that are ended one after the other.
const VERIFIERS: usize = 10;
const ENDS: usize = 1000;
/// The guarded requests: one every two milliseconds on average, at random moments.
const CHECKS: usize = 5000;
const CHECK_EVERY: Duration = Duration::from_millis(2);
/// The guarded requests of each of many callers, one after the other.
const CHECKS_UNDER_LOAD: usize = 400;

const PASSWORD: &str = "correct horse battery staple";

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let (asked, url) = (arguments.next(), arguments.next());
    // `cargo bench` without arguments runs all benchmarks.
    let Some(url) = url else {
        println!("skipped: `cargo xtask bench` names a database of PostgreSQL");
        return;
    };
    let one = Node::start(&url, 1).await;
    one.add_accounts().await;
    match asked.as_deref() {
        Some(name @ "revocations") => figure(name, one.log_outs_per_second().await, 0.0),
        Some(name @ "refusal at another node") => {
            let other = Node::start(&url, 2).await;
            percentiles(name, refusals(&one, &other).await);
        }
        Some(name @ "exact check") => {
            let ([ours], [bare]) = (shares(one.checks().await, [99]), shares(reads(&url).await, [99]));
            figure(name, ours, bare);
        }
        Some(name @ "exact check under load") => percentiles(name, one.checks_under_load().await),
        other => panic!("there is no figure {other:?}"),
    }
}

fn figure(name: &str, ours: f64, other: f64) {
    println!("figure {name} {ours:.3} {other:.3}");
}

/// A node, and its address.
struct Node {
    service: Service,
    address: SocketAddr,
}

impl Node {
    async fn start(url: &str, number: u64) -> Self {
        let policy = Policy::default();
        let options = PostgresOptions { names: StatementNames::Prepared, ..PostgresOptions::new(url) };
        let store = PostgresStore::open(options).await.expect("a store");
        let coordination = PostgresCoordination::beside(&store, Arc::new(SystemClock), policy.feed.term)
            .await
            .expect("leases");
        let counters = PostgresCounters::beside(&store, policy.lockout).expect("counters");
        let label = ProcessLabel::of("bench", std::process::id());
        let service = Service::start(Setup {
            node: Some(NodeSetup::new(label, policy.feed.term, &Seeded::new(100 + number))),
            store: Arc::new(store),
            file: None,
            coordination: Arc::new(coordination),
            counters: Arc::new(counters),
            audit_seal: None,
            policy,
            keys: KeySetup::of(Algorithm::EdDsa),
            fetch: Arc::new(FetchNothing),
            master: MasterKey::new(&Seeded::new(1)),
            hasher: Arc::new(hasher::Cheap),
            hashing: HashSettings {
                slots: 1,
                longest_wait: Duration::from_secs(60),
                places_per_network: CALLERS,
            },
            rehash: Rehash::Never,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(Seeded::new(200 + number)),
        });
        let service = service.await.expect("a service");
        let sealing = service.clone();
        tokio::spawn(async move { sealing.seal_audit().await });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let listener = quash_server::Listener::tcp(listener);
        let router = quash_server::router(service.clone(), HttpSettings::default());
        tokio::spawn(quash_server::serve(listener, router, std::future::pending()));
        Self { service, address }
    }

    async fn add_accounts(&self) {
        for number in 0..ACCOUNTS {
            let name = format!("a{number}");
            let password = Some(NewPassword::Plain(Zeroizing::new(PASSWORD.to_owned())));
            let (subject, state) = (Some(name.clone()), NewState::Active);
            let new =
                NewAccount { name, email: None, verified: false, subject, password, state, claims: None };
            self.service.add_account(new).await.expect("an account");
        }
    }

    /// Opens a session, and returns its access and its refresh token.
    async fn sign_in(&self, number: usize) -> (String, String) {
        let attempt = Attempt {
            kind: Kind::Pair,
            name: format!("a{}", number % ACCOUNTS),
            password: Zeroizing::new(PASSWORD.to_owned()),
            device: Device::default(),
            network: None,
            device_token: DeviceTokenInput::Unsupported,
        };
        match self.service.sign_in(attempt).await.expect("a session").tokens {
            Issued::Both { access, refresh } => (access, refresh),
            other => panic!("a pair: {other:?}"),
        }
    }

    /// Opens sessions by as many callers as end them.
    async fn sessions(&self, count: usize) -> Vec<(String, String)> {
        let (sessions, next) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0..count)));
        self.by_callers(|node| {
            let (sessions, next) = (Arc::clone(&sessions), Arc::clone(&next));
            async move {
                loop {
                    let Some(number) = next.lock().await.next() else { return };
                    let session = node.sign_in(number).await;
                    sessions.lock().await.push(session);
                }
            }
        })
        .await;
        std::mem::take(&mut *sessions.lock().await)
    }

    /// Ends sessions as users do, with their refresh tokens. Returns the median of the rounds.
    async fn log_outs_per_second(&self) -> f64 {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let sessions = Arc::new(Mutex::new(self.sessions(LOG_OUTS).await));
            let began = Instant::now();
            self.by_callers(|node| {
                let sessions = Arc::clone(&sessions);
                async move {
                    loop {
                        let Some((_, refresh)) = sessions.lock().await.pop() else { return };
                        let ended = node.service.blacklist(&refresh).await.expect("an end");
                        assert!(ended.seq.is_some(), "it has an entry");
                    }
                }
            })
            .await;
            rates.push(LOG_OUTS as f64 / began.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    }

    /// The waits of guarded requests at random moments.
    async fn checks(&self) -> Vec<Duration> {
        at_random_moments(|| {
            let node = self.clone();
            async move { node.check().await }
        })
        .await
    }

    /// The waits of many callers, each of which asks again at once.
    async fn checks_under_load(&self) -> Vec<Duration> {
        let times = Arc::new(Mutex::new(Vec::new()));
        self.by_callers(|node| {
            let times = Arc::clone(&times);
            async move {
                let mut own = Vec::with_capacity(CHECKS_UNDER_LOAD);
                for _ in 0..CHECKS_UNDER_LOAD {
                    own.push(node.check().await);
                }
                times.lock().await.extend(own);
            }
        })
        .await;
        std::mem::take(&mut *times.lock().await)
    }

    /// The time that a guarded request waits before it is decided.
    async fn check(&self) -> Duration {
        let began = Instant::now();
        self.service.guard().proven().await.expect("a proof");
        began.elapsed()
    }

    async fn by_callers<F: Future<Output = ()> + Send + 'static>(&self, work: impl Fn(Self) -> F) {
        let callers: JoinSet<()> = (0..CALLERS).map(|_| work(self.clone())).collect();
        callers.join_all().await;
    }
}

/// The times of a bare read of one row at such moments, over one connection.
async fn reads(url: &str) -> Vec<Duration> {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let client = Arc::new(client);
    at_random_moments(|| {
        let client = Arc::clone(&client);
        async move {
            let began = Instant::now();
            client.query_typed("SELECT id FROM log_lock", &[]).await.expect("a row");
            began.elapsed()
        }
    })
    .await
}

/// Makes calls at random moments.
async fn at_random_moments<F>(call: impl Fn() -> F) -> Vec<Duration>
where
    F: Future<Output = Duration> + Send + 'static,
{
    let (entropy, mut at) = (Seeded::new(3), tokio::time::Instant::now());
    let mut under_way = JoinSet::new();
    for _ in 0..CHECKS {
        let share: [u8; 2] = draw(&entropy);
        // The pauses are distributed exponentially, as those between the requests of many independent users.
        let share = (f64::from(u16::from_be_bytes(share)) + 1.0) / 65_536.0;
        at += CHECK_EVERY.mul_f64(-share.ln());
        sleep_until(at).await;
        under_way.spawn(call());
    }
    under_way.join_all().await
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), address: self.address }
    }
}

/// Ends sessions at a node, one after the other, and returns the time from each answer to the refusal at the
/// slowest verifier of the other node.
async fn refusals(one: &Node, other: &Node) -> Vec<Duration> {
    let client = one.service.add_client("bench", Rights::VERIFIER, None);
    let (_, secret) = client.await.expect("a verifier");
    let credential = secret.into_text().to_string();
    let verifiers = support::verifiers(other.address, &credential, VERIFIERS).await;
    let mut times = Vec::with_capacity(ENDS);
    for number in 0..ENDS {
        let (access, refresh) = one.sign_in(number).await;
        let watched = Refusals::watch(&verifiers, &access).await;
        one.service.blacklist(&refresh).await.expect("an end");
        let answered = Instant::now();
        times.push(watched.last().await.saturating_duration_since(answered));
    }
    times
}
