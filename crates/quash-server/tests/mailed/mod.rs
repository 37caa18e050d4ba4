//! Actions that a mail authorizes: resetting a password, confirming an address, registering, changing an
//! address; over the API and on the pages that links open.

mod costs;
mod cross_site;
mod email;
mod outbox;
mod pages;
mod registration;
mod reset;
mod verification;

use crate::support;

use serde_json::{Value, json};

use support::{Answer, World};

const NEW_PASSWORD: &str = "another horse, another staple";

/// Returns the flow's id from the response to a request.
fn flow(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{answer}");
    answer.json()["flow"].as_str().expect("a flow").to_owned()
}

/// Requests a reset.
async fn ask(world: &World, body: Value) -> String {
    flow(&world.post("/v1/password-reset", &body).await)
}

/// Requests a reset of dana's password, and returns the link.
async fn danas_link(world: &World) -> String {
    ask(world, json!({ "username": "dana" })).await;
    let email =
        world.mails().await.into_iter().find(|email| email.proof.is_some()).expect("a mail with a link");
    support::link(&email)
}

/// Sets a new password with a link.
async fn reset(world: &World, link: &str) -> Answer {
    world.post("/v1/password-reset/confirm", &json!({ "token": link, "new_password": NEW_PASSWORD })).await
}
