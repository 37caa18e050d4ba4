//! Known devices: issuing device tokens, the limits that they bypass, and their removal.

use crate::support;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::header::{COOKIE, HeaderName, SET_COOKIE};
use quash_core::decide::lock_account;
use quash_core::model::{
    AccountState, Actor, Change, LockEnds, MailKind, ScopeKind, Session, SessionId, SessionOpening,
    SessionState, limits,
};
use quash_server::{HttpSettings, RefreshCookie, Registration};
use quash_service::HashSettings;
use quash_store::Store;
use serde_json::{Value, json};

use support::{Answer, Call, Moment, PASSWORD, Plan, World, link, millis, secs, subject};

const DEVICE: HeaderName = HeaderName::from_static("quash-device");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const NEW_PASSWORD: &str = "another horse, another staple";

/// A sign-in from a network without other clients.
fn call(name: &str, password: &str) -> Call {
    static NETWORKS: AtomicU32 = AtomicU32::new(0x5000_0000);
    let network = Ipv4Addr::from_bits(NETWORKS.fetch_add(1, Ordering::SeqCst));
    let call = Call::post("/api/token/").json(&json!({ "username": name, "password": password }));
    Call { peer: Some((network, 40_000).into()), ..call }
}

async fn from_device(world: &World, name: &str, password: &str, token: &str) -> Answer {
    world.send(call(name, password).header(DEVICE, token)).await
}

/// Signs in from a device without a token, and returns the one that it receives.
async fn new_device(world: &World, name: &str) -> String {
    let answer = from_device(world, name, PASSWORD, "").await;
    answer.pair();
    token(&answer).expect("a device token")
}

fn token(answer: &Answer) -> Option<String> {
    answer.header("quash-device").map(str::to_owned)
}

/// Returns whether a token bypasses a lock, which is set and removed for the check.
async fn is_known(world: &World, name: &str, token: &str) -> bool {
    world.guess(name, 5).await;
    world.locked(name).await;
    let answer = from_device(world, name, PASSWORD, token).await;
    world.forgive(name).await;
    answer.status == 200
}

#[tokio::test]
async fn device_tokens_return_the_way_they_came() {
    let world = World::open().await;
    let plain = world.send(call("dana", PASSWORD)).await;
    assert!(!plain.headers.contains_key(DEVICE) && !plain.headers.contains_key(SET_COOKIE), "nobody asked");
    let asked = from_device(&world, "dana", PASSWORD, "").await;
    let by_header = token(&asked).expect("a token");
    assert_eq!((by_header.len(), asked.headers.contains_key(SET_COOKIE)), (96, false));
    assert_eq!(
        asked.json().as_object().map(|body| body.keys().cloned().collect()),
        Some(vec!["refresh".to_owned(), "access".to_owned()])
    );
    let again = from_device(&world, "dana", PASSWORD, &by_header).await;
    assert_eq!(token(&again).as_deref(), Some(by_header.as_str()), "the same device");

    let browser = world.send(call("dana", PASSWORD).header(SITE, "same-origin")).await;
    assert!(!browser.headers.contains_key(DEVICE));
    let cookie = browser.header("set-cookie").expect("a cookie").to_owned();
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(attributes, "Path=/; Max-Age=34560000; Secure; HttpOnly; SameSite=Lax");
    assert_ne!(pair.split_once('='), Some(("__Host-quash-device", by_header.as_str())), "another device");
    let again = world.send(call("dana", PASSWORD).header(COOKIE, format!("theme=dark; {pair}"))).await;
    assert_eq!(again.header("set-cookie"), Some(cookie.as_str()));
    for site in ["cross-site", "same-site", "none"] {
        let other = world.send(call("dana", PASSWORD).header(SITE, site)).await;
        assert!(other.status == 200 && !other.headers.contains_key(SET_COOKIE), "{site}");
    }
    let sliding = Call { target: "/api/token/sliding/".into(), ..call("dana", PASSWORD) }.header(DEVICE, "");
    assert!(token(&world.send(sliding).await).is_some());
    let refused = from_device(&world, "dana", "wrong password", &by_header).await;
    assert!(refused.status == 401 && token(&refused).is_none());
}

