//! The costs of requests without a password: the lengths of names, and places in the queue for hashes.

use std::sync::Arc;

use quash_core::model::limits;
use serde_json::json;

use super::danas_link;
use crate::support::{Call, Plan, World};

#[tokio::test]
async fn overlong_names_are_refused_before_folding() {
    let world = World::open().await;
    for path in ["/v1/password-reset", "/v1/email-verification"] {
        for (field, longest) in [("username", limits::NAME_CHARS), ("email", limits::EMAIL_BYTES)] {
            let status = async |text: String| world.post(path, &json!({ field: text })).await;
            assert_eq!(status(format!("  {}  ", "x".repeat(longest))).await.status, 202, "{path} {field}");
            let answer = status("x".repeat(longest + 1)).await;
            let told = answer.json()["errors"][field][0].as_str().map(str::to_owned);
            assert_eq!(
                (answer.status, told),
                (400, Some(format!("Ensure this field has no more than {longest} characters.")))
            );
        }
    }
}

#[tokio::test]
async fn new_passwords_use_a_place_of_their_network() {
    let (plan, valve) = Plan::valved();
    let world = Arc::new(World::planned(plan).await);
    let link = danas_link(&world).await;
    let confirm =
        Call::post("/v1/password-reset/confirm").json(&json!({ "token": link, "new_password": "password" }));
    let attempt = |n: usize| {
        Call::post("/api/token/").json(&json!({ "username": format!("name {n}"), "password": "x" }))
    };
    // All four places of the network are taken: the password isn't even compared with the common ones.
    let answers =
        world.at_once_as_they_are(&valve, (0..4).map(attempt).chain([confirm.clone()]).collect()).await;
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401, 401, 401, 401, 429]);
    assert_eq!(world.send(confirm).await.json()["code"], "password_refused");
}
