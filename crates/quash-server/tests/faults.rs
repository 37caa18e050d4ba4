//! Server errors: while the store is unavailable or full, no client receives a token or a confirmed end, and
//! no response reveals the cause. Also: the contents of a stolen store.

use crate::support;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use quash_core::decide::ChangeAuthor;
use quash_core::model::{AccountState, Actor, Reason, Rights, Seq, SessionId, SessionState};
use quash_server::{HttpSettings, Registration};
use quash_service::{ChangeFault, Failure};
use quash_store::{Store, StoreError};
use serde_json::json;

use support::{Answer, Call, FaultyStore, PASSWORD, Part, Plan, World, claims, kinds, secs, subject};

/// A 503 without details.
fn assert_generic(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer}");
    let told = format!("{:?} {}", answer.headers, answer.text()).to_lowercase();
    for word in ["secret", "path", "/var", "sqlite", "ioerr", "disk", "quash_", "rust", "panic", "account_"] {
        assert!(!told.contains(word), "{word}: {told}");
    }
}

#[tokio::test]
async fn a45_a89_no_tokens_without_stored_sessions() {
    for error in [FaultyStore::away(), StoreError::Full, StoreError::Conflict] {
        let world = World::open().await;
        let pair = world.sign_in("dana").await;
        let before = world.sessions("dana").await;
        world.store.break_part(Part::Writes, error);
        for answer in [world.attempt("dana", PASSWORD).await, world.refresh(&pair.refresh).await] {
            assert_generic(&answer);
        }
        world.store.mend();
        assert_eq!(world.sessions("dana").await, before);
        world.refresh(&pair.refresh).await.pair();
        world.sign_in("dana").await;
    }
}

