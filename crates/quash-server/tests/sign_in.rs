//! Sign-in: the accounts that may, the information in a refusal, and the cost of each attempt.
//!
//! Of the attacks on sign-in, A06 and A12 are in `imported.rs`; A18 to A20 need the count of failures.

use crate::support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use quash_core::model::{AccountState, Reason, SessionState};
use quash_service::HashSettings;
use serde_json::json;

use support::{Answer, Call, Gated, PASSWORD, Plan, World, claims, millis};

/// The parts that two refusals must share: everything but the id of the request.
fn told(answer: &Answer) -> String {
    let mut headers: Vec<_> = answer.headers.iter().filter(|(name, _)| *name != "x-request-id").collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    format!("{} {headers:?} {}", answer.status, answer.text())
}

#[tokio::test]
async fn a01_unknown_names_and_wrong_passwords_get_equal_responses() {
    let world = World::open().await;
    let wrong = world.attempt("dana", "wrong password").await;
    insta::assert_snapshot!(wrong, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"No active account found with the given credentials"}
    "#);
    for (name, password) in [
        ("nobody", PASSWORD),
        ("nobody", "wrong password"),
        ("dan\u{e4}", PASSWORD),
        ("noor", "x"),
        ("dana", "Correct"),
    ] {
        assert_eq!(told(&world.attempt(name, password).await), told(&wrong), "{name}");
    }
}

#[tokio::test]
async fn a02_every_attempt_costs_one_hash() {
    let world = World::open().await;
    world.add_with("invited", None, false, None).await;
    world.add("unverified", Some("u@example.org"), false).await;
    world.add("former", None, false).await;
    world.deactivate("former").await;
    world.hashes();
    for name in ["dana", "nobody", "invited", "unverified", "former"] {
        for password in [PASSWORD, "wrong password", "x", &"é".repeat(1024)] {
            world.attempt(name, password).await;
            assert_eq!(world.hashes(), 1, "{name}");
        }
    }
}

#[tokio::test]
async fn a03_accounts_without_password_are_refused_alike() {
    let world = World::open().await;
    world.add_with("invited", None, false, None).await;
    let unknown = world.attempt("nobody", PASSWORD).await;
    for password in [PASSWORD, "decoy", "!", "$"] {
        assert_eq!(told(&world.attempt("invited", password).await), told(&unknown));
    }
}

#[tokio::test]
async fn a04_deactivated_accounts_are_refused() {
    let world = World::open().await;
    let unknown = world.attempt("nobody", PASSWORD).await;
    world.deactivate("dana").await;
    world.hashes();
    assert_eq!(told(&world.attempt("dana", PASSWORD).await), told(&unknown));
    assert_eq!(world.hashes(), 1);
    world.put("dana", AccountState::Active).await;
    world.sign_in("dana").await;
}

#[tokio::test]
async fn a18_locked_accounts_are_refused() {
    let world = World::open().await;
    let unknown = world.attempt("nobody", PASSWORD).await;
    world.add("unverified", Some("u@example.org"), false).await;
    for name in ["dana", "unverified"] {
        world.put(name, locked_until(support::START + 60)).await;
        assert_eq!(told(&world.attempt(name, PASSWORD).await), told(&unknown), "{name}");
    }
    world.wait(millis(59_999));
    assert_eq!(told(&world.attempt("dana", PASSWORD).await), told(&unknown));
    world.wait(millis(1));
    world.sign_in("dana").await;
}

#[tokio::test]
async fn a05_unverified_addresses_are_reported_only_to_owners() {
    let world = World::open().await;
    world.add("new", Some("new@example.org"), false).await;
    let unknown = world.attempt("nobody", PASSWORD).await;
    assert_eq!(told(&world.attempt("new", "wrong password").await), told(&unknown));
    insta::assert_snapshot!(world.attempt("new", PASSWORD).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"The e-mail address of this account is not verified.","code":"email_not_verified"}
    "#);
    assert!(world.sessions("new").await.is_empty());
}

