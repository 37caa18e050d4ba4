//! Revocations by an operator's tool: what each would end, and the ends.

use std::time::Duration;

use http::HeaderName;
use quash_core::model::{Namespace, NamespaceClaims, Right};
use serde_json::{Value, json};

use super::support::{Call, Plan, World, secs};
use super::{client, field, post};

const REVOCATIONS: &str = "/admin/v1/revocations";
const PREFER: HeaderName = HeaderName::from_static("prefer");

async fn world() -> (World, String) {
    let mut plan = Plan::default();
    plan.policy.tokens.namespaces = vec![Namespace {
        name: "shop".into(),
        max_lifetime: Duration::from_secs(3600),
        accepted: vec!["access".into()],
        claims: NamespaceClaims::default(),
    }];
    let world = World::planned(plan).await;
    let secret = client(&world, "admin", &[Right::Revoke, Right::Keys]).await;
    (world, secret)
}

async fn revoke(world: &World, secret: &str, body: &Value) -> Value {
    let answer = post(world, secret, REVOCATIONS, body).await;
    assert_eq!(answer.status, 200, "{body} {answer}");
    answer.json()
}

#[tokio::test]
async fn dry_runs_tell_what_would_end_and_end_nothing() {
    let (world, secret) = world().await;
    let (one, other, noor) =
        (world.sign_in("dana").await, world.sign_in("dana").await, world.sign_in("noor").await);
    let sid = world.sessions("dana").await[0].id.to_string();
    let kid = world.service.keys().await.expect("keys").own[0].kid.to_string();
    let before = world.head().await;
    for (target, sessions, accounts) in [
        (json!({ "session": sid }), json!(1), json!(1)),
        (json!({ "account": "dana" }), json!(2), json!(1)),
        (json!({ "token": one.access }), json!(1), json!(1)),
        (json!({ "token": one.refresh }), json!(1), json!(1)),
        (json!({ "key": kid }), json!(0), json!(0)),
        (json!({ "key": kid, "end_sessions": true }), json!(3), json!(2)),
        (json!({ "namespace": "shop" }), Value::Null, Value::Null),
        (json!({ "everything": true }), json!(3), json!(2)),
    ] {
        let mut body = target.clone();
        body["dry_run"] = true.into();
        let told = revoke(&world, &secret, &body).await;
        assert_eq!((&told["sessions"], &told["accounts"]), (&sessions, &accounts), "{target}");
        assert_eq!((&told["seq"], &told["dry_run"]), (&Value::Null, &json!(true)), "{target}");
    }
    assert_eq!(world.head().await, before);
    for pair in [one, other, noor] {
        world.assert_live(&pair).await;
    }
}

#[tokio::test]
async fn each_target_is_revoked() {
    let (world, secret) = world().await;
    let noor = world.sign_in("noor").await;
    let pair = world.sign_in("dana").await;
    let sid = world.sessions("dana").await[0].id.to_string();
    let told = revoke(&world, &secret, &json!({ "session": sid, "reason": "log_out" })).await;
    assert_eq!(
        (&told["scope"], &told["sessions"], told["seq"].is_u64()),
        (&json!("session"), &json!(1), true)
    );
    world.assert_dead(&pair).await;

    let pair = world.sign_in("dana").await;
    assert_eq!(revoke(&world, &secret, &json!({ "token": pair.access })).await["scope"], "token");
    world.assert_dead(&pair).await;

    let pair = world.sign_in("dana").await;
    assert_eq!(revoke(&world, &secret, &json!({ "account": "dana" })).await["sessions"], 1);
    world.assert_dead(&pair).await;
    world.assert_live(&noor).await;

    assert!(revoke(&world, &secret, &json!({ "namespace": "shop" })).await["seq"].is_u64());
    world.assert_live(&noor).await;

    let kid = world.service.keys().await.expect("keys").own[0].kid.to_string();
    assert!(revoke(&world, &secret, &json!({ "key": kid })).await["seq"].is_u64());
    assert_eq!(world.me(&noor.access).await.status, 401);

    let noor = world.sign_in("noor").await;
    revoke(&world, &secret, &json!({ "everything": true })).await;
    world.assert_dead(&noor).await;
}