#[tokio::test]
async fn full_queues_reserve_places_for_known_devices() {
    let (plan, valve) = Plan::valved();
    // The initial estimate is the time of four hashes, of which a quarter is reserved.
    let hashing = HashSettings { longest_wait: millis(120), ..plan.hashing };
    let world = Arc::new(World::planned(Plan { hashing, ..plan }).await);
    let device = new_device(&world, "dana").await;
    let strangers = (0..24).map(|n| call(&format!("name {n}"), "wrong password"));
    let others =
        [call("noor", PASSWORD).header(DEVICE, &device), call("dana", PASSWORD).header(DEVICE, &device)];
    let answers = world.at_once_as_they_are(&valve, strangers.chain(others).collect()).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((statuses[0], statuses[23]), (401, 503), "{statuses:?}");
    assert_eq!(statuses[24..], [503, 200], "a token is good for its account alone");
}

#[tokio::test]
async fn device_and_refresh_cookies_coexist() {
    let settings = HttpSettings { refresh_cookie: RefreshCookie::On, ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let answer = world.send(call("dana", PASSWORD).header(SITE, "same-origin")).await;
    let cookies = answer.headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().expect("ASCII"));
    let names: Vec<_> =
        cookies.filter_map(|cookie| cookie.split_once('=')).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["__Host-quash-refresh", "__Host-quash-device"]);
}

#[tokio::test]
async fn a27_known_devices_and_resets_bypass_attacks() {
    let world = World::open().await;
    let device = new_device(&world, "dana").await;
    for _ in 0..3 {
        world.guess("dana", 20).await;
        let locked = world.locked("dana").await;
        assert_eq!(world.attempt("dana", PASSWORD).await.status, 401, "from elsewhere");
        let pair = from_device(&world, "dana", PASSWORD, &device).await.pair();
        world.assert_live(&pair).await;
        let after = world.account("dana").await;
        assert_eq!(
            (after.state, after.locks),
            (locked.state, locked.locks),
            "the lock goes on for everybody else"
        );
        assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
        // A signed-in user may do what requires the password.
        let body = json!({ "username": "Dana", "password": PASSWORD });
        let rename = Call::of(http::Method::PATCH, "/v1/me").bearer(&pair.access).json(&body);
        assert_eq!(world.send(rename.clone()).await.status, 403);
        assert_eq!(world.send(rename.header(DEVICE, &device)).await.status, 200);
        let AccountState::Locked { until, .. } = world.account("dana").await.state else {
            panic!("still locked")
        };
        world.wait(until.since(quash_core::model::Clock::now(&*world.clock)));
    }
    world.guess("dana", 5).await;
    world.locked("dana").await;
    assert_eq!(world.post("/v1/password-reset", &json!({ "username": "dana" })).await.status, 202);
    let letter = world
        .mails()
        .await
        .into_iter()
        .find(|letter| letter.kind == MailKind::Reset)
        .expect("a mail with a link");
    let reset = json!({ "token": link(&letter), "new_password": NEW_PASSWORD });
    assert_eq!(world.post("/v1/password-reset/confirm", &reset).await.status, 200);
    world.assert_live(&world.attempt("dana", NEW_PASSWORD).await.pair()).await;
}

#[tokio::test]
async fn a27_names_like_an_address_do_not_lock_it() {
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let body =
        json!({ "username": "dana@example.org", "email": "mallory@example.org", "password": PASSWORD });
    assert_eq!(world.post("/v1/registration", &body).await.status, 202);
    for _ in 0..10 {
        let theirs = json!({ "username": "dana", "email": "dana@example.org", "password": "wrong password" });
        assert_eq!(world.post("/v1/registration", &theirs).await.status, 202);
    }
    world.guess("dana@example.org", 12).await;
    world.assert_live(&world.sign_in("dana").await).await;
    assert_eq!(world.account("dana").await.state, AccountState::Active);
}

