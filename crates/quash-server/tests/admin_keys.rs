//! `/admin/v1/keys`: a client lists, rotates and revokes the signing keys.

use crate::support;

use http::header::HeaderName;
use quash_core::model::Right;
use serde_json::{Value, json};
use support::{Answer, Call, PASSWORD, World};

use super::admin::secret;

async fn world() -> (World, String) {
    let world = World::open().await;
    let secret = secret(&world, "ops", &[Right::Keys, Right::Read, Right::Audit]).await;
    (world, secret)
}

async fn keys(world: &World, secret: &str) -> Vec<Value> {
    let answer = world.send(Call::get("/admin/v1/keys").bearer(secret)).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["items"].as_array().expect("a list").clone()
}

async fn post(world: &World, secret: &str, path: &str, body: &Value) -> Answer {
    world.send(Call::post(&format!("/admin/v1/keys/{path}")).json(body).bearer(secret)).await
}

fn states(keys: &[Value]) -> Vec<&str> {
    keys.iter().map(|key| key["state"].as_str().expect("a state")).collect()
}

#[tokio::test]
async fn keys_rotate_for_a_client() {
    let (world, ops) = world().await;
    let before = keys(&world, &ops).await;
    assert_eq!((states(&before), &before[0]["source"]), (vec!["current"], &json!("made")));
    let rotated = world.send(Call::post("/admin/v1/keys/rotate").bearer(&ops)).await;
    assert_eq!((rotated.status, &rotated.json()["state"]), (200, &json!("next")));
    assert_eq!(states(&keys(&world, &ops).await), ["current", "next"]);
    let now = post(&world, &ops, "rotate", &json!({ "now": true })).await.json();
    assert_eq!(now, json!({ "kid": rotated.json()["kid"], "state": "current" }));
    assert_eq!(states(&keys(&world, &ops).await), ["retiring", "current"]);
    let audit = world.send(Call::get("/admin/v1/audit?actor=client:ops").bearer(&ops)).await.json();
    let events: Vec<_> =
        audit["items"].as_array().expect("a list").iter().map(|entry| &entry["event"]).collect();
    assert_eq!(events, ["key_promoted", "key_added"]);
    for wrong in [json!({ "now": 1 }), json!({ "later": true }), json!([])] {
        assert_eq!(post(&world, &ops, "rotate", &wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn revoked_keys_end_their_tokens() {
    let (world, ops) = world().await;
    let access = world.attempt("dana", PASSWORD).await.pair().access;
    let kid = keys(&world, &ops).await[0]["kid"].as_str().expect("a key").to_owned();
    let me = async || world.send(Call::get("/v1/me").bearer(&access)).await.status;
    assert_eq!(me().await, 200);
    let revoke = Call::post(&format!("/admin/v1/keys/{kid}/revoke"))
        .header(HeaderName::from_static("idempotency-key"), "one")
        .bearer(&ops);
    let revoked = world.send(revoke.clone()).await;
    assert_eq!(revoked.status, 200, "{revoked}");
    assert!(revoked.json()["seq"].is_u64() && revoked.json()["signs"] != json!(kid), "{revoked}");
    assert_eq!(me().await, 401);
    assert_eq!(world.send(revoke).await.json(), revoked.json());
    let again = post(&world, &ops, &format!("{kid}/revoke"), &json!({})).await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("key_not_changed")));
    assert_eq!(states(&keys(&world, &ops).await), ["revoked", "current"]);
    for unknown in ["none/revoke", "%20/revoke", "%FF/revoke"] {
        assert_eq!(post(&world, &ops, unknown, &json!({})).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn sessions_end_with_a_revoked_key_on_request() {
    let (world, keys_alone) = world().await;
    let ops = secret(&world, "both", &[Right::Keys, Right::Revoke, Right::Read]).await;
    let refresh = world.attempt("dana", PASSWORD).await.pair().refresh;
    let kid = keys(&world, &ops).await[0]["kid"].as_str().expect("a key").to_owned();
    let body = json!({ "end_sessions": true });
    let refused = post(&world, &keys_alone, &format!("{kid}/revoke"), &body).await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("right_required")));
    let revoked = post(&world, &ops, &format!("{kid}/revoke"), &body).await;
    assert_eq!(revoked.status, 200, "{revoked}");
    let refreshed = world.send(Call::post("/api/token/refresh/").json(&json!({ "refresh": refresh }))).await;
    assert_eq!(refreshed.status, 401);
}
