//! Measures verifiers that follow one server over loopback: from the call that ends a session to its refusal
//! at the slowest verifier, the cost of waiting for all of them, and the time for a snapshot. Prints `figure
//! <name> <p50> <p99>` in milliseconds for `cargo xtask bench`.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time, and takes arguments")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "../tests/support/other_issuer.rs"]
mod other_issuer;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quash_core::decide::Device;
use quash_core::model::{
    Actor, Change, Clock, ForeignTokens, Keep, NewEntry, Policy, Reason, Rights, ScopeKey, ScopeKind, Seeded,
};
use quash_core::token::{Algorithm, Issued};
use quash_server::HttpSettings;
use quash_service::{
    Argon2Hasher, DeviceTokenInput, FetchNothing, HashSettings, KeySetup, MasterKey, NewAccount, NewState,
    Rehash, Service, Setup,
};
use quash_store::{MemoryCoordination, MemoryCounters, SqliteOptions, SqliteStore, Store};
use quash_verify::{SystemClock, Verifier};
use support::{Refusals, percentiles};
use tokio::task::JoinSet;

/// The number of sessions that are ended in sequence.
const ENDS: usize = 1000;
/// The number of their accounts: one account can't cause so many entries at once.
const ACCOUNTS: usize = 10;
/// The number of log entries before a snapshot is taken.
const ENTRIES: u32 = 100_000;

#[tokio::main]
async fn main() {
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    for (name, verifiers, ends) in [("100 verifiers", 100, ENDS), ("1000 verifiers", 1000, ENDS / 10)] {
        if asked.as_deref().is_none_or(|asked| asked == name || asked == format!("barrier, {name}")) {
            let world = World::open().await;
            let (refusals, barriers) = world.measure(verifiers, ends).await;
            percentiles(name, refusals);
            percentiles(&format!("barrier, {name}"), barriers);
        }
    }
    if asked.as_deref().is_none_or(|asked| asked == "snapshot") {
        percentiles("snapshot", World::open().await.snapshots().await);
    }
}

struct World {
    service: Service,
    store: Arc<SqliteStore>,
    address: SocketAddr,
    credential: String,
    _directory: tempfile::TempDir,
}

impl World {
    async fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("quash.db");
        let store = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).expect("a store"));
        let mut policy = Policy::default();
        policy.tokens.foreign = ForeignTokens::Accept;
        let coordination = MemoryCoordination::beside(
            Arc::clone(&store) as Arc<dyn Store>,
            policy.feed.term,
            SystemClock.uptime(),
        );
        let setup = Setup {
            store: Arc::clone(&store) as Arc<dyn Store>,
            file: None,
            node: None,
            coordination: Arc::new(coordination.await.expect("a store")),
            counters: Arc::new(MemoryCounters::new(policy.lockout)),
            audit_seal: None,
            policy,
            keys: KeySetup { foreign: vec![other_issuer::setup()], ..KeySetup::of(Algorithm::EdDsa) },
            fetch: Arc::new(FetchNothing),
            master: MasterKey::new(&Seeded::new(1)),
            hasher: Arc::new(Argon2Hasher::new()),
            hashing: HashSettings { slots: 1, longest_wait: Duration::from_secs(1), places_per_network: 1 },
            rehash: Rehash::Never,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(Seeded::new(2)),
        };
        let service = Service::start(setup).await.expect("a service");
        for number in 0..ACCOUNTS {
            let name = format!("a{number}");
            let (subject, state) = (Some(name.clone()), NewState::Active);
            let new = NewAccount {
                name,
                email: None,
                verified: false,
                subject,
                password: None,
                state,
                claims: None,
            };
            service.add_account(new).await.expect("an account");
        }
        let (_, secret) = service.add_client("bench", Rights::VERIFIER, None).await.expect("a verifier");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let router = quash_server::router(service.clone(), HttpSettings::default());
        tokio::spawn(quash_server::serve(
            quash_server::Listener::tcp(listener),
            router,
            std::future::pending(),
        ));
        Self { service, store, address, credential: secret.into_text().to_string(), _directory: directory }
    }

    async fn verifiers(&self, count: usize) -> Vec<Verifier> {
        support::verifiers(self.address, &self.credential, count).await
    }

    /// Ends sessions one at a time: first without waiting for the verifiers, then with it.
    async fn measure(&self, count: usize, ends: usize) -> (Vec<Duration>, Vec<Duration>) {
        let verifiers = self.verifiers(count).await;
        let (mut refusals, mut barriers) = (Vec::with_capacity(ends), Vec::new());
        for number in 0..ends {
            let (access, refresh) = self.session(number).await;
            let watched = Refusals::watch(&verifiers, &access).await;
            let began = Instant::now();
            let ended = self.service.blacklist(&refresh).await.expect("an end");
            refusals.push(watched.last().await.duration_since(began));
            if number % 10 == 0 {
                let began = Instant::now();
                let effective =
                    self.service.effective(ended.seq.expect("an entry")).await.expect("a barrier");
                assert!(effective.is_confirmed_by_all(), "{effective:?}");
                barriers.push(began.elapsed());
            }
        }
        (refusals, barriers)
    }

    /// The time from an empty verifier to FRESH, with a long log.
    async fn snapshots(&self) -> Vec<Duration> {
        let entries = (0..ENTRIES).map(|number| {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
            key[12..].copy_from_slice(&number.to_le_bytes());
            let (at, keep) = (SystemClock.now(), Keep::Longest);
            let entry = NewEntry {
                kind: ScopeKind::Session,
                key: ScopeKey(key),
                keep,
                reason: Reason::LogOut,
                at,
                until: None,
                actor: Actor::Owner,
            };
            Change::Revoke { entry }
        });
        let mut writes = JoinSet::new();
        for change in entries {
            let store = Arc::clone(&self.store);
            writes.spawn(async move { store.commit(change).await.expect("it is written") });
            if writes.len() > 2000 {
                writes.join_next().await;
            }
        }
        writes.join_all().await;
        let mut times = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            let verifier = support::verifier(self.address, &self.credential).await;
            times.push(began.elapsed());
            assert_eq!(verifier.metrics().entries, ENTRIES as usize);
        }
        times
    }

    /// Opens a session with another issuer's token, which costs no password hash.
    async fn session(&self, number: usize) -> (String, String) {
        let name = format!("a{}", number % ACCOUNTS);
        let token = other_issuer::token(&name, SystemClock.now(), &format!("{number:032x}"));
        match self
            .service
            .refresh(&token, &Device::default(), &DeviceTokenInput::Unsupported)
            .await
            .expect("a session")
        {
            Issued::Both { access, refresh } => (access, refresh),
            other => panic!("a pair: {other:?}"),
        }
    }
}
