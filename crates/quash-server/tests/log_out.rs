//! Log-out and blacklisting: the tokens that end, those that don't, and that none comes back.

use crate::support;

use std::collections::BTreeSet;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use quash_core::model::{Actor, EndCause, Reason, ScopeKind};
use quash_core::token::TokenType;
use serde_json::json;

use support::{Call, PASSWORD, Plan, World, kinds, secs, subject};

#[tokio::test]
async fn a48_requests_after_log_out_are_refused() {
    let world = World::open().await;
    let (pair, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    insta::assert_snapshot!(world.log_out(&pair.access, &pair.refresh).await, @r#"
    200
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {}
    "#);
    insta::assert_snapshot!(world.me(&pair.access).await.brief(), @r#"401 {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.verify(&pair.access).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out"}"#);
    insta::assert_snapshot!(world.verify(&pair.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out"}"#);
    world.assert_dead(&pair).await;
    world.assert_live(&other).await;
}

#[tokio::test]
async fn a53_second_log_out_gets_simple_jwts_401() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200);
    insta::assert_snapshot!(world.log_out(&pair.access, &pair.refresh).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out"}
    "#);
    insta::assert_snapshot!(world.blacklist(&pair.refresh).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out"}
    "#);
    assert_eq!(kinds(&*world.store).await, [ScopeKind::Session], "it ended once");
}

#[tokio::test]
async fn a53_expired_access_tokens_log_out() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.wait(secs(301));
    assert_eq!(world.me(&pair.access).await.status, 401);
    assert_eq!(world.log_out(&pair.access, &pair.refresh).await.brief(), "200 {}");
    world.assert_dead(&pair).await;
}

#[tokio::test]
async fn a53_expired_refresh_tokens_do_not_log_out() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.wait(secs(86_400));
    insta::assert_snapshot!(world.log_out(&pair.access, &pair.refresh).await.brief(), @r#"401 {"detail":"Token is expired","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.blacklist(&pair.refresh).await.brief(), @r#"401 {"detail":"Token is expired","code":"token_not_valid"}"#);
}

#[tokio::test]
async fn a53_tokens_of_two_accounts_end_nothing() {
    let world = World::open().await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    insta::assert_snapshot!(world.log_out(&dana.access, &noor.refresh).await, @r#"
    400
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"detail":"The access token and the refresh token belong to two accounts.","code":"tokens_of_two_accounts"}
    "#);
    assert_eq!(world.log_out(&noor.access, &dana.refresh).await.status, 400);
    world.assert_live(&dana).await;
    world.assert_live(&noor).await;
    assert_eq!(kinds(&*world.store).await, []);
}

#[tokio::test]
async fn a53_two_sessions_of_one_account_both_end() {
    let world = World::open().await;
    let (one, two, three) =
        (world.sign_in("dana").await, world.sign_in("dana").await, world.sign_in("dana").await);
    assert_eq!(world.log_out(&one.access, &two.refresh).await.status, 200);
    assert_eq!(kinds(&*world.store).await, [ScopeKind::Session, ScopeKind::Session]);
    world.assert_dead(&one).await;
    world.assert_dead(&two).await;
    world.assert_live(&three).await;
}

#[tokio::test]
async fn a53_ended_access_tokens_still_log_out_refresh_tokens() {
    let world = World::open().await;
    let (one, two) = (world.sign_in("dana").await, world.sign_in("dana").await);
    assert_eq!(world.log_out(&one.access, &one.refresh).await.status, 200);
    assert_eq!(world.log_out(&one.access, &two.refresh).await.status, 200);
    world.assert_dead(&two).await;
}

#[tokio::test]
async fn a53_tokens_of_a_deactivated_account_are_refused() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.deactivate("dana").await;
    insta::assert_snapshot!(world.log_out(&pair.access, &pair.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"deactivated"}"#);
    assert_eq!(world.blacklist(&pair.refresh).await.status, 401);
}

#[tokio::test]
async fn every_genuine_generation_logs_out() {
    for spent in 0..3 {
        let world = World::open().await;
        let mut pairs = vec![world.sign_in("dana").await];
        for _ in 0..2 {
            pairs.push(world.refresh(&pairs[pairs.len() - 1].refresh).await.pair());
            world.wait(secs(60));
        }
        assert_eq!(world.blacklist(&pairs[spent].refresh).await.brief(), "200 {}");
        for pair in &pairs {
            world.assert_dead(pair).await;
        }
        assert_eq!(kinds(&*world.store).await, [ScopeKind::Session], "a log-out isn't a reuse");
    }
}

#[tokio::test]
async fn log_out_requires_both_tokens() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let body = json!({ "refresh": pair.refresh });
    insta::assert_snapshot!(world.send(Call::post("/api/logout/").json(&body)).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Authentication credentials were not provided."}
    "#);
    insta::assert_snapshot!(world.send(Call::post("/api/logout/").json(&body).header(AUTHORIZATION, "Bearer")).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}
    "#);
    insta::assert_snapshot!(world.send(Call::post("/api/logout/").json(&body).bearer("garbage")).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is invalid"}]}
    "#);
    insta::assert_snapshot!(world.send(Call::post("/api/logout/").json(&body).bearer(&pair.refresh)).await.brief(), @r#"401 {"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token has wrong type"}]}"#);
    insta::assert_snapshot!(world.send(Call::post("/api/logout/").bearer(&pair.access)).await.brief(), @r#"400 {"refresh":["This field is required."]}"#);
    insta::assert_snapshot!(world.log_out(&pair.access, &pair.access).await.brief(), @r#"401 {"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.log_out(&pair.access, "garbage").await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn logged_out_sliding_tokens_report_their_type() {
    let mut plan = Plan::default();
    plan.policy.tokens.accepted = vec![TokenType::Access, TokenType::Sliding];
    let world = World::planned(plan).await;
    let signed_in = world
        .send(Call::post("/api/token/sliding/").json(&json!({ "username": "dana", "password": PASSWORD })))
        .await;
    let sliding = signed_in.json()["token"].as_str().expect("a token").to_owned();
    let log_out = Call::post("/api/logout/").bearer(&sliding);
    assert_eq!(world.send(log_out.clone()).await.brief(), "200 {}");
    insta::assert_snapshot!(world.send(log_out).await.brief(), @r#"401 {"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token has wrong type"},{"token_class":"SlidingToken","token_type":"sliding","message":"Token is blacklisted"}]}"#);
    assert_eq!(world.me(&sliding).await.status, 401);
}

#[tokio::test]
async fn a79_access_tokens_come_only_from_the_header() {
    let world = World::open().await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let body = json!({ "refresh": noor.refresh, "access": noor.access, "token": noor.access });
    let call = Call::post("/api/logout/")
        .json(&body)
        .header(COOKIE, format!("access={0}; refresh={0}", noor.access));
    assert_eq!(world.send(call.clone()).await.status, 401);
    assert_eq!(world.send(call.clone().bearer(&dana.access)).await.status, 400);
    assert_eq!(world.send(call.clone().bearer(&dana.access).bearer(&noor.access)).await.status, 401);
    world.assert_live(&noor).await;
    assert_eq!(world.send(call.bearer(&noor.access)).await.status, 200);
}

#[tokio::test]
async fn blacklisting_ignores_the_authorization_header() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let call =
        Call::post("/api/token/blacklist/").json(&json!({ "refresh": pair.refresh })).bearer("garbage");
    insta::assert_snapshot!(world.send(call).await, @r#"
    200
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {}
    "#);
    world.assert_dead(&pair).await;
}

#[tokio::test]
async fn verifying_has_no_side_effect() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let second = world.refresh(&first.refresh).await.pair();
    world.wait(secs(120));
    let mut told = BTreeSet::new();
    for _ in 0..3 {
        told.insert(world.verify(&first.refresh).await.brief());
        assert_eq!(world.verify(&second.refresh).await.brief(), "200 {}");
        assert_eq!(world.verify(&second.access).await.brief(), "200 {}");
    }
    insta::assert_snapshot!(told.into_iter().collect::<String>(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    assert_eq!(kinds(&*world.store).await, []);
    insta::assert_snapshot!(world.verify("a.b.c").await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
}

#[tokio::test]
async fn a54_operators_end_one_session_with_a_reason() {
    let world = World::open().await;
    let (one, two) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let id = world.sessions("dana").await[0].id;
    world.service.end_session(id, Reason::Ended, Actor::Operator).await.expect("an end");
    insta::assert_snapshot!(world.refresh(&one.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"ended"}"#);
    world.assert_dead(&one).await;
    world.assert_live(&two).await;
    assert!(world.service.end_session(id, Reason::Ended, Actor::Operator).await.is_err());
}

#[tokio::test]
async fn a40_watermarks_give_their_reason() {
    let world = World::open().await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    world
        .service
        .end_account(&subject("dana"), EndCause::PasswordReset, Actor::Operator)
        .await
        .expect("an end");
    insta::assert_snapshot!(world.refresh(&dana.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"password_reset"}"#);
    insta::assert_snapshot!(world.log_out(&dana.access, &dana.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"password_reset"}"#);
    world.assert_live(&noor).await;
    world.service.end_everything(Reason::Revoked, Actor::Operator).await.expect("an end");
    insta::assert_snapshot!(world.verify(&noor.access).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"revoked"}"#);
    world.assert_dead(&noor).await;
    insta::assert_snapshot!(world.refresh(&dana.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"password_reset"}"#);
}

#[tokio::test]
async fn method_override_headers_are_ignored() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let call =
            Call::get("/api/logout/").header(HeaderName::from_static(name), "POST").bearer(&pair.access);
        assert_eq!(world.send(call.json(&json!({ "refresh": pair.refresh }))).await.status, 405);
    }
    world.assert_live(&pair).await;
}
