//! Limits per network: distinguishing clients behind proxies, and the limits in responses.

use crate::support;

use std::net::SocketAddr;

use http::HeaderName;
use quash_server::{ForwardingHeader, HttpSettings, Proxies};
use serde_json::json;

use support::{Answer, Call, PASSWORD, Plan, World, secs};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A sign-in attempt from an address.
fn from(peer: &str, name: &str, password: &str) -> Call {
    let peer: SocketAddr = peer.parse().expect("an address");
    Call {
        peer: Some(peer),
        ..Call::post("/api/token/").json(&json!({ "username": name, "password": password }))
    }
}

fn behind(proxies: &[&str], header: ForwardingHeader) -> Plan {
    let trusted_proxies = proxies.iter().map(|text| Proxies::parse(text).expect("proxies")).collect();
    let settings = HttpSettings { trusted_proxies, forwarding_header: header, ..HttpSettings::default() };
    Plan { settings, ..Plan::default() }
}

fn left(answer: &Answer) -> [Option<&str>; 2] {
    [answer.header("ratelimit-policy"), answer.header("ratelimit")]
}

/// Fails once with each of these names.
async fn fail(world: &World, peer: &str, names: std::ops::Range<usize>) -> Answer {
    let mut last = None;
    for n in names {
        last = Some(world.send(from(peer, &format!("name {n}"), "wrong password")).await);
    }
    last.expect("one at least")
}

