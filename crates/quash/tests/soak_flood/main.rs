//! Floods of every endpoint of the router, without a token and with one user's token, from one address.
//! Requests of other users must stay fast, and memory and the database small. The short form checks
//! everything except times.

mod endpoints;
mod measure;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quash_core::model::{Clock, Policy, Seeded};
use quash_core::token::Algorithm;
use quash_server::{HttpSettings, Registration, SystemClock, paths};
use quash_service::{Argon2Hasher, FetchNothing, HashSettings, KeySetup, MasterKey, Rehash, Service, Setup};
use quash_store::{MemoryCoordination, MemoryCounters, MemoryStore, Store};
use serde_json::json;

use endpoints::{Attacker, Flood};
use measure::{Latencies, Rates, resident, rows};
use support::http::Connection;
use support::{Server, rounds};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The addresses of the flood and of the users who must be unaffected.
pub(crate) const ATTACKER: &str = "198.51.100.7";
const BYSTANDER: &str = "203.0.113.9";

/// The connections of a flood, and their total requests per second.
const CONNECTIONS: usize = 8;
const RATE: usize = 1000;
/// The duration of a flood and of the calm before it, in the long form.
const SPAN: Duration = Duration::from_secs(3);
/// The requests of each connection in the short form: in total more than the limits of one network allow.
const FEW: usize = 8;

/// The measurements of one flood, in the long form. Other processes only add to a latency: one quick round
/// proves that the flood doesn't.
const ROUNDS: usize = 3;
/// Latencies below this are noise: other processes run on the same cores, including the flood's client.
const FLOOR: Duration = Duration::from_millis(10);
/// The most rows that a flood may add, for each second and in total. Password hashing limits the first, the
/// limits of a network in an hour the second.
const ROWS_PER_SECOND: u64 = 200;
const ROWS: u64 = 500;
/// The memory that all floods together may add, in KiB: twice the memory of the hashing threads, and caches
/// that fill.
const GROWTH: u64 = 96 * 1024;

fn settings() -> HttpSettings {
    HttpSettings { registration: Registration::Open, ..HttpSettings::default() }
}

/// Reads the paths from the router.
fn router_paths() -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let term = Policy::default().feed.term;
        let coordination = MemoryCoordination::beside(Arc::clone(&store), term, SystemClock.uptime());
        let service = Service::start(Setup {
            store,
            file: None,
            node: None,
            coordination: Arc::new(coordination.await.expect("a store")),
            counters: Arc::new(MemoryCounters::new(Policy::default().lockout)),
            policy: Policy::default(),
            keys: KeySetup::of(Algorithm::EdDsa),
            fetch: Arc::new(FetchNothing),
            master: MasterKey::new(&Seeded::new(1)),
            hasher: Arc::new(Argon2Hasher::new()),
            hashing: HashSettings::default(),
            rehash: Rehash::Never,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(Seeded::new(2)),
            audit_seal: None,
        });
        paths(service.await.expect("a service"), settings())
    })
}

/// Returns the methods of a path, as the server lists them in a 405.
fn methods(server: &Server, path: &str, access: &str) -> Vec<String> {
    let bearer = format!("Bearer {access}");
    let answer = support::request(server.address, "TRACE", path, &[("Authorization", &bearer)], b"")
        .expect("an answer");
    let allow = answer.header("allow").unwrap_or_else(|| panic!("{path} allows anything: {answer:?}"));
    let mut methods: Vec<_> = allow.split(", ").map(str::to_owned).collect();
    methods.push("OPTIONS".to_owned());
    methods.sort_unstable();
    methods.dedup();
    methods
}

#[test]
fn soak_floods_do_not_affect_other_users() {
    let is_long = rounds(0, 1) == 1;
    let server =
        Server::start(&["--set", "registration.enabled=true", "--set", "http.trusted_proxies=127.0.0.1"]);
    for bystander in ["reader", "refresher"] {
        server.add_account(bystander, PASSWORD);
    }
    let mut attacker = Attacker::new(&server);
    attacker.sign_in_again(&server, CONNECTIONS);
    let floods: Vec<Flood> = router_paths()
        .iter()
        .flat_map(|path| Flood::all_of(path, &methods(&server, &endpoints::target(path), &attacker.access())))
        .filter(|flood| flood.is_wanted())
        .collect();
    assert!(floods.len() > 1);
    let memory = resident(&server);
    let mut failures = Vec::new();
    for flood in floods {
        attacker.sign_in_again(&server, CONNECTIONS);
        let before = rows(&server);
        let mut slow = Vec::new();
        for _ in 0..ROUNDS {
            let rates = if is_long {
                let (rates, others) = timed(&server, &attacker, &flood);
                for (calm, flooded) in &others {
                    println!(
                        "  {}: p99 {:?} in calm, {:?} in the flood",
                        calm.what,
                        calm.p99(),
                        flooded.p99()
                    );
                }
                slow = too_slow(&others);
                rates
            } else {
                short(&server, &attacker, &flood)
            };
            println!("{flood}: {rates}");
            rates.assert_bounded(&flood);
            if slow.is_empty() {
                break;
            }
        }
        failures.extend(slow.into_iter().map(|slow| format!("{flood}: {slow}")));
        let added = rows(&server).saturating_sub(before);
        let grown = resident(&server).saturating_sub(memory);
        println!("  {added} rows, {grown} KiB");
        let seconds = if is_long { SPAN.as_secs() * ROUNDS as u64 } else { 0 };
        assert!(added <= ROWS + ROWS_PER_SECOND * seconds, "{flood}: {added} rows");
        assert!(grown <= GROWTH, "{flood}: {grown} KiB more");
    }
    assert!(failures.is_empty(), "{failures:#?}");
    let ended = server.terminate();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
}

