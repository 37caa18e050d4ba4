//! The admin API over HTTP: accounts, sessions, revocations and the state of the service.

use crate::support;

mod accounts;
mod actions;
mod revocations;
mod sessions;
mod status;

use http::Method;
use quash_core::model::Right;
use serde_json::Value;
use support::{Answer, Call, Plan, World};

/// A world, and the secret of a client with these rights.
async fn world(rights: &[Right]) -> (World, String) {
    let world = World::planned(Plan::default()).await;
    let secret = client(&world, "admin", rights).await;
    (world, secret)
}

/// Adds a client and returns its secret.
async fn client(world: &World, name: &str, rights: &[Right]) -> String {
    let (_, secret) =
        world.service.add_client(name, rights.iter().copied().collect(), None).await.expect("a client");
    secret.into_text().to_string()
}

async fn get(world: &World, secret: &str, target: &str) -> Answer {
    world.send(Call::get(target).bearer(secret)).await
}

/// Sends a request, without a body if that is `null`.
async fn send(world: &World, secret: &str, method: Method, target: &str, body: &Value) -> Answer {
    let call = Call::of(method, target).bearer(secret);
    world.send(if body.is_null() { call } else { call.json(body) }).await
}

async fn post(world: &World, secret: &str, target: &str, body: &Value) -> Answer {
    send(world, secret, Method::POST, target, body).await
}

/// The values of a member of all items of a list, read page by page.
async fn all(world: &World, secret: &str, target: &str, member: &str) -> Vec<String> {
    let (mut values, mut next): (Vec<String>, Option<String>) = (vec![], None);
    loop {
        let separator = if target.contains('?') { '&' } else { '?' };
        let cursor = next.map(|next| format!("{separator}cursor={next}")).unwrap_or_default();
        let answer = get(world, secret, &format!("{target}{cursor}")).await;
        assert_eq!(answer.status, 200, "{answer}");
        let page = answer.json();
        let items = page["items"].as_array().expect("items");
        values.extend(items.iter().map(|item| item[member].as_str().expect(member).to_owned()));
        next = page["next"].as_str().map(str::to_owned);
        if next.is_none() {
            return values;
        }
    }
}

/// The field that a refused request names.
fn field(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{answer}");
    let errors = answer.json()["errors"].clone();
    errors.as_object().and_then(|errors| errors.keys().next().cloned()).unwrap_or_default()
}
