//! A user's sessions: listed, and ended one by one, all but one, or all.

use crate::support;

use http::header::{AUTHORIZATION, USER_AGENT};
use quash_core::model::{AccountState, EndCause, Reason, Right, SessionPolicy, limits};
use serde_json::{Value, json};

use support::{Call, OWN_PATHS, PASSWORD, Plan, World, claims, secs, subject};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn sign_in_with(world: &World, user_agent: &str) -> support::Pair {
    let body = json!({ "username": "dana", "password": PASSWORD });
    world.send(Call::post("/api/token/").header(USER_AGENT, user_agent).json(&body)).await.pair()
}

fn sid(token: &str) -> String {
    claims(token)["sid"].as_str().expect("a session").to_owned()
}

#[tokio::test]
async fn session_lists_show_device_address_and_times() {
    let world = World::open().await;
    let first = sign_in_with(&world, FIREFOX).await;
    world.wait(secs(60));
    let second = world.sign_in("dana").await;
    world.sign_in("noor").await;
    world.wait(secs(60));
    let first = world.refresh(&first.refresh).await.pair();
    let answer = world.own("GET", "/v1/me/sessions", &second.access, &Value::Null).await;
    insta::assert_snapshot!(answer, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"sessions":[{"sid":"<id>","device":"Firefox on Linux","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","address":"203.0.113.9","created_at":"2027-01-15T08:00:00.000Z","last_used_at":"2027-01-15T08:02:00.000Z","expires_at":"2027-01-16T08:02:00.000Z","current":false,"ended":null},{"sid":"<id>","device":null,"user_agent":null,"address":"45.0.0.0","created_at":"2027-01-15T08:01:00.000Z","last_used_at":"2027-01-15T08:01:00.000Z","expires_at":"2027-01-16T08:01:00.000Z","current":true,"ended":null}],"next":null}
    "#);
    assert_eq!(
        world.listed(&first.access, "").await.iter().map(|seen| seen["current"].clone()).collect::<Vec<_>>(),
        [json!(true), json!(false)]
    );
}