/// Sends a few requests on each connection.
fn short(server: &Server, attacker: &Attacker, flood: &Flood) -> Rates {
    std::thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|place| {
                scope.spawn(move || {
                    flood.run(server, attacker, place, |sent| (sent < FEW).then_some(Duration::ZERO))
                })
            })
            .collect();
        connections.into_iter().map(|connection| connection.join().expect("answers")).sum()
    })
}

/// Returns which requests of others took too long.
fn too_slow(others: &[(Latencies, Latencies); 2]) -> Vec<String> {
    let judged = others.iter().filter_map(|(calm, flooded)| {
        let most = (calm.p99() * 2).max(FLOOR);
        (flooded.p99() > most).then(|| format!("{} took {:?}, more than {most:?}", calm.what, flooded.p99()))
    });
    judged.collect()
}

/// Measures the latencies of two other users during the calm and during the flood.
fn timed(server: &Server, attacker: &Attacker, flood: &Flood) -> (Rates, [(Latencies, Latencies); 2]) {
    let (_, calm) = while_others_ask(server, |over| {
        support::wait::pause(SPAN);
        over.store(true, Ordering::Relaxed);
        Rates::default()
    });
    let interval =
        Duration::from_secs(1) * u32::try_from(CONNECTIONS).expect("few") / u32::try_from(RATE).expect("few");
    let (rates, flooded) = while_others_ask(server, |over| {
        std::thread::scope(|scope| {
            let connections: Vec<_> = (0..CONNECTIONS)
                .map(|place| {
                    let next = move |_| (!over.load(Ordering::Relaxed)).then_some(interval);
                    scope.spawn(move || flood.run(server, attacker, place, next))
                })
                .collect();
            support::wait::pause(SPAN);
            over.store(true, Ordering::Relaxed);
            connections.into_iter().map(|connection| connection.join().expect("answers")).sum()
        })
    });
    let ([calm_reader, calm_refresher], [reader, refresher]) = (calm, flooded);
    (rates, [(calm_reader, reader), (calm_refresher, refresher)])
}

/// Runs two users who send requests continuously: one for the account, one for new tokens.
fn while_others_ask(
    server: &Server,
    meanwhile: impl FnOnce(&AtomicBool) -> Rates,
) -> (Rates, [Latencies; 2]) {
    let over = AtomicBool::new(false);
    let (reader, refresher) =
        (endpoints::sign_in(server, BYSTANDER, "reader"), endpoints::sign_in(server, BYSTANDER, "refresher"));
    std::thread::scope(|scope| {
        let over = &over;
        let reader = scope.spawn(move || {
            let (mut connection, bearer) =
                (Connection::open(server.address), format!("Bearer {}", reader.access));
            Latencies::of("GET /v1/me", over, || {
                let headers = [("Authorization", bearer.as_str()), ("X-Forwarded-For", BYSTANDER)];
                assert_eq!(connection.send("GET", "/v1/me", &headers, b"").expect("an answer").status, 200);
            })
        });
        let refresher = scope.spawn(move || {
            let (mut connection, mut refresh) = (Connection::open(server.address), refresher.refresh);
            Latencies::of("POST /api/token/refresh/", over, || {
                let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", BYSTANDER)];
                let body = json!({ "refresh": refresh }).to_string();
                let answer = connection
                    .send("POST", "/api/token/refresh/", &headers, body.as_bytes())
                    .expect("an answer");
                refresh = answer.body["refresh"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
            })
        });
        let rates = meanwhile(over);
        (rates, [reader, refresher].map(|asking| asking.join().expect("answers")))
    })
}

/// The number of answers with each status.
type Statuses = BTreeMap<u16, usize>;