#[tokio::test]
async fn a45_unavailable_stores_give_one_generic_503() {
    let world = World::open().await;
    world.store.break_part(Part::Writes, FaultyStore::away());
    insta::assert_snapshot!(world.attempt("dana", PASSWORD).await, @r#"
    503
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    retry-after: 5

    {"detail":"The service cannot use its store now.","code":"unavailable"}
    "#);
    world.store.break_part(Part::Writes, StoreError::Full);
    insta::assert_snapshot!(world.attempt("dana", PASSWORD).await.brief(), @r#"503 {"detail":"The service cannot use its store now.","code":"unavailable"}"#);
    world.store.break_part(Part::Writes, StoreError::Conflict);
    insta::assert_snapshot!(world.attempt("dana", PASSWORD).await.brief(), @r#"503 {"detail":"Too many requests for one session at once.","code":"unavailable"}"#);
}

#[tokio::test]
async fn a45_a89_unreadable_state_is_never_guessed() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.hashes();
    world.store.break_part(Part::Rows, FaultyStore::away());
    for answer in [
        world.attempt("dana", PASSWORD).await,
        world.attempt("nobody", PASSWORD).await,
        world.refresh(&pair.refresh).await,
        world.verify(&pair.refresh).await,
        world.blacklist(&pair.refresh).await,
        world.log_out(&pair.access, &pair.refresh).await,
        world.me(&pair.access).await,
        world.send(Call::get("/readyz?verbose=1")).await,
    ] {
        assert_generic(&answer);
    }
    assert_eq!(world.hashes(), 0);
    assert_eq!(world.verify(&pair.access).await.status, 200, "the guard reads no database");
    assert_eq!(world.send(Call::get("/livez")).await.status, 200);
    assert_eq!(world.refresh("garbage").await.status, 401, "what is no token needs no store");
    insta::assert_snapshot!(world.me(&pair.access).await, @r#"
    503
    content-type: application/problem+json
    cache-control: no-store
    retry-after: 5

    {"type":"/docs/errors/unavailable","title":"Unavailable","status":503,"detail":"The service cannot use its store now.","code":"unavailable"}
    "#);
    insta::assert_snapshot!(world.send(Call::get("/readyz?verbose=1")).await, @r#"
    503
    content-type: application/json
    cache-control: no-store
    retry-after: 5

    {"status":"unavailable","checks":{"store":"unavailable","log_seq":17179869184,"mail":"ok"},"reason":"the store can't be read or written: the log has the cause"}
    "#);
    world.store.mend();
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn a52_failed_writes_end_nothing() {
    for error in [FaultyStore::away(), StoreError::Full] {
        let world = World::open().await;
        let pair = world.sign_in("dana").await;
        let spent = world.sign_in("noor").await;
        let current = world.refresh(&spent.refresh).await.pair();
        world.wait(secs(60));
        world.store.break_part(Part::Writes, error);
        for answer in [
            world.log_out(&pair.access, &pair.refresh).await,
            world.blacklist(&pair.refresh).await,
            world.refresh(&spent.refresh).await,
        ] {
            assert_generic(&answer);
        }
        world.store.mend();
        world.assert_live(&pair).await;
        assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200, "the second time works");
        world.assert_dead(&pair).await;
        assert_eq!(world.refresh(&spent.refresh).await.reason().as_deref(), Some("reuse"));
        world.assert_dead(&current).await;
    }
}

#[tokio::test]
async fn lost_answers_are_stated_and_requests_may_be_repeated() {
    for written in [true, false] {
        let world = World::open().await;
        let pair = world.sign_in("dana").await;
        world.wait(secs(60));
        world.store.lose_answer(written);
        let answer = world.refresh(&pair.refresh).await;
        assert_generic(&answer);
        assert_eq!(answer.header("retry-after"), Some("1"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer.brief(), @r#"503 {"detail":"It is not known whether the request was carried out. Try again.","code":"unavailable"}"#);
        }
        let renewed = world.refresh(&pair.refresh).await.pair();
        world.assert_live(&renewed).await;

        world.store.lose_answer(written);
        assert_generic(&world.log_out(&renewed.access, &renewed.refresh).await);
        let repeated = world.log_out(&renewed.access, &renewed.refresh).await;
        assert_eq!(repeated.status, if written { 401 } else { 200 }, "{repeated}");
        let head = world.head().await;
        world.service.guard().caught_up(head, secs(5)).await.expect("a guard that follows");
        world.assert_dead(&renewed).await;
    }
}

#[tokio::test]
async fn a52_ends_are_confirmed_after_the_guard_knows() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.store.break_part(Part::Log, FaultyStore::away());
    // No password is hashed from here on, so waiting can take no real time.
    let true = support::time_is_paused() else { return };
    assert_generic(&world.log_out(&pair.access, &pair.refresh).await);
    assert_eq!(world.refresh(&pair.refresh).await.status, 401, "it is written all the same");
    world.store.mend();
    let head = world.head().await;
    world.service.guard().caught_up(head, secs(5)).await.expect("a guard that follows");
    world.assert_dead(&pair).await;
}

#[tokio::test]
async fn a52_repeated_ends_wait_for_the_guard_too() {
    let world = World::open().await;
    let (pair, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let session: SessionId =
        claims(&pair.access)["sid"].as_str().and_then(|sid| sid.parse().ok()).expect("an id");
    let own = format!("/v1/me/sessions/{session}");
    let by = || ChangeAuthor::from(Actor::Operator);
    world.store.break_part(Part::Log, FaultyStore::away());
    // No password is hashed from here on, so waiting can take no real time.
    let true = support::time_is_paused() else { return };
    for _ in 0..2 {
        assert_generic(&world.log_out(&pair.access, &pair.refresh).await);
        assert_generic(&world.blacklist(&pair.refresh).await);
        assert_generic(&world.own("DELETE", &own, &other.access, &json!(null)).await);
        let ended = world.service.end_session(session, Reason::Ended, Actor::Operator).await;
        assert!(matches!(ended, Err(Failure::Unavailable(_))), "{ended:?}");
    }
    let dana = subject("dana");
    for _ in 0..2 {
        let changed = world.service.deactivate(&dana, by()).await;
        assert!(matches!(changed, Err(ChangeFault::Failed(_))), "{changed:?}");
    }
    for _ in 0..2 {
        let deleted = world.service.delete(&dana, by()).await;
        assert!(matches!(deleted, Err(ChangeFault::Failed(_))), "{deleted:?}");
    }
    world.store.mend();
    assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 401);
    assert!(matches!(world.service.deactivate(&dana, by()).await, Err(ChangeFault::Gone)));
    world.assert_dead(&pair).await;
    world.assert_dead(&other).await;
}

#[tokio::test]
async fn a47_stores_contain_no_tokens() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let second = world.refresh(&first.refresh).await.pair();
    let ended = world.sign_in("noor").await;
    world.log_out(&ended.access, &ended.refresh).await;
    let dump = dump(&world).await;
    for token in
        [&first.access, &first.refresh, &second.access, &second.refresh, &ended.access, &ended.refresh]
    {
        let parts: Vec<&str> = token.split('.').collect();
        let jti = claims(token)["jti"].as_str().expect("a jti").to_owned();
        for secret in [token.as_str(), parts[1], parts[2], &jti] {
            assert!(!holds(&dump, secret.as_bytes()), "{secret}");
        }
        let bytes: [u8; 16] = quash_core::hex::decode(&jti).expect("hex");
        assert!(!holds(&dump, &bytes), "the bytes of a jti");
        assert!(!holds(&dump, format!("{bytes:?}").as_bytes()), "the bytes of a jti");
    }
}

/// The whole content of the store, as text and as bytes.
async fn dump(world: &World) -> Vec<u8> {
    let store = &*world.store;
    let mut dump =
        format!("{:?}{:?}", store.head().await, store.entries_after(Seq::ZERO, u32::MAX).await).into_bytes();
    for account in store.accounts(None, u32::MAX).await.expect("accounts") {
        dump.extend(format!("{account:?}").into_bytes());
        dump.extend(account.password.iter().flat_map(|hash| hash.as_str().bytes()));
        for session in store.sessions_of(&account.subject, None, u32::MAX).await.expect("sessions") {
            dump.extend(format!("{session:?}").into_bytes());
            dump.extend(session.seed);
        }
    }
    for key in store.keys().await.expect("keys") {
        dump.extend(format!("{key:?}").into_bytes());
        dump.extend(key.secret.0);
    }
    dump.extend(store.secret("refresh").await.expect("a store").expect("a secret").0);
    dump
}

fn holds(dump: &[u8], secret: &[u8]) -> bool {
    dump.windows(secret.len()).any(|window| window == secret)
}

#[tokio::test]
async fn a47_stored_secrets_are_sealed() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let key = world.stolen_key();
    let sealed = world.store.keys().await.expect("keys").remove(0).secret.0;
    assert_eq!(key.verifying().kid(), &world.store.keys().await.expect("keys")[0].kid);
    assert_eq!(sealed.len(), 12 + 32 + 16, "a nonce, a secret and a tag");
    assert_eq!(world.sessions("dana").await[0].state, SessionState::Live);
    assert_eq!(kinds(&*world.store).await, []);
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn readyz_fails_while_the_store_cannot_be_written() {
    for error in [FaultyStore::away(), StoreError::Full] {
        let world = World::open().await;
        let ready = async || world.send(Call::get("/readyz")).await;
        assert_eq!(ready().await.status, 200);
        world.store.break_part(Part::Writes, error);
        assert_eq!(ready().await.status, 200, "one check a second, however often it is asked for");
        world.wait(secs(1));
        let refused = ready().await;
        assert_generic(&refused);
        assert_eq!(refused.brief(), r#"503 {"status":"unavailable"}"#);
        world.store.mend();
        world.wait(secs(1));
        assert_eq!(ready().await.status, 200);
    }
}

/// The lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lines").write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Returns the lines that this thread logs from now on, for as long as the guards live.
    fn of_this_thread() -> (Self, (tracing::Dispatch, tracing::subscriber::DefaultGuard)) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        // With a single subscriber, tracing caches the decision of the first thread that reaches an event for
        // all threads.
        let second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        (lines, (second, tracing::subscriber::set_default(subscriber)))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("lines").clone()).expect("text")
    }
}

#[tokio::test]
async fn the_log_says_what_is_known_of_a_lock() {
    for (fault, is_written, says) in [
        ("lost answer", true, "a lock may not be in the store"),
        ("lost request", false, "a lock may not be in the store"),
        ("no disk", false, "failed to write a lock to the store"),
        ("none", true, "locked an account after failed attempts"),
    ] {
        let (lines, _guards) = Lines::of_this_thread();
        let world = World::open().await;
        match fault {
            "lost answer" => world.store.lose_answer(true),
            "lost request" => world.store.lose_answer(false),
            "no disk" => world.store.break_part(Part::Writes, FaultyStore::away()),
            _ => {}
        }
        world.guess("dana", 5).await;
        while !lines.text().contains("lock") {
            tokio::task::yield_now().await;
        }
        assert!(lines.text().contains(says), "{fault}: {}", lines.text());
        let state = world.account("dana").await.state;
        assert_eq!(matches!(state, AccountState::Locked { .. }), is_written, "{fault}");
        assert_eq!(
            world.attempt("dana", PASSWORD).await.status,
            401,
            "{fault}: in this process it is locked"
        );
    }
}

#[tokio::test]
async fn the_log_states_cause_and_request_id_of_each_5xx() {
    let (lines, _guards) = Lines::of_this_thread();
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let pair = world.sign_in("dana").await;
    let (_, secret) = world.service.add_client("shop", Rights::VERIFIER, None).await.expect("a client");
    let secret = secret.into_text().to_string();
    let form = |path: &str| {
        Call::post(path)
            .body("application/x-www-form-urlencoded", format!("token={}", pair.access))
            .bearer(&secret)
    };
    let register = json!({ "username": "lee", "email": "lee@example.org", "password": PASSWORD });
    let read = [
        Call::post("/api/token/").json(&json!({ "username": "dana", "password": PASSWORD })),
        Call::post("/api/token/refresh/").json(&json!({ "refresh": pair.refresh })),
        Call::get("/v1/me").bearer(&pair.access),
        Call::post("/v1/registration").json(&register),
        form("/oauth2/introspect"),
        Call::get("/readyz"),
    ];
    let pages = Call::post("/verify").body("application/x-www-form-urlencoded", "token=x");
    for (part, calls) in
        [(Part::Rows, read.to_vec()), (Part::Writes, read[..2].to_vec()), (Part::Rows, vec![pages])]
    {
        world.store.break_part(part, FaultyStore::away());
        for call in calls {
            let target = call.target.clone();
            let answer = world.send(call).await;
            if target == "/verify" && answer.status < 500 {
                continue;
            }
            assert_eq!(answer.status, 503, "{target}: {answer}");
            let id = answer.header("x-request-id").expect("an id");
            let log = lines.text();
            let line =
                log.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{target}: {log}"));
            assert!(line.contains("SQLITE_IOERR") && line.contains("cause="), "{target}: {line}");
        }
        world.wait(secs(1));
    }
}