#[tokio::test]
async fn clients_list_an_accounts_sessions() {
    let world = World::open().await;
    let secret = async |name, right| {
        let (_, secret) =
            world.service.add_client(name, [right].into_iter().collect(), None).await.expect("a client");
        secret.into_text().to_string()
    };
    let (site, other) = (secret("site", Right::Accounts).await, secret("other", Right::Revoke).await);
    let (first, second) = (sign_in_with(&world, FIREFOX).await, world.sign_in("dana").await);
    world.sign_in("noor").await;
    let list = async |of: &str, secret: &str| {
        world.send(Call::get(&format!("/admin/v1/accounts/{of}")).bearer(secret)).await
    };
    let dana = format!("{}/sessions", subject("dana").as_str());
    let own = world.listed(&first.access, "").await;
    let mut shown = list(&dana, &site).await.json();
    assert_eq!(shown["sessions"][0]["current"], false);
    shown["sessions"][0]["current"] = true.into();
    assert_eq!(shown, json!({ "sessions": own, "next": null }));
    world.log_out(&second.access, &second.refresh).await;
    let ended = list(&format!("{dana}?ended=true&limit=1"), &site).await.json();
    assert_eq!(ended["sessions"][0]["ended"]["reason"], "log_out");
    let code = |answer: support::Answer| answer.json()["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!(code(list(&dana, &other).await), "right_required");
    assert_eq!(code(list(&dana, &first.access).await), "credential_not_valid");
    assert_eq!(code(list(&format!("{dana}?limit=0"), &site).await), "invalid_request");
    for unknown in ["nobody/sessions", "batch/sessions", "%00/sessions", "%ff/sessions", "..%2F/sessions"] {
        assert_eq!(code(list(unknown, &site).await), "not_found", "{unknown}");
    }
}

#[tokio::test]
async fn session_lists_are_paginated() {
    let world = World::open().await;
    let mut access = String::new();
    for _ in 0..5 {
        access = world.sign_in("dana").await.access;
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page =
            world.own("GET", &format!("/v1/me/sessions?limit=2{after}"), &access, &Value::Null).await.json();
        let sessions = page["sessions"].as_array().expect("a list");
        assert!(sessions.len() <= 2);
        seen.extend(sessions.iter().map(|session| session["sid"].as_str().expect("an id").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let kept: Vec<_> = world.sessions("dana").await.iter().map(|session| session.id.to_string()).collect();
    assert_eq!(seen, kept);
    for query in [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=9223372036854775808",
        "after=x",
        "ended=yes",
        "after=1%27%20OR%201=1",
    ] {
        let refused = world.own("GET", &format!("/v1/me/sessions?{query}"), &access, &Value::Null).await;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (400, Some("invalid_request")),
            "{query}"
        );
    }
    assert_eq!(world.listed(&access, "?limit=200&other=1").await.len(), 5);
}

#[tokio::test]
async fn filtered_pages_contain_a_next_cursor() {
    let world = World::open().await;
    for _ in 0..12 {
        let pair = world.sign_in("dana").await;
        world.blacklist(&pair.refresh).await;
        world.wait(secs(1));
    }
    let live = world.sign_in("dana").await;
    let page = world.own("GET", "/v1/me/sessions?limit=2", &live.access, &Value::Null).await.json();
    assert_eq!(page["sessions"], json!([]), "it has read enough");
    let next = page["next"].as_str().expect("there is more");
    assert_eq!(world.listed(&live.access, &format!("?limit=2&after={next}")).await.len(), 1);
}

#[tokio::test]
async fn ended_sessions_list_reason_and_time() {
    let mut plan = Plan::default();
    plan.policy.sessions = SessionPolicy { max_per_account: 3, ..SessionPolicy::default() };
    let world = World::planned(plan).await;
    let mut told = Vec::new();
    let logged_out = world.sign_in("dana").await;
    world.log_out(&logged_out.access, &logged_out.refresh).await;
    let reused = world.sign_in("dana").await;
    world.refresh(&reused.refresh).await.pair();
    world.wait(secs(31));
    world.refresh(&reused.refresh).await;
    for _ in 0..4 {
        world.wait(secs(1));
        world.sign_in("dana").await;
    }
    let causes = [
        EndCause::LogOutEverywhere,
        EndCause::PasswordReset,
        EndCause::PasswordSet,
        EndCause::EmailChanged,
        EndCause::Locked,
        EndCause::AccountRevoked,
    ];
    for cause in causes {
        world.wait(secs(1));
        world
            .service
            .end_account(&support::subject("dana"), cause, quash_core::model::Actor::Operator)
            .await
            .expect("an end");
        world.sign_in("dana").await;
    }
    world.wait(secs(1));
    world.deactivate("dana").await;
    world.put("dana", AccountState::Active).await;
    world.sign_in("dana").await;
    world.wait(secs(1));
    world.service.end_everything(Reason::Revoked, quash_core::model::Actor::Operator).await.expect("an end");
    let (this, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    world.wait(secs(1));
    let this = world.own("POST", "/v1/me/sessions/end-others", &this.access, &Value::Null).await.pair();
    assert_eq!(world.me(&other.access).await.status, 401);
    // The log forgets, the audit doesn't.
    let expired = world.sign_in("dana").await;
    for seen in world.listed(&this.access, "?ended=true").await {
        let since = seen["created_at"].as_str().expect("a time").replace("2027-01-15T08:", "");
        told.push(format!("{since} {}", seen["ended"]));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    00:00.000Z {"reason":"log_out","at":"2027-01-15T08:00:00.000Z","by":"owner"}
    00:00.000Z {"reason":"reuse","at":"2027-01-15T08:00:31.000Z","by":"rule"}
    00:32.000Z {"reason":"over_limit","at":"2027-01-15T08:00:35.000Z","by":"rule"}
    00:33.000Z {"reason":"log_out_everywhere","at":"2027-01-15T08:00:36.000Z","by":"operator"}
    00:34.000Z {"reason":"log_out_everywhere","at":"2027-01-15T08:00:36.000Z","by":"operator"}
    00:35.000Z {"reason":"log_out_everywhere","at":"2027-01-15T08:00:36.000Z","by":"operator"}
    00:36.000Z {"reason":"password_reset","at":"2027-01-15T08:00:37.000Z","by":"operator"}
    00:37.000Z {"reason":"password_set","at":"2027-01-15T08:00:38.000Z","by":"operator"}
    00:38.000Z {"reason":"email_changed","at":"2027-01-15T08:00:39.000Z","by":"operator"}
    00:39.000Z {"reason":"locked","at":"2027-01-15T08:00:40.000Z","by":"operator"}
    00:40.000Z {"reason":"revoked","at":"2027-01-15T08:00:41.000Z","by":"operator"}
    00:41.000Z {"reason":"deactivated","at":"2027-01-15T08:00:42.000Z","by":"operator"}
    00:42.000Z {"reason":"revoked","at":"2027-01-15T08:00:43.000Z","by":"operator"}
    00:43.000Z {"reason":"log_out_everywhere","at":"2027-01-15T08:00:44.000Z","by":"owner"}
    "#);
    assert_eq!(world.listed(&this.access, "").await.len(), 2);
    world.wait(secs(80_000));
    let this = world.refresh(&this.refresh).await.pair();
    world.wait(secs(6_400));
    let this = world.refresh(&this.refresh).await.pair();
    let over = world.listed(&this.access, "?ended=true").await;
    let last = over.iter().find(|seen| seen["sid"] == json!(sid(&expired.access))).expect("it is over");
    assert_eq!(last["ended"], json!({ "reason": "expired", "at": "2027-01-16T08:00:44.000Z", "by": null }));
}

#[tokio::test]
async fn ending_one_session_is_idempotent() {
    let world = World::open().await;
    let (this, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let path = format!("/v1/me/sessions/{}", sid(&other.access));
    for _ in 0..2 {
        let ended = world.own("DELETE", &path, &this.access, &Value::Null).await;
        assert_eq!((ended.status, ended.header("cache-control")), (204, Some("no-store")));
    }
    assert_eq!(world.refresh(&other.refresh).await.reason().as_deref(), Some("ended"));
    world.assert_dead(&other).await;
    world.assert_live(&this).await;
    let path = format!("/v1/me/sessions/{}", sid(&this.access));
    assert_eq!(world.own("DELETE", &path, &this.access, &Value::Null).await.status, 204, "this one, too");
    world.assert_dead(&this).await;
}

#[tokio::test]
async fn a54_users_cannot_end_others_sessions() {
    let world = World::open().await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let theirs = sid(&noor.access);
    let next = format!("{:032x}", u128::from_str_radix(&theirs, 16).expect("an id") + 1);
    for id in
        [&theirs[..], &next, &theirs.to_uppercase(), "1", "0", "..%2f1", "%ff", "end-other", &"0".repeat(32)]
    {
        let answer = world.own("DELETE", &format!("/v1/me/sessions/{id}"), &dana.access, &Value::Null).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{id}");
    }
    world.assert_live(&noor).await;
    world.assert_live(&dana).await;
}

#[tokio::test]
async fn ending_others_gives_the_session_new_tokens() {
    let world = World::open().await;
    let (this, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let answer = world.own("POST", "/v1/me/sessions/end-others", &this.access, &Value::Null).await;
    insta::assert_snapshot!(answer, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"access":"<access>","refresh":"<refresh>"}
    "#);
    let new = answer.pair();
    world.assert_dead(&other).await;
    assert_eq!(
        (world.me(&this.access).await.status, world.refresh(&this.refresh).await.status),
        (401, 401),
        "the old pair is dead"
    );
    world.assert_live(&new).await;
    assert_eq!(sid(&new.access), sid(&this.access));
    assert_eq!(world.refresh(&other.refresh).await.reason().as_deref(), Some("log_out_everywhere"));
    world.assert_live(&world.refresh(&new.refresh).await.pair()).await;
}

#[tokio::test]
async fn ending_no_other_session_writes_nothing() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let other = world.sign_in("dana").await;
    assert_eq!(world.log_out(&other.access, &other.refresh).await.status, 200);
    let written = async || {
        (world.head().await, world.service.audit(0, None, limits::PAGE).await.expect("the audit").len())
    };
    let before = written().await;
    let mut this = first.clone();
    for _ in 0..3 {
        this = world.own("POST", "/v1/me/sessions/end-others", &this.access, &Value::Null).await.pair();
    }
    assert_eq!(written().await, before);
    world.assert_live(&this).await;
    assert_eq!(world.me(&first.access).await.status, 200, "it isn't revoked");
    world.wait(secs(31));
    assert_eq!(world.refresh(&first.refresh).await.reason().as_deref(), Some("reuse"), "as after a refresh");
    // A session whose refresh token has just expired may have a live access token.
    let idle = world.sign_in("dana").await;
    world.wait(secs(86_400));
    let this = world.sign_in("dana").await;
    let before = written().await;
    world.own("POST", "/v1/me/sessions/end-others", &this.access, &Value::Null).await.pair();
    assert_ne!(written().await, before, "{}", sid(&idle.access));
}

#[tokio::test]
async fn log_entries_per_account_are_limited() {
    let world = World::open().await;
    let kept = world.sign_in("dana").await;
    let mut entries = 1;
    while entries < limits::OWN_ENTRIES {
        let pair = world.sign_in("dana").await;
        assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200);
        entries += 2;
    }
    let refused = world.attempt("dana", PASSWORD).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")), "{refused}");
    let body = json!({ "email": "new@example.org", "password": PASSWORD });
    assert_eq!(world.own("POST", "/v1/me/email", &kept.access, &body).await.status, 429);
    world.sign_in("noor").await;
    world.end_all("noor").await;
    assert_eq!(world.log_out(&kept.access, &kept.refresh).await.status, 200, "never refused");
    world.wait(secs(3));
    world.sign_in("dana").await;
    world
        .service
        .end_account(&support::subject("dana"), EndCause::AccountRevoked, quash_core::model::Actor::Operator)
        .await
        .expect("an end");
}

#[tokio::test]
async fn ending_all_ends_every_session() {
    let world = World::open().await;
    let (this, other, noor) =
        (world.sign_in("dana").await, world.sign_in("dana").await, world.sign_in("noor").await);
    assert_eq!(world.own("POST", "/v1/me/sessions/end-all", &this.access, &Value::Null).await.status, 204);
    world.assert_dead(&this).await;
    world.assert_dead(&other).await;
    world.assert_live(&noor).await;
    assert_eq!(
        world.own("POST", "/v1/me/sessions/end-all", &noor.access, &json!({ "all": true })).await.status,
        400
    );
    world.assert_live(&noor).await;
}

#[tokio::test]
async fn ending_others_renews_the_sliding_token() {
    let mut plan = Plan::default();
    plan.policy.tokens.accepted = vec![quash_core::token::TokenType::Sliding];
    let world = World::planned(plan).await;
    let sign_in = async || {
        let body = json!({ "username": "dana", "password": PASSWORD });
        let answer = world.send(Call::post("/api/token/sliding/").json(&body)).await;
        answer.json()["token"].as_str().expect("a token").to_owned()
    };
    let (this, other) = (sign_in().await, sign_in().await);
    world.wait(secs(60));
    let forged = world.forge(&this, &json!({ "jti": "0".repeat(32) }));
    assert_eq!(
        world.own("POST", "/v1/me/sessions/end-others", &forged, &Value::Null).await.status,
        401,
        "not its session's own"
    );
    let answer = world.own("POST", "/v1/me/sessions/end-others", &this, &Value::Null).await;
    let new = answer.json()["token"].as_str().expect("a sliding token").to_owned();
    assert_eq!(
        (world.me(&this).await.status, world.me(&other).await.status, world.me(&new).await.status),
        (401, 401, 200)
    );
    assert_eq!(
        claims(&new)["refresh_exp"],
        claims(&this)["refresh_exp"],
        "it can be exchanged no longer than before"
    );
    assert_ne!(claims(&new)["jti"], claims(&this)["jti"]);
    let exchange = async |token: &str| {
        world.send(Call::post("/api/token/sliding/refresh/").json(&json!({ "token": token }))).await.status
    };
    assert_eq!((exchange(&this).await, exchange(&new).await), (401, 200));
}

#[tokio::test]
async fn session_endpoints_require_a_live_token() {
    for (method, path, body) in OWN_PATHS {
        let world = World::open().await;
        let revoked = world.sign_in("dana").await;
        world.log_out(&revoked.access, &revoked.refresh).await;
        let expired = world.sign_in("dana").await;
        world.wait(secs(301));
        let live = world.sign_in("dana").await;
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("JSON") };
        let none = Call::of(method.parse().expect("a method"), path);
        let none = if body.is_null() { none } else { none.json(&body) };
        assert_eq!(world.send(none.clone()).await.status, 401, "{method} {path}");
        assert_eq!(world.send(none.header(AUTHORIZATION, "Bearer a b")).await.status, 401, "{method} {path}");
        for token in ["garbage", &live.refresh, &expired.access, &revoked.access] {
            assert_eq!(world.own(method, path, token, &body).await.status, 401, "{method} {path}");
        }
        let wanted = if path.ends_with("0000") { 404 } else { 200 };
        let answer = world.own(method, path, &live.access, &body).await;
        assert!(answer.status == wanted || answer.status == 204, "{method} {path}: {answer}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
        let other =
            Call::of("PUT".parse().expect("a method"), path).bearer(&world.sign_in("noor").await.access);
        assert_eq!(world.send(other).await.status, 405, "{method} {path}");
    }
}