#[tokio::test]
async fn invalid_device_tokens_count_as_none() {
    let world = World::open().await;
    let (danas, noors) = (new_device(&world, "dana").await, new_device(&world, "noor").await);
    let forged = format!("{}{}", &danas[..95], if danas.ends_with('0') { '1' } else { '0' });
    let dropped = new_device(&world, "dana").await;
    world.end_all("dana").await;
    let danas = {
        assert!(!is_known(&world, "dana", &danas).await);
        new_device(&world, "dana").await
    };
    let no_token = [noors.as_str(), forged.as_str(), dropped.as_str(), "", "x", "\u{e4}"];
    // All of them share one counter and the responses, and a lock excludes them all.
    for round in 0..2 {
        let expected = world.attempt("dana", "wrong password").await;
        for token in &no_token[..4] {
            let answer = from_device(&world, "dana", "wrong password", token).await;
            assert_eq!(answer.to_string(), expected.to_string(), "{token}");
            assert_eq!(
                answer.headers.keys().collect::<Vec<_>>(),
                expected.headers.keys().collect::<Vec<_>>(),
                "{token}"
            );
        }
        world.locked("dana").await;
        world.evaluated();
        world.hashes();
        for token in no_token {
            let answer = from_device(&world, "dana", PASSWORD, token).await;
            assert_eq!((answer.status, answer.to_string()), (401, expected.to_string()), "{token}");
        }
        assert_eq!((world.evaluated(), world.hashes()), (0, no_token.len()));
        assert_eq!(from_device(&world, "dana", PASSWORD, &danas).await.status, 200, "round {round}");
        world.forgive("dana").await;
    }
    // An unknown name has no devices.
    assert_eq!(
        from_device(&world, "nobody", PASSWORD, &danas).await.to_string(),
        world.attempt("nobody", PASSWORD).await.to_string()
    );
    // A restart changes nothing.
    let world = world.reopened(Plan::default()).await;
    assert!(is_known(&world, "dana", &danas).await);
    assert!(!is_known(&world, "dana", &noors).await);
}

#[tokio::test]
async fn devices_have_their_own_counters_and_locks() {
    let world = World::open().await;
    let (one, other) = (new_device(&world, "dana").await, new_device(&world, "dana").await);
    world.guess("dana", 4).await;
    world.evaluated();
    for _ in 0..8 {
        assert_eq!(from_device(&world, "dana", "wrong password", &one).await.status, 401);
    }
    assert_eq!(world.evaluated(), 5);
    assert_eq!(from_device(&world, "dana", PASSWORD, &one).await.status, 401, "locked");
    assert_eq!(world.account("dana").await.state, AccountState::Active, "and not in the store");
    assert_eq!(from_device(&world, "dana", PASSWORD, &other).await.status, 200);
    // The failures of other devices still count.
    world.guess("dana", 1).await;
    world.locked("dana").await;
    world.wait(secs(60));
    assert_eq!(from_device(&world, "dana", PASSWORD, &one).await.status, 200);
}

#[tokio::test]
async fn devices_have_their_own_queue_places() {
    let (plan, valve) = Plan::valved();
    let world = Arc::new(World::planned(plan).await);
    let device = new_device(&world, "dana").await;
    world.guess("dana", 4).await;
    // One attempt is evaluated and sixteen wait; from the device five are evaluated and sixteen wait.
    let mut calls: Vec<_> = (0..40).map(|_| call("dana", "wrong password")).collect();
    calls.extend((0..22).map(|_| call("dana", PASSWORD).header(DEVICE, &device)));
    let answers = world.at_once(&valve, calls).await;
    let count =
        |answers: &[Answer], status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(&answers[..40], 401), count(&answers[..40], 429)), (17, 23));
    assert_eq!((count(&answers[40..], 200), count(&answers[40..], 429)), (21, 1), "one past the edge");
}