#[tokio::test]
async fn a09_malformed_bodies_get_familiar_errors() {
    let world = World::open().await;
    let mut told = Vec::new();
    for body in [
        "",
        "{}",
        "[]",
        "[[1]]",
        "\"x\"",
        "1",
        "1.5",
        "true",
        "null",
        r#"{"username":null,"password":null}"#,
        r#"{"username":"","password":" "}"#,
        r#"{"username":["dana"],"password":{"a":"b"}}"#,
        r#"{"username":true,"password":false}"#,
        r#"{"username":"da\u0000na","password":"a\u0000"}"#,
        r#"{"username":"dana"}"#,
        r#"{"username":12,"password":-1.5e3}"#,
        r#"{"username":"\ud800","password":"x"}"#,
        r#"{"username":"dana","password":NaN}"#,
        r#"{"username":"dana","password":"x""#,
        "{'username':'dana'}",
        "{} {}",
        "\u{feff}{}",
    ] {
        let answer = world.send(Call::post("/api/token/").body("application/json", body)).await;
        told.push(format!("{body:?}\n    {}", answer.brief()));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    ""
        400 {"username":["This field is required."],"password":["This field is required."]}
    "{}"
        400 {"username":["This field is required."],"password":["This field is required."]}
    "[]"
        400 {"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}
    "[[1]]"
        400 {"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}
    "\"x\""
        400 {"non_field_errors":["Invalid data. Expected a dictionary, but got str."]}
    "1"
        400 {"non_field_errors":["Invalid data. Expected a dictionary, but got int."]}
    "1.5"
        400 {"non_field_errors":["Invalid data. Expected a dictionary, but got float."]}
    "true"
        400 {"non_field_errors":["Invalid data. Expected a dictionary, but got bool."]}
    "null"
        400 {"non_field_errors":["No data provided"]}
    "{\"username\":null,\"password\":null}"
        400 {"username":["This field may not be null."],"password":["This field may not be null."]}
    "{\"username\":\"\",\"password\":\" \"}"
        400 {"username":["This field may not be blank."],"password":["This field may not be blank."]}
    "{\"username\":[\"dana\"],\"password\":{\"a\":\"b\"}}"
        400 {"username":["Not a valid string."],"password":["Not a valid string."]}
    "{\"username\":true,\"password\":false}"
        400 {"username":["Not a valid string."],"password":["Not a valid string."]}
    "{\"username\":\"da\\u0000na\",\"password\":\"a\\u0000\"}"
        400 {"username":["Null characters are not allowed."],"password":["Null characters are not allowed."]}
    "{\"username\":\"dana\"}"
        400 {"password":["This field is required."]}
    "{\"username\":12,\"password\":-1.5e3}"
        401 {"detail":"No active account found with the given credentials"}
    "{\"username\":\"\\ud800\",\"password\":\"x\"}"
        400 {"username":["Surrogate characters are not allowed: U+D800."]}
    "{\"username\":\"dana\",\"password\":NaN}"
        400 {"detail":"JSON parse error - Unexpected input: line 1 column 31"}
    "{\"username\":\"dana\",\"password\":\"x\""
        400 {"detail":"JSON parse error - Unexpected end: line 1 column 33"}
    "{'username':'dana'}"
        400 {"detail":"JSON parse error - Unexpected input: line 1 column 2"}
    "{} {}"
        400 {"detail":"JSON parse error - Unexpected input: line 1 column 4"}
    "\u{feff}{}"
        400 {"detail":"JSON parse error - Unexpected input: line 1 column 1"}
    "#);
}

#[tokio::test]
async fn a09_non_text_bytes_are_refused() {
    let world = World::open().await;
    for body in [
        &b"{\"username\":\"\xff\",\"password\":\"x\"}"[..],
        b"\xff\xfe{\0}\0",
        b"\x1f\x8b\x08\0",
        b"{\"\xed\xa0\x80\":1}",
    ] {
        let answer = world.send(Call::post("/api/token/").body("application/json", body)).await;
        assert_eq!(answer.status, 400, "{body:?}: {answer}");
    }
    let deep = "[".repeat(30_000);
    assert_eq!(world.send(Call::post("/api/token/").body("application/json", deep)).await.status, 400);
    let deep = format!("{{\"username\":{}1{}}}", "{\"a\":".repeat(20), "}".repeat(20));
    assert_eq!(world.send(Call::post("/api/token/").body("application/json", deep)).await.status, 400);
    for (media_type, body) in [
        ("multipart/form-data", "x"),
        ("multipart/form-data; boundary=", "x"),
        ("multipart/form-data; boundary=X", "--X\r\nContent-Disposition: form-data\r\n\r\nx"),
        ("multipart/form-data; boundary=X", "--X--\r\n"),
        ("application/x-www-form-urlencoded", "username=%00&password=%zz&&==&%"),
        ("application/x-www-form-urlencoded", ""),
    ] {
        assert_eq!(
            world.send(Call::post("/api/token/").body(media_type, body)).await.status,
            400,
            "{media_type}: {body}"
        );
    }
}

#[tokio::test]
async fn a09_the_last_duplicate_member_counts() {
    let world = World::open().await;
    for (last, status) in [(PASSWORD, 200), ("wrong", 401)] {
        let first = if last == PASSWORD { "wrong" } else { PASSWORD };
        let body = format!(r#"{{"password":"{first}","username":"dana","password":"{last}"}}"#);
        assert_eq!(world.send(Call::post("/api/token/").body("application/json", body)).await.status, status);
        let form = format!("password={first}&username=dana&password={last}").replace(' ', "+");
        assert_eq!(
            world
                .send(Call::post("/api/token/").body("application/x-www-form-urlencoded", form))
                .await
                .status,
            status
        );
    }
}

#[tokio::test]
async fn a10_password_length_is_limited_before_hashing() {
    let world = World::open().await;
    world.hashes();
    assert_eq!(world.attempt("dana", &"x".repeat(1024)).await.status, 401);
    assert_eq!(world.hashes(), 1);
    let over = world.attempt("dana", &"x".repeat(1025)).await;
    insta::assert_snapshot!(over.brief(), @r#"400 {"password":["Ensure this field has no more than 1024 characters."]}"#);
    assert_eq!(world.attempt("dana", &"é".repeat(1025)).await.status, 400);
    assert_eq!(world.attempt("dana", &"x".repeat(1024 * 1024)).await.status, 413);
    assert_eq!(world.hashes(), 0);
}

#[tokio::test]
async fn a11_passwords_are_compared_as_received() {
    let world = World::open().await;
    let composed = " ünïcode\u{1f511} ";
    world.add_with("umlaut", None, false, Some(composed)).await;
    assert_eq!(world.attempt("umlaut", composed).await.status, 200);
    let decomposed = " u\u{308}ni\u{308}code\u{1f511} ";
    for other in
        [composed.trim(), decomposed, &composed.to_uppercase(), &composed[..composed.len() - 1], "\u{fc}"]
    {
        assert_eq!(world.attempt("umlaut", other).await.status, 401, "{other:?}");
    }
    insta::assert_snapshot!(world.attempt("umlaut", &format!("{composed}\0")).await.brief(), @r#"400 {"password":["Null characters are not allowed."]}"#);
}

#[tokio::test]
async fn a19_name_spellings_share_one_account() {
    let world = World::open().await;
    for name in ["Dana", "DANA", " dana\t", "\u{ff44}\u{ff41}\u{ff4e}\u{ff41}"] {
        assert_eq!(claims(&world.sign_in(name).await.access)["user_id"], "dana", "{name}");
    }
    assert_eq!(world.attempt("da\u{200b}na", PASSWORD).await.status, 401);
    assert_eq!(world.attempt("dana@example.org", PASSWORD).await.status, 401, "addresses don't sign in yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a21_concurrent_right_attempts_all_succeed() {
    let world = Arc::new(World::open().await);
    let attempts: Vec<_> = (0..20)
        .map(|n| {
            let world = Arc::clone(&world);
            let call =
                Call { peer: None, ..Call::post("/api/token/") }.header(USER_AGENT, format!("browser {n}"));
            tokio::spawn(async move {
                world.send(call.json(&json!({ "username": "dana", "password": PASSWORD }))).await.pair()
            })
        })
        .collect();
    let mut sessions = BTreeSet::new();
    for attempt in attempts {
        sessions.insert(claims(&attempt.await.expect("an attempt").refresh)["sid"].to_string());
    }
    assert_eq!((sessions.len(), world.sessions("dana").await.len()), (20, 20));
}

#[tokio::test]
async fn over_long_names_are_unknown_names() {
    let world = World::open().await;
    let expanding = "\u{df}".repeat(100);
    world.add(&expanding, None, false).await;
    assert_eq!(world.attempt(&expanding, PASSWORD).await.status, 200);
    world.hashes();
    let unknown = world.attempt("nobody", PASSWORD).await.to_string();
    // The first name is already folded, but longer than a name may be.
    for name in ["ss".repeat(100), "\u{fdfa}".repeat(10_000), "x".repeat(30_000)] {
        assert_eq!(world.attempt(&name, PASSWORD).await.to_string(), unknown);
    }
    assert_eq!(world.hashes(), 4);
}

#[tokio::test]
async fn a83_network_places_and_queue_are_limited() {
    let (gated, open) = Gated::new();
    let hashing = HashSettings { slots: 1, longest_wait: Duration::from_secs(3600), places_per_network: 4 };
    let world = World::planned(Plan { hasher: Arc::new(gated), hashing, ..Plan::default() }).await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    let attempt = || world.send(Call::post("/api/token/").json(&body));
    let open_after = async {
        world.settle().await;
        drop(open);
    };
    let (a, b, c, d, e, ()) = tokio::join!(attempt(), attempt(), attempt(), attempt(), attempt(), open_after);
    let mut answers = [a, b, c, d, e];
    answers.sort_by_key(|answer| answer.status);
    assert!(answers[..4].iter().all(|answer| answer.status == 200));
    insta::assert_snapshot!(answers[4], @r#"
    429
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    retry-after: 1

    {"detail":"Request was throttled. Expected available in 1 second."}
    "#);
}

#[tokio::test]
async fn a83_overlong_waits_are_refused_with_retry_after() {
    let (gated, open) = Gated::new();
    let hashing = HashSettings { slots: 1, longest_wait: Duration::from_millis(30), places_per_network: 4 };
    let world = World::planned(Plan { hasher: Arc::new(gated), hashing, ..Plan::default() }).await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    let attempt = || world.send(Call { peer: None, ..Call::post("/api/token/").json(&body) });
    let open_after = async {
        world.settle().await;
        drop(open);
    };
    let (a, b, c, d, e, ()) = tokio::join!(attempt(), attempt(), attempt(), attempt(), attempt(), open_after);
    let mut answers = [a, b, c, d, e];
    answers.sort_by_key(|answer| answer.status);
    // The number of accepted attempts depends on the typical time of a hash. The first is accepted, the last
    // isn't.
    assert_eq!(answers[0].status, 200);
    insta::assert_snapshot!(answers[4], @r#"
    503
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    retry-after: 1

    {"detail":"Too many sign-ins are waiting.","code":"unavailable"}
    "#);
}

#[tokio::test]
async fn exceeding_the_session_limit_ends_the_idlest() {
    let mut plan = Plan::default();
    plan.policy.sessions.max_per_account = 2;
    let world = World::planned(plan).await;
    let first = world.sign_in("dana").await;
    world.wait(millis(1000));
    let second = world.sign_in("dana").await;
    world.wait(millis(1000));
    let first = world.refresh(&first.refresh).await.pair();
    let third = world.sign_in("dana").await;
    world.assert_live(&first).await;
    world.assert_live(&third).await;
    insta::assert_snapshot!(world.refresh(&second.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"over_limit"}"#);
    world.assert_dead(&second).await;
    let ended = world
        .sessions("dana")
        .await
        .into_iter()
        .filter(|session| session.state != SessionState::Live)
        .collect::<Vec<_>>();
    assert!(
        matches!(&ended[..], [one] if matches!(&one.state, SessionState::Ended(ending) if ending.reason == Reason::OverLimit))
    );
    assert_eq!(world.attempt("noor", PASSWORD).await.status, 200, "another account has a limit of its own");
}

#[tokio::test]
async fn concurrent_sign_ins_respect_the_session_limit() {
    let (gated, open) = Gated::new();
    let mut plan = Plan { hasher: Arc::new(gated), ..Plan::default() };
    plan.policy.sessions.max_per_account = 2;
    let world = World::planned(plan).await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    let attempt = || world.send(Call { peer: None, ..Call::post("/api/token/").json(&body) });
    let open_after = async {
        world.settle().await;
        drop(open);
    };
    let (a, b, c, d, ()) = tokio::join!(attempt(), attempt(), attempt(), attempt(), open_after);
    assert!([a, b, c, d].iter().all(|answer| answer.status == 200));
    let sessions = world.sessions("dana").await;
    let live = sessions.iter().filter(|session| session.state == SessionState::Live);
    assert_eq!((sessions.len(), live.count()), (4, 2));
}

#[tokio::test]
async fn client_details_are_truncated() {
    let world = World::open().await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    for agent in [
        "é".repeat(200).into_bytes(),
        b"\xff\xfe\x80".to_vec(),
        vec![b'x'; 256],
        vec![b'x'; 5000],
        Vec::new(),
    ] {
        world.send(Call::post("/api/token/").header(USER_AGENT, agent).json(&body)).await.pair();
    }
    world.send(Call { peer: None, ..Call::post("/api/token/").json(&body) }).await.pair();
    let sessions = world.sessions("dana").await;
    assert_eq!(sessions.len(), 6);
    assert!(sessions.iter().all(|session| session.device.as_ref().is_none_or(|device| device.len() <= 256)));
    assert_eq!(
        sessions.iter().filter(|session| session.address.as_deref() == Some("203.0.113.9")).count(),
        5
    );
}

#[tokio::test]
async fn a23_forwarding_headers_of_peers_are_ignored() {
    let world = World::open().await;
    let call = ["x-forwarded-for", "forwarded", "x-real-ip"].into_iter().fold(
        Call::post("/api/token/"),
        |call, name| {
            call.header(
                http::HeaderName::from_static(name),
                "198.51.100.1, for=198.51.100.2, unknown, [::1]:80, \u{e9}",
            )
        },
    );
    world.send(call.json(&json!({ "username": "dana", "password": PASSWORD }))).await.pair();
    assert_eq!(world.sessions("dana").await[0].address.as_deref(), Some("203.0.113.9"));
}

#[tokio::test]
async fn sign_in_works_with_argon2() {
    let world = World::planned(Plan::with_argon2()).await;
    world.add_with("invited", None, false, None).await;
    world.hashes();
    let wrong = world.attempt("dana", "wrong password").await;
    for (name, password) in
        [("nobody", PASSWORD), ("invited", PASSWORD), ("dana", "correct horse battery staplf")]
    {
        assert_eq!(told(&world.attempt(name, password).await), told(&wrong), "{name}");
    }
    assert_eq!(world.hashes(), 4);
    let pair = world.sign_in("dana").await;
    assert_eq!(world.hashes(), 1);
    world.assert_live(&pair).await;
    assert_eq!(world.hashes(), 0, "only signing in costs a hash");
}

fn locked_until(secs: i64) -> AccountState {
    let at = quash_core::model::Timestamp::from_secs;
    AccountState::Locked { since: at(support::START), until: at(secs) }
}