#[tokio::test]
async fn networks_are_throttled_after_fifty_failures() {
    let world = World::open().await;
    let first = fail(&world, "198.51.100.7:1", 0..1).await;
    assert_eq!(left(&first), [Some("\"network\";q=50;w=600"), Some("\"network\";r=49;t=600")]);
    world.wait(secs(100));
    let last = fail(&world, "198.51.100.7:1", 1..50).await;
    assert_eq!((last.status, left(&last)[1]), (401, Some("\"network\";r=0;t=500")));
    world.hashes();
    let over = world.send(from("198.51.100.7:2", "dana", PASSWORD)).await;
    insta::assert_snapshot!(over, @r#"
    429
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    retry-after: 500

    {"detail":"Request was throttled. Expected available in 500 seconds."}
    "#);
    assert_eq!(left(&over), [Some("\"network\";q=50;w=600"), Some("\"network\";r=0;t=500")]);
    assert_eq!(world.hashes(), 0);
    assert_eq!(world.send(from("198.51.100.8:1", "dana", PASSWORD)).await.status, 200, "another network");
    world.wait(secs(500));
    assert_eq!(world.send(from("198.51.100.7:2", "dana", PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn a28_sign_ins_do_not_restore_network_allowances() {
    let world = World::open().await;
    for round in 0..12 {
        fail(&world, "198.51.100.7:1", round * 4..round * 4 + 4).await;
        assert_eq!(world.send(from("198.51.100.7:1", "noor", PASSWORD)).await.status, 200);
    }
    fail(&world, "198.51.100.7:1", 48..50).await;
    assert_eq!(world.send(from("198.51.100.7:1", "noor", PASSWORD)).await.status, 429);
}

#[tokio::test]
async fn ipv6_64_prefixes_are_one_network() {
    let world = World::open().await;
    for n in 0..50 {
        fail(&world, &format!("[2001:db8:1:2::{n:x}]:1"), n..n + 1).await;
    }
    assert_eq!(world.send(from("[2001:db8:1:2:ffff::]:1", "dana", PASSWORD)).await.status, 429);
    assert_eq!(world.send(from("[2001:db8:1:3::]:1", "dana", PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn larger_ipv6_prefixes_have_larger_allowances() {
    let world = World::open().await;
    let mut statuses = Vec::new();
    // Each time from another /64: first those of a /56, then those of the other /56 of its /48.
    for n in 0..101 {
        statuses.push(fail(&world, &format!("[2001:db8:1:{n:x}::]:1"), n..n + 1).await.status);
    }
    assert_eq!((&statuses[..100], statuses[100]), (&[401; 100][..], 429));
    let told = fail(&world, "[2001:db8:1:fe::]:1", 0..1).await;
    assert_eq!(
        left(&told),
        [Some("\"network\";q=100;w=600"), Some("\"network\";r=0;t=600")],
        "of the one that has the least left"
    );
    for n in 0x100..0x164 {
        assert_eq!(fail(&world, &format!("[2001:db8:1:{n:x}::]:1"), n..n + 1).await.status, 401);
    }
    assert_eq!(world.send(from("[2001:db8:1:ffff::]:1", "dana", PASSWORD)).await.status, 429);
    assert_eq!(world.send(from("[2001:db8:2::]:1", "dana", PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn throttled_networks_get_no_password_check() {
    let world = World::open().await;
    fail(&world, "198.51.100.7:1", 0..50).await;
    let body = json!({ "username": "dana", "password": PASSWORD, "new_password": "password" });
    let change = |peer: &str| Call {
        peer: Some(peer.parse().expect("an address")),
        ..Call::post("/v1/password").json(&body)
    };
    world.store.break_part(support::Part::Rows, support::FaultyStore::away());
    assert_eq!(world.send(change("198.51.100.7:1")).await.status, 429, "before the store is read");
    world.store.mend();
    world.hashes();
    let answer = world.send(change("198.51.100.8:1")).await;
    assert_eq!(
        (answer.json()["code"].as_str(), world.hashes()),
        (Some("bad_credentials"), 1),
        "dana's isn't good for once"
    );
}

#[tokio::test]
async fn a30_uncounted_refusals_spare_the_network() {
    let world = World::open().await;
    world.add("new", Some("new@example.org"), false).await;
    for _ in 0..60 {
        assert_eq!(world.send(from("198.51.100.7:1", "new", PASSWORD)).await.status, 401);
        let answer = world.send(from("198.51.100.7:1", "dana", PASSWORD)).await;
        assert_eq!((answer.status, left(&answer)[1]), (200, Some("\"network\";r=50;t=600")));
    }
}

#[tokio::test]
async fn attempts_during_locks_count_against_the_network() {
    let world = World::open().await;
    for _ in 0..50 {
        assert_eq!(world.send(from("198.51.100.7:1", "dana", "wrong password")).await.status, 401);
    }
    assert_eq!(world.send(from("198.51.100.7:1", "noor", PASSWORD)).await.status, 429);
}

#[tokio::test]
async fn network_limits_do_not_reveal_accounts() {
    let told = async |name: &str| {
        let world = World::open().await;
        let mut told = Vec::new();
        for _ in 0..55 {
            let answer = world.send(from("198.51.100.7:1", name, "wrong password")).await;
            told.push((
                answer.status,
                left(&answer).map(|header| header.map(str::to_owned)),
                answer.text().to_owned(),
            ));
        }
        told
    };
    assert_eq!(told("dana").await, told("nobody").await);
}

#[tokio::test]
async fn untrusted_private_peers_have_no_counter() {
    for peer in [
        "127.0.0.1:1",
        "[::1]:1",
        "10.0.0.2:1",
        "192.168.1.1:1",
        "172.16.0.1:1",
        "[fd00::1]:1",
        "169.254.1.1:1",
    ] {
        let world = World::open().await;
        let last = fail(&world, peer, 0..60).await;
        assert_eq!((last.status, left(&last)), (401, [None, None]), "{peer}");
    }
}

#[tokio::test]
async fn a23_forged_headers_do_not_change_counters() {
    for proxies in [&[][..], &["10.0.0.0/8"]] {
        let world = World::planned(behind(proxies, ForwardingHeader::XForwardedFor)).await;
        for n in 0..50 {
            let call = from("198.51.100.7:1", &format!("name {n}"), "wrong password");
            let call = call
                .header(X_FORWARDED_FOR, format!("203.0.113.{n}"))
                .header(HeaderName::from_static("x-real-ip"), "203.0.113.1");
            assert_eq!(world.send(call).await.status, 401);
        }
        let call = from("198.51.100.7:1", "dana", PASSWORD).header(X_FORWARDED_FOR, "203.0.113.77");
        assert_eq!(world.send(call).await.status, 429);
    }
}

#[tokio::test]
async fn a24_proxied_clients_have_unforgeable_counters() {
    let world = World::planned(behind(&["10.0.0.0/8"], ForwardingHeader::XForwardedFor)).await;
    let hostile = [
        "unknown",
        "1.2.3.4:80",
        "[::1]",
        "fe80::1%eth0",
        "",
        ",,,",
        "10.0.0.9",
        "for=1.2.3.4",
        "\"",
        "\u{e9}",
        "127.0.0.1",
        "::",
        "0.0.0.0",
        "255.255.255.255",
        "1.2.3.4, 10.0.0.9",
    ];
    let thousand = vec!["1.2.3.4"; 1000].join(", ");
    let hostile: Vec<&str> = hostile.into_iter().chain([thousand.as_str()]).cycle().take(50).collect();
    for (n, value) in hostile.iter().enumerate() {
        let call = from("10.0.0.2:1", &format!("name {n}"), "wrong password").header(X_FORWARDED_FOR, value);
        let call = call.header(X_FORWARDED_FOR, "198.51.100.7, 10.0.0.3");
        let answer = world.send(call).await;
        assert_eq!(
            (answer.status, left(&answer)[1]),
            (401, Some(format!("\"network\";r={};t=600", 49 - n).as_str())),
            "{value:?}"
        );
    }
    let of = |client: &str| from("10.0.0.2:1", "dana", PASSWORD).header(X_FORWARDED_FOR, client);
    assert_eq!(world.send(of("198.51.100.7")).await.status, 429);
    assert_eq!(world.send(of("198.51.100.8")).await.status, 200);
    assert_eq!(world.sessions("dana").await[0].address.as_deref(), Some("198.51.100.8"));
}

#[tokio::test]
async fn a24_invalid_forwarding_headers_bypass_nothing() {
    let world = World::planned(behind(&["10.0.0.0/8", "unix"], ForwardingHeader::Forwarded)).await;
    for value in [&b"for=unknown"[..], b"for=", b"\xff", b"for=\"[::1\"", b"", b"for=1.2.3.4;for=1.2.3.5"] {
        for peer in [Some("10.0.0.2:1"), None] {
            let call = |password| Call {
                peer: peer.map(|peer| peer.parse().expect("an address")),
                ..from("10.0.0.2:1", "dana", password).header(http::header::FORWARDED, value)
            };
            assert_eq!(world.send(call("wrong password")).await.status, 401);
            assert_eq!(world.send(call(PASSWORD)).await.status, 200);
        }
    }
}