#[tokio::test]
async fn a27_locks_written_during_a_sign_in_spare_known_devices() {
    let world = World::open().await;
    let device = new_device(&world, "dana").await;
    for (token, status) in [(device.as_str(), 200), ("", 401)] {
        let (account, now) = (world.account("dana").await, quash_core::model::Clock::now(&*world.clock));
        let scopes = world.service.guard().scopes();
        let lock = lock_account(&account, &[], world.service.policy(), scopes, now).expect("a lock");
        world.store.between(Moment::BeforeWrite, lock);
        assert_eq!(from_device(&world, "dana", PASSWORD, token).await.status, status, "{token}");
        world.forgive("dana").await;
    }
}

#[tokio::test]
async fn known_devices_share_fifty_failures_an_hour() {
    let world = World::open().await;
    let mut devices = Vec::new();
    for _ in 0..13 {
        devices.push(new_device(&world, "dana").await);
    }
    world.evaluated();
    // Twelve devices fail four times each, and one twice: none of them is locked individually.
    for (n, device) in devices.iter().enumerate() {
        for _ in 0..if n < 12 { 4 } else { 2 } {
            assert_eq!(from_device(&world, "dana", "wrong password", device).await.status, 401);
        }
    }
    assert_eq!(world.evaluated(), limits::DEVICE_FAILURES as usize);
    // From now on their failures count with those of all clients.
    world.guess("dana", 4).await;
    assert_eq!(from_device(&world, "dana", "wrong password", &devices[0]).await.status, 401);
    world.locked("dana").await;
    assert_eq!(from_device(&world, "dana", PASSWORD, &devices[12]).await.status, 401);
    assert_eq!(from_device(&world, "noor", PASSWORD, "").await.status, 200);
    world.wait(limits::DEVICE_WINDOW - secs(1));
    world.guess("dana", 5).await;
    world.locked("dana").await;
    assert_eq!(from_device(&world, "dana", PASSWORD, &devices[12]).await.status, 401);
    world.wait(secs(1));
    assert_eq!(from_device(&world, "dana", PASSWORD, &devices[12]).await.status, 200);
}

#[tokio::test]
async fn device_tokens_do_not_bypass_network_limits() {
    let world = World::open().await;
    let device = new_device(&world, "dana").await;
    let from_there = |password: &str| {
        let call = Call::post("/api/token/").json(&json!({ "username": "dana", "password": password }));
        call.header(DEVICE, &device)
    };
    for _ in 0..50 {
        assert_eq!(world.send(from_there("wrong password")).await.status, 401);
    }
    assert_eq!(world.send(from_there(PASSWORD)).await.status, 429);
}

#[tokio::test]
async fn accounts_keep_the_twenty_latest_devices() {
    let world = World::open().await;
    let mut devices = Vec::new();
    for _ in 0..limits::DEVICES {
        devices.push(new_device(&world, "dana").await);
    }
    assert!(is_known(&world, "dana", &devices[0]).await, "and is used by that");
    devices.push(new_device(&world, "dana").await);
    assert!(!is_known(&world, "dana", &devices[1]).await);
    assert!(is_known(&world, "dana", &devices[0]).await);
    assert!(is_known(&world, "dana", &devices[limits::DEVICES]).await);
    // A client that stores no token displaces no other.
    for _ in 0..30 {
        world.sign_in("dana").await;
    }
    assert!(is_known(&world, "dana", &devices[2]).await);
}

