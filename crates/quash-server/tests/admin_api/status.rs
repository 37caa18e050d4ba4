//! The state of the service in numbers, its verifiers and its nodes.

use quash_core::model::Right;
use serde_json::json;

use super::support::{PASSWORD, World};
use super::{client, get, world};
use crate::feed::{lease_path, world_cursor};

#[tokio::test]
async fn statistics_count_accounts_sessions_and_sign_ins() {
    let (world, secret) = world(&[Right::Read]).await;
    world.add("kim", Some("kim@example.org"), false).await;
    world.add("lee", None, false).await;
    world.sign_in("dana").await;
    world.sign_in("dana").await;
    world.attempt("dana", "wrong").await;
    world.sign_in("noor").await;
    world.end_all("noor").await;
    world.deactivate("lee").await;
    let told = get(&world, &secret, "/admin/v1/statistics").await.json();
    assert_eq!(told["accounts"], json!({ "active": 2, "unverified": 1, "locked": 0, "deactivated": 1 }));
    assert_eq!(told["live_sessions"], 2);
    assert_eq!(told["sign_ins"], json!({ "succeeded": 3, "refused": 1, "unavailable": 0 }));
    assert_eq!(
        (&told["head"], &told["verifiers"]["leased"]),
        (&json!(world.head().await.as_u64()), &json!(0))
    );
    assert!(!told.to_string().contains(PASSWORD));
}

#[tokio::test]
async fn verifiers_are_grouped_by_credential_and_host() {
    let (world, secret) = world(&[Right::Read]).await;
    let verifier = client(&world, "gateway", &[Right::Feed]).await;
    let cursor = world_cursor(&world, &verifier).await;
    for (instance, host) in [(1, "a"), (2, "a"), (3, "b")] {
        let path = format!("{}&host={host}&pid=7", lease_path(&cursor, instance, "deny"));
        assert_eq!(get(&world, &verifier, &path).await.status, 200);
    }
    let told = get(&world, &secret, "/admin/v1/verifiers").await.json();
    let groups: Vec<_> = told["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|group| {
            (group["name"].clone(), group["host"].clone(), group["instances"].as_array().map(Vec::len))
        })
        .collect();
    assert_eq!(groups, [(json!("gateway"), json!("a"), Some(2)), (json!("gateway"), json!("b"), Some(1))]);
    let one = &told["items"][0]["instances"][0];
    assert_eq!((&one["state"], &one["lag"]), (&json!("leased"), &json!(0)), "{one}");
    world.end_all("dana").await;
    let told = get(&world, &secret, "/admin/v1/verifiers").await.json();
    assert_eq!(told["items"][1]["instances"][0]["lag"], 1);
}

#[tokio::test]
async fn a_store_of_one_process_has_no_nodes() {
    let (world, secret) = world(&[Right::Read]).await;
    let told = get(&world, &secret, "/admin/v1/nodes").await.json();
    assert_eq!(told, json!({ "items": [], "next": null }));
}

#[tokio::test]
async fn nodes_are_listed() {
    let [one, other] = World::two_nodes(super::Plan::default).await;
    one.service.describe_node("1.2.3", "settings").await.expect("a description");
    let secret = client(&one, "admin", &[Right::Read]).await;
    let answer = get(&other, &secret, "/admin/v1/nodes").await;
    assert_eq!(answer.status, 200, "{answer}");
}
