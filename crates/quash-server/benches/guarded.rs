//! Compares a guarded endpoint with the same endpoint without a guard, over HTTP on loopback. Prints `figure
//! <name> <ours> <baseline>`, in requests per second, each the median of alternating rounds, for `cargo xtask
//! bench`.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use quash_core::model::{
    Clock, CustomClaims, ScopeHasher, Seeded, Seq, SessionId, Subject, Timestamp, TokenPolicy,
};
use quash_core::token::{
    Algorithm, Bearer, Grant, Issued, KeyRing, Minting, RefreshKey, SigningKey, Tokens, mint,
};
use quash_core::watch::{Revoked, feed};
use quash_verify::TokenHeader;
use quash_verify::issuer::{Guard, GuardLayer, GuardSetup, guard};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const CLIENTS: usize = 32;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let key = SigningKey::new(Algorithm::EdDsa, &[7; 32], None).expect("a key");
    let address = runtime.block_on(serve(guard_of(&key)));
    let mut rounds: Vec<(f64, f64)> =
        (0..ROUNDS).map(|_| (round(address, "/guarded", &key), round(address, "/bare", &key))).collect();
    rounds.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
    let (ours, baseline) = rounds[ROUNDS / 2];
    println!("figure guarded route {ours:.1} {baseline:.1}");
}

async fn serve(guard: Guard) -> SocketAddr {
    let barred = |_, _: &http::HeaderMap| {
        Response::builder().status(401).body(axum::body::Body::empty()).expect("an answer")
    };
    let layer = GuardLayer::new(guard, Arc::new(TokenHeader::default()), barred);
    let guarded = Router::new().route("/guarded", get(hello)).layer(layer);
    let router = guarded.route("/bare", get(hello));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(quash_server::serve(quash_server::Listener::tcp(listener), router, std::future::pending()));
    address
}

async fn hello() -> &'static str {
    "hello"
}

/// The requests per second of all clients together, each with its own connection and token.
fn round(address: SocketAddr, path: &str, key: &SigningKey) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let clients: Vec<_> = tokens(key)
        .into_iter()
        .map(|token| {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
            let done = Arc::clone(&done);
            std::thread::spawn(move || ask(address, request.as_bytes(), started + ROUND, &done))
        })
        .collect();
    for client in clients {
        client.join().expect("a client");
    }
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn ask(address: SocketAddr, request: &[u8], until: Instant, done: &AtomicU64) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let mut answer = [0; 1024];
    while Instant::now() < until {
        stream.write_all(request).expect("a request");
        let length = stream.read(&mut answer).expect("an answer");
        assert!(
            answer[..length].starts_with(b"HTTP/1.1 200") && answer[..length].ends_with(b"hello"),
            "an answer in one piece"
        );
        done.fetch_add(1, Ordering::Relaxed);
    }
}

fn tokens(key: &SigningKey) -> Vec<String> {
    let (entropy, policy) = (Seeded::new(1), TokenPolicy::default());
    let grant = |_| Grant {
        session: SessionId::new(NOW, &entropy),
        bearer: Bearer {
            user_id: Subject::new(NOW, &entropy).to_string(),
            password_mark: None,
            claims: CustomClaims::default(),
        },
        rsq: Seq::start_of(1),
        ring: 0,
        settings: 0,
        ends_at: None,
        tokens: Tokens::Access,
    };
    let minting = Minting { policy: &policy, key, refresh_key: key, secret: &RefreshKey::new(&[1; 32]) };
    let access = |grant: Grant| match mint(&grant, minting, NOW, &entropy) {
        Ok(Issued::Access { access }) => access,
        other => panic!("an access token: {other:?}"),
    };
    (0..CLIENTS).map(grant).map(access).collect()
}

fn guard_of(key: &SigningKey) -> Guard {
    let scopes = ScopeHasher::ours([1; 16]);
    let setup = GuardSetup {
        policy: TokenPolicy::default(),
        scopes,
        clock: Arc::new(Stopped),
        cache_key: [2; 16],
        key_fetcher: None,
    };
    let revoked = Revoked::empty(Seq::start_of(1), feed::EMPTY);
    guard(setup, revoked, KeyRing::new(1, vec![key.verifying().clone()])).0
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}