#[tokio::test]
async fn only_defensive_actions_drop_known_devices() {
    let own = async |world: &World, method: &str, path: &str, body: Value, token: &str| {
        let pair = from_device(world, "dana", PASSWORD, token).await.pair();
        let answer = world.own(method, path, &pair.access, &body).await;
        assert!(answer.status < 300, "{answer}");
    };
    let kept = [
        ("POST", "/v1/me/sessions/end-others", Value::Null),
        ("PATCH", "/v1/me", json!({ "username": "Dana", "password": PASSWORD })),
        ("POST", "/v1/me/password", json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD })),
    ];
    for (method, path, body) in kept {
        let world = World::open().await;
        let device = new_device(&world, "dana").await;
        own(&world, method, path, body, &device).await;
        assert!(!world.account("dana").await.devices.to_text().is_empty(), "{method} {path}");
    }
    let world = World::open().await;
    let device = new_device(&world, "dana").await;
    own(&world, "POST", "/v1/me/sessions/end-all", Value::Null, &device).await;
    assert!(!is_known(&world, "dana", &device).await);

    let device = new_device(&world, "dana").await;
    world.post("/v1/password-reset", &json!({ "username": "dana" })).await;
    let letter = world
        .mails()
        .await
        .into_iter()
        .find(|letter| letter.kind == MailKind::Reset)
        .expect("a mail with a link");
    world
        .post("/v1/password-reset/confirm", &json!({ "token": link(&letter), "new_password": PASSWORD }))
        .await;
    assert!(!is_known(&world, "dana", &device).await);

    let device = new_device(&world, "dana").await;
    own(&world, "POST", "/v1/me/deactivate", json!({ "password": PASSWORD }), &device).await;
    world.service.reactivate(&subject("dana"), Actor::Operator.into()).await.expect("a change");
    assert!(!is_known(&world, "dana", &device).await);

    // A lock that an operator sets applies to all devices.
    let device = new_device(&world, "dana").await;
    world.service.lock(&subject("dana"), secs(600), Actor::Operator.into()).await.expect("a lock");
    assert_eq!(from_device(&world, "dana", PASSWORD, &device).await.status, 401);
    world.forgive("dana").await;

    let device = new_device(&world, "dana").await;
    own(&world, "DELETE", "/v1/me", json!({ "password": PASSWORD }), &device).await;
    assert_eq!(
        from_device(&world, "dana", PASSWORD, &device).await.to_string(),
        world.attempt("dana", PASSWORD).await.to_string()
    );
}

