//! `Prefer: wait=effective` at a node, with verifiers of all nodes: after the answer, none of them accepts.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::{SystemClock, Verifier, WhenStale};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::me;
use super::site::{PASSWORD, Site, account_of};
use crate::support::{Pair, Server, request, rounds};

/// The term of a lease, and a margin for a busy machine.
const TERM: Duration = Duration::from_secs(10);
const MARGIN: Duration = Duration::from_secs(10);

/// Gives each connection to the next of two nodes, or to the one that listens. So a verifier may have its lease
/// from one node and its stream from the other.
fn balance(nodes: [SocketAddr; 2]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let next = AtomicUsize::new(0);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let first = next.fetch_add(1, Ordering::SeqCst);
            let mut order = [first, first + 1].into_iter();
            let Some(node) = order.find_map(|number| TcpStream::connect(nodes[number % 2]).ok()) else {
                continue;
            };
            let back = (node.try_clone(), client.try_clone());
            thread::spawn(move || carry(client, node));
            thread::spawn(move || carry(back.0.expect("a descriptor"), back.1.expect("a descriptor")));
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // Either side may have closed already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

async fn verifiers(address: SocketAddr, credential: &str, count: usize) -> Vec<Verifier> {
    let mut verifiers = Vec::with_capacity(count);
    for _ in 0..count {
        let builder = Verifier::builder(format!("http://{address}")).credential(credential);
        let builder = builder.when_stale(WhenStale::Deny).start_within(Duration::from_secs(60));
        verifiers.push(builder.start().await.expect("a verifier"));
    }
    verifiers
}

/// Logs out, and waits until it is in force everywhere. Returns what the answer says of verifiers, and the time
/// that it took.
fn log_out_everywhere(at: &Server, pair: &Pair) -> (Value, Duration) {
    let authorization = format!("Bearer {}", pair.access);
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", authorization.as_str()),
        ("Prefer", "wait=effective"),
    ];
    let body = json!({ "refresh": pair.refresh }).to_string();
    let began = SystemClock.uptime();
    let answer = request(at.address, "POST", "/api/logout/", &headers, body.as_bytes()).expect("an answer");
    let took = SystemClock.uptime().saturating_sub(began);
    assert_eq!(answer.status, 200, "{}", answer.text);
    (answer.body["effective"]["verifiers"].clone(), took)
}

fn accepts(verifiers: &[Verifier], pair: &Pair) -> usize {
    verifiers.iter().filter(|verifier| matches!(verifier.check_now(&pair.access), Some(Ok(_)))).count()
}

#[test]
fn soak_effective_answers_come_after_refusals_at_all_nodes() {
    let Some(site) = Site::new() else { return };
    let (a, b) = (site.start("a"), site.start("b"));
    a.add_account("dana", PASSWORD);
    let added = a.run(&["verifier", "add", "api"], "");
    assert!(added.status.success(), "{}", added.stderr);
    let (credential, address) = (added.stdout.trim().to_owned(), balance([a.address, b.address]));
    let (runtime, of_the_killed) = (Runtime::new().expect("a runtime"), Runtime::new().expect("a runtime"));
    let count = rounds(10, 100);
    let following = runtime.block_on(verifiers(address, &credential, count));
    let nodes = [&a, &b];
    let mut times = Vec::new();
    for round in 0..rounds(20, 1000) {
        let name = account_of(round, &a);
        let pair = nodes[round % 2].sign_in(&name, PASSWORD);
        let live = runtime.block_on(async {
            let mut live = 0;
            for verifier in &following {
                live += usize::from(verifier.check(&pair.access).await.is_ok());
            }
            live
        });
        assert_eq!(live, count, "round {round}");
        let (said, took) = log_out_everywhere(nodes[round / 2 % 2], &pair);
        assert_eq!(accepts(&following, &pair), 0, "round {round}: {said}");
        assert_eq!((me(&a, &pair), me(&b, &pair)), (401, 401), "round {round}");
        assert_eq!(said["not_bound"], 0, "round {round}: {said}");
        times.push(took);
    }
    tell(count, &mut times);

    // A verifier's process is killed, so that it gives no lease back.
    let killed = of_the_killed.block_on(verifiers(address, &credential, 1));
    of_the_killed.shutdown_background();
    killed.into_iter().for_each(std::mem::forget);
    let pair = a.sign_in("dana", PASSWORD);
    let (said, took) = log_out_everywhere(&b, &pair);
    assert_eq!((accepts(&following, &pair), &said["stale"]), (0, &json!(1)), "{said}");
    assert!(took < TERM + MARGIN, "{took:?} with a verifier that was killed");
    let pair = a.sign_in("dana", PASSWORD);
    let (_, took) = log_out_everywhere(&b, &pair);
    assert!(took < MARGIN, "only once: {took:?} after that");

    // A node is killed. Verifiers find the other one.
    let pair = a.sign_in("dana", PASSWORD);
    b.kill();
    let (said, took) = log_out_everywhere(&a, &pair);
    assert_eq!(accepts(&following, &pair), 0, "{said}");
    assert!(took < TERM + MARGIN, "{took:?} with a node that was killed");
    let pair = a.sign_in("dana", PASSWORD);
    let (_, took) = log_out_everywhere(&a, &pair);
    assert_eq!(accepts(&following, &pair), 0);
    assert!(took < MARGIN, "only once: {took:?} after that");
}

#[expect(clippy::print_stdout, reason = "a soak prints its figures")]
fn tell(verifiers: usize, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!(
        "wait=effective at two nodes with {verifiers} verifiers: p50 {:.1} ms, p99 {:.1} ms",
        at(50),
        at(99)
    );
}
