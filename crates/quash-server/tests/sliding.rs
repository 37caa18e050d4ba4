//! Sliding tokens: one token that gives access and renews itself, as in Simple JWT, within a session that
//! ends.

use crate::support;

use http::Method;
use quash_core::model::limits;
use quash_core::token::TokenType;
use serde_json::json;
use support::{Answer, Call, PASSWORD, Plan, World, claims, secs};

/// A site that accepts sliding tokens at guarded paths, and access tokens, too.
async fn world() -> World {
    let mut plan = Plan::default();
    plan.policy.tokens.accepted = vec![TokenType::Sliding, TokenType::Access];
    World::planned(plan).await
}

async fn obtain(world: &World, name: &str) -> String {
    let body = json!({ "username": name, "password": PASSWORD });
    token(&world.send(Call::post("/api/token/sliding/").json(&body)).await)
}

async fn exchange(world: &World, token: &str) -> Answer {
    world.send(Call::post("/api/token/sliding/refresh/").json(&json!({ "token": token }))).await
}

async fn log_out(world: &World, token: &str) -> Answer {
    world.send(Call::post("/api/logout/").bearer(token)).await
}

fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer}");
    let body = answer.json();
    assert_eq!(body.as_object().map(|body| body.len()), Some(1), "{answer}");
    body["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn sliding_tokens_give_access_and_renew_themselves() {
    let world = world().await;
    let first = obtain(&world, "dana").await;
    let said = claims(&first);
    assert_eq!((&said["token_type"], &said["user_id"]), (&json!("sliding"), &json!("dana")));
    let (iat, until) = (said["iat"].as_i64().expect("a time"), said["refresh_exp"].as_i64().expect("a time"));
    assert_eq!((said["exp"].as_i64(), until), (Some(iat + 300), iat + 86_400));
    assert_eq!(world.me(&first).await.status, 200);
    assert_eq!(world.verify(&first).await.brief(), "200 {}");
    world.wait(secs(200));
    let second = token(&exchange(&world, &first).await);
    let renewed = claims(&second);
    for same in ["jti", "sid", "refresh_exp", "user_id"] {
        assert_eq!(renewed[same], said[same], "{same}");
    }
    assert_eq!(renewed["exp"].as_i64(), Some(iat + 500));
    // Simple JWT changes the token in place: the earlier one stays valid until it expires.
    assert_eq!((world.me(&first).await.status, world.me(&second).await.status), (200, 200));
    world.wait(secs(101));
    insta::assert_snapshot!(exchange(&world, &first).await.brief(), @r#"401 {"detail":"Token is expired","code":"token_not_valid"}"#);
    assert_eq!((world.me(&first).await.status, world.me(&second).await.status), (401, 200));
    assert_eq!(world.sessions("dana").await.len(), 1);
}

#[tokio::test]
async fn sliding_tokens_renew_until_their_end() {
    let world = world().await;
    let mut token_now = obtain(&world, "dana").await;
    for _ in 0..(86_400 / 240 - 1) {
        world.wait(secs(240));
        token_now = token(&exchange(&world, &token_now).await);
    }
    world.wait(secs(240));
    // The last token is valid no longer than it can be exchanged.
    insta::assert_snapshot!(exchange(&world, &token_now).await.brief(), @r#"401 {"detail":"Token 'refresh_exp' claim has expired","code":"token_not_valid"}"#);
}

#[tokio::test]
async fn sliding_tokens_differ_from_other_types() {
    let world = World::open().await;
    let (pair, sliding) = (world.sign_in("noor").await, obtain(&world, "dana").await);
    insta::assert_snapshot!(world.me(&sliding).await.brief(), @r#"401 {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.refresh(&sliding).await.brief(), @r#"401 {"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.blacklist(&sliding).await.brief(), @r#"401 {"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(exchange(&world, &pair.refresh).await.brief(), @r#"401 {"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(exchange(&world, &pair.access).await.brief(), @r#"401 {"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(exchange(&world, "x").await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    world.assert_live(&pair).await;
    assert_eq!(exchange(&world, &sliding).await.status, 200);
}

#[tokio::test]
async fn sliding_tokens_log_out_by_header_alone() {
    let world = world().await;
    let (first, other) = (obtain(&world, "dana").await, obtain(&world, "dana").await);
    let second = token(&exchange(&world, &first).await);
    assert_eq!(log_out(&world, &first).await.brief(), "200 {}");
    insta::assert_snapshot!(exchange(&world, &second).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out"}"#);
    insta::assert_snapshot!(world.verify(&second).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out"}"#);
    insta::assert_snapshot!(world.me(&second).await.brief(), @r#"401 {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    assert_eq!(
        (
            exchange(&world, &first).await.status,
            world.verify(&first).await.status,
            world.me(&first).await.status
        ),
        (401, 401, 401)
    );
    insta::assert_snapshot!(log_out(&world, &second).await.brief(), @r#"401 {"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"SlidingToken","token_type":"sliding","message":"Token is blacklisted"},{"token_class":"AccessToken","token_type":"access","message":"Token has wrong type"}]}"#);
    assert_eq!((world.me(&other).await.status, exchange(&world, &other).await.status), (200, 200));
    // An expired token can still log out.
    world.wait(secs(301));
    assert_eq!(log_out(&world, &other).await.brief(), "200 {}");
    assert!(
        world
            .sessions("dana")
            .await
            .iter()
            .all(|session| !matches!(session.state, quash_core::model::SessionState::Live))
    );
}

#[tokio::test]
async fn sliding_log_outs_check_the_body_token() {
    let world = world().await;
    let (sliding, pair, noors) =
        (obtain(&world, "dana").await, world.sign_in("dana").await, world.sign_in("noor").await);
    insta::assert_snapshot!(world.log_out(&sliding, &noors.refresh).await.brief(), @r#"400 {"detail":"The access token and the refresh token belong to two accounts.","code":"tokens_of_two_accounts"}"#);
    world.assert_live(&noors).await;
    assert_eq!(world.me(&sliding).await.status, 200);
    assert_eq!(world.log_out(&sliding, &pair.refresh).await.brief(), "200 {}");
    world.assert_dead(&pair).await;
    assert_eq!(world.me(&sliding).await.status, 401);
}

#[tokio::test]
async fn stolen_signing_keys_cannot_forge_sliding_tokens() {
    let world = world().await;
    let pair = world.sign_in("dana").await;
    let until = claims(&pair.refresh)["exp"].clone();
    for replaced in [
        json!({ "token_type": "sliding", "refresh_exp": until }),
        json!({ "token_type": "sliding", "refresh_exp": until, "jti": "0".repeat(32) }),
        json!({ "token_type": "sliding" }),
    ] {
        let forged = world.forge(&pair.access, &replaced);
        assert_eq!(exchange(&world, &forged).await.status, 401, "{replaced}");
        assert_eq!(world.verify(&forged).await.status, 401, "{replaced}");
        assert_eq!(log_out(&world, &forged).await.status, 401, "{replaced}");
    }
    world.assert_live(&pair).await;
    let sliding = obtain(&world, "noor").await;
    let longer = world.forge(&sliding, &json!({ "refresh_exp": 4_000_000_000_i64 }));
    let exchanged = token(&exchange(&world, &longer).await);
    let session = &world.sessions("noor").await[0];
    assert!(
        claims(&exchanged)["refresh_exp"].as_i64() <= session.ends_at.map(|end| end.as_secs()),
        "the session's end holds"
    );
}

#[tokio::test]
async fn ending_sessions_ends_sliding_tokens() {
    let world = world().await;
    let (dana, noor) = (obtain(&world, "dana").await, obtain(&world, "noor").await);
    world.deactivate("dana").await;
    world.end_all("noor").await;
    insta::assert_snapshot!(exchange(&world, &dana).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"deactivated"}"#);
    insta::assert_snapshot!(exchange(&world, &noor).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out_everywhere"}"#);
    for dead in [&dana, &noor] {
        assert_eq!((world.me(dead).await.status, world.verify(dead).await.status), (401, 401));
    }
}

#[tokio::test]
async fn sliding_endpoints_match_the_others() {
    let world = world().await;
    for path in ["/api/token/sliding/", "/api/token/sliding/refresh/"] {
        assert_eq!(world.send(Call::of(Method::GET, path)).await.status, 405, "{path}");
        assert_eq!(world.send(Call::of(Method::OPTIONS, path)).await.status, 200, "{path}");
    }
    let missing = world.send(Call::post("/api/token/sliding/refresh/").json(&json!({}))).await;
    insta::assert_snapshot!(missing.brief(), @r#"400 {"token":["This field is required."]}"#);
    let long = exchange(&world, &"x".repeat(limits::TOKEN_BYTES + 1)).await;
    insta::assert_snapshot!(long.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    let wrong = world
        .send(Call::post("/api/token/sliding/").json(&json!({ "username": "dana", "password": "wrong one" })))
        .await;
    insta::assert_snapshot!(wrong.brief(), @r#"401 {"detail":"No active account found with the given credentials"}"#);
}