#[tokio::test]
async fn a_revoked_target_is_a_conflict() {
    let (world, secret) = world().await;
    let pair = world.sign_in("dana").await;
    let sid = world.sessions("dana").await[0].id.to_string();
    let kid = world.service.keys().await.expect("keys").own[0].kid.to_string();
    for body in [json!({ "session": sid }), json!({ "key": kid })] {
        revoke(&world, &secret, &body).await;
        for dry_run in [false, true] {
            let mut body = body.clone();
            body["dry_run"] = dry_run.into();
            assert_eq!(post(&world, &secret, REVOCATIONS, &body).await.status, 409, "{body}");
        }
    }
    assert_eq!(post(&world, &secret, REVOCATIONS, &json!({ "token": pair.refresh })).await.status, 409);
}

#[tokio::test]
async fn tokens_of_an_expired_session_are_revoked() {
    let world = World::planned(Plan::rotating(false, true)).await;
    let secret = client(&world, "admin", &[Right::Revoke]).await;
    let pair = world.sign_in("dana").await;
    world.wait(secs(86_399));
    let refreshed = world.refresh(&pair.refresh).await.json();
    let access = refreshed["access"].as_str().expect("a token");
    world.wait(secs(2));
    assert_eq!(world.refresh(&pair.refresh).await.status, 401, "the session has expired");
    assert_eq!(world.me(access).await.status, 200);
    let told = revoke(&world, &secret, &json!({ "token": access, "dry_run": true })).await;
    assert_eq!((&told["sessions"], world.me(access).await.status), (&json!(0), 200));
    assert!(revoke(&world, &secret, &json!({ "token": access })).await["seq"].is_u64());
    assert_eq!(world.me(access).await.status, 401);
    assert_eq!(post(&world, &secret, REVOCATIONS, &json!({ "token": access })).await.status, 409);
}

#[tokio::test]
async fn unknown_targets_and_wrong_bodies_are_refused() {
    let (world, secret) = world().await;
    for body in [
        json!({ "session": "00000000000000000000000000000000" }),
        json!({ "account": "nobody" }),
        json!({ "token": "garbage" }),
        json!({ "key": "unknown" }),
    ] {
        for dry_run in [false, true] {
            let mut body = body.clone();
            body["dry_run"] = dry_run.into();
            let answer = post(&world, &secret, REVOCATIONS, &body).await;
            assert_eq!(answer.status, 404, "{body} {answer}");
        }
    }
    for (body, wrong) in [
        (json!({}), "non_field_errors"),
        (json!({ "session": "x", "account": "dana" }), "non_field_errors"),
        (json!({ "session": "x" }), "session"),
        (json!({ "account": "" }), "account"),
        (json!({ "account": "dana", "reason": "deleted" }), "reason"),
        (json!({ "everything": false }), "everything"),
        (json!({ "everything": true, "reason": "revoked" }), "reason"),
        (json!({ "everything": true, "dry_run": "yes" }), "dry_run"),
        (json!({ "account": "dana", "end_sessions": true }), "end_sessions"),
        (json!({ "namespace": "wiki" }), "namespace"),
    ] {
        assert_eq!(field(&post(&world, &secret, REVOCATIONS, &body).await), wrong, "{body}");
    }
    assert_eq!(post(&world, &secret, REVOCATIONS, &json!({ "sid": "x" })).await.status, 400);
}

#[tokio::test]
async fn revoking_a_key_needs_both_rights() {
    let (world, _) = world().await;
    let kid = world.service.keys().await.expect("keys").own[0].kid.to_string();
    for (name, rights, status) in [
        ("one", vec![Right::Revoke], 403),
        ("other", vec![Right::Keys], 403),
        ("both", vec![Right::Revoke, Right::Keys], 200),
    ] {
        let secret = client(&world, name, &rights).await;
        assert_eq!(post(&world, &secret, REVOCATIONS, &json!({ "key": kid })).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn the_response_waits_for_verifiers() {
    let (world, secret) = world().await;
    let call = Call::post(REVOCATIONS).bearer(&secret).json(&json!({ "account": "dana" }));
    let answer = world.send(call.header(PREFER, "wait=effective")).await;
    assert_eq!(answer.header("preference-applied"), Some("wait=effective"), "{answer}");
    assert_eq!(answer.json()["effective"]["seq"], answer.json()["seq"]);
}