#[tokio::test]
async fn a31_locks_spare_sessions_bound_to_devices() {
    let world = World::open().await;
    let first = from_device(&world, "dana", PASSWORD, "").await;
    let device = token(&first).expect("a token");
    let second = from_device(&world, "dana", PASSWORD, &device).await.pair();
    let strange = world.sign_in("dana").await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    assert_eq!(support::kinds(&*world.store).await, [ScopeKind::Session; 2]);
    world.assert_live(&second).await;
    insta::assert_snapshot!(world.refresh(&strange.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"locked"}"#);
    world.assert_dead(&strange).await;
    // Receiving a token proves nothing.
    world.assert_dead(&first.pair()).await;
    // The known device's session stays exempt after a refresh.
    let second = world.refresh(&second.refresh).await.pair();
    world.wait(secs(60));
    world.guess("dana", 5).await;
    world.locked("dana").await;
    assert_eq!(world.account("dana").await.locks, 2);
    world.assert_live(&second).await;
}

#[tokio::test]
async fn a31_locks_end_all_unbound_sessions() {
    let world = World::open().await;
    let (one, other) = (world.sign_in("dana").await, from_device(&world, "dana", PASSWORD, "").await.pair());
    world.guess("dana", 5).await;
    world.locked("dana").await;
    assert_eq!(support::kinds(&*world.store).await, [ScopeKind::Subject], "one watermark");
    world.assert_dead(&one).await;
    world.assert_dead(&other).await;
}

#[tokio::test]
async fn a31_locks_end_sessions_opened_meanwhile() {
    let world = World::open().await;
    let device = new_device(&world, "dana").await;
    let bound = from_device(&world, "dana", PASSWORD, &device).await.pair();
    let strange = world.sessions("dana").await.into_iter().find(|session| session.known_device.is_none());
    let late = Session { id: SessionId::from_bytes([7; 16]), ..strange.expect("a session") };
    let opening = SessionOpening {
        session: late.clone(),
        version: world.account("dana").await.version,
        rehash: None,
        evict: None,
        most_live: u32::MAX,
        last_login: None,
        known_device: None,
        locks: None,
        adopts: None,
        claims: None,
    };
    // As a sign-in does that was decided on before the last failure.
    world.store.between(Moment::AfterList, Change::OpenSession(Box::new(opening)));
    world.guess("dana", 5).await;
    world.locked("dana").await;
    let (row, _) = world.store.session(late.id).await.expect("a read").found.expect("it was opened");
    assert_ne!(row.state, SessionState::Live);
    world.assert_live(&bound).await;
}

#[tokio::test]
async fn a31_refreshes_with_device_cookies_bind_sessions() {
    let world = World::open().await;
    let browser = world.send(call("dana", PASSWORD).header(SITE, "same-origin")).await;
    let (cookie, _) = browser.header("set-cookie").expect("a cookie").split_once(';').expect("attributes");
    let refresh = |token: &str| Call::post("/api/token/refresh/").json(&json!({ "refresh": token }));
    let [bound, unbound, forged] =
        [world.sign_in("dana").await, world.sign_in("dana").await, world.sign_in("dana").await];
    let bound = world.send(refresh(&bound.refresh).header(COOKIE, cookie)).await.pair();
    let unbound = world.send(refresh(&unbound.refresh).header(DEVICE, "")).await.pair();
    let forged = world.send(refresh(&forged.refresh).header(COOKIE, "__Host-quash-device=x")).await.pair();
    let noors = new_device(&world, "noor").await;
    let forged = world.send(refresh(&forged.refresh).header(DEVICE, &noors)).await.pair();
    world.guess("dana", 5).await;
    world.locked("dana").await;
    world.assert_live(&bound).await;
    for ended in [&unbound, &forged, &browser.pair()] {
        world.assert_dead(ended).await;
    }
}

#[tokio::test]
async fn a31_refreshes_without_rotation_bind_sessions_too() {
    let mut plan = Plan::default();
    plan.policy.rotation.rotate = false;
    let world = World::planned(plan).await;
    let device = new_device(&world, "dana").await;
    let bound = world.sign_in("dana").await;
    let refresh =
        Call::post("/api/token/refresh/").json(&json!({ "refresh": bound.refresh })).header(DEVICE, &device);
    assert_eq!(world.send(refresh).await.status, 200);
    let sliding = Call { target: "/api/token/sliding/".into(), ..call("dana", PASSWORD) };
    let token = world.send(sliding).await.json()["token"].as_str().expect("a token").to_owned();
    let exchange =
        Call::post("/api/token/sliding/refresh/").json(&json!({ "token": token })).header(DEVICE, &device);
    assert_eq!(world.send(exchange.clone()).await.status, 200);
    let unbound = world.sign_in("dana").await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    world.assert_live(&bound).await;
    assert_eq!(world.send(exchange).await.status, 200);
    world.assert_dead(&unbound).await;
}

#[tokio::test]
async fn a31_forgotten_devices_spare_no_sessions() {
    let world = World::open().await;
    let device = new_device(&world, "dana").await;
    let early = from_device(&world, "dana", PASSWORD, &device).await.pair();
    for _ in 0..limits::DEVICES {
        new_device(&world, "dana").await;
    }
    world.guess("dana", 5).await;
    world.locked("dana").await;
    world.assert_dead(&early).await;
}

#[tokio::test]
async fn a31_locks_may_end_bound_sessions_too() {
    let mut plan = Plan::default();
    plan.policy.accounts.lock_ends = LockEnds::All;
    let world = World::planned(plan).await;
    let device = new_device(&world, "dana").await;
    let bound = from_device(&world, "dana", PASSWORD, &device).await.pair();
    world.guess("dana", 5).await;
    world.locked("dana").await;
    world.assert_dead(&bound).await;
    let again = from_device(&world, "dana", PASSWORD, &device).await.pair();
    world.assert_live(&again).await;
}

#[tokio::test]
async fn operator_locks_end_bound_sessions_too() {
    let world = World::open().await;
    let device = new_device(&world, "dana").await;
    let bound = from_device(&world, "dana", PASSWORD, &device).await.pair();
    world.service.lock(&subject("dana"), secs(600), Actor::Operator.into()).await.expect("a lock");
    world.assert_dead(&bound).await;
}
