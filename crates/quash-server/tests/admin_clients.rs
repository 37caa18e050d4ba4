//! `/admin/v1/clients`: a client with the right `clients` adds, changes and removes others, and gives no right that it
//! doesn't have itself.

use crate::support;

use http::Method;
use http::header::{HeaderName, IF_MATCH};
use quash_core::model::{Client, Right, Rights};
use quash_service::{ClientAuthor, ClientFault, ClientUpdate, NewClient};
use serde_json::{Value, json};
use support::{Answer, Call, World, secs};

use super::admin::secret;

const PATH: &str = "/admin/v1/clients";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

async fn world() -> (World, String) {
    let world = World::open().await;
    let secret = secret(&world, "ops", &[Right::Clients, Right::Read, Right::Introspect, Right::Audit]).await;
    (world, secret)
}

async fn add(world: &World, secret: &str, new: &Value) -> Answer {
    world.send(Call::post(PATH).json(new).bearer(secret)).await
}

async fn send(world: &World, secret: &str, method: Method, name: &str, body: Option<&Value>) -> Answer {
    let call = Call::of(method, &format!("{PATH}/{name}")).bearer(secret);
    world.send(body.into_iter().fold(call, |call, body| call.json(body))).await
}

async fn keys(world: &World, secret: &str) -> u16 {
    world.send(Call::get("/admin/v1/keys").bearer(secret)).await.status
}

fn field<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer["errors"][name][0].as_str().unwrap_or_else(|| panic!("{name}: {answer}"))
}

#[tokio::test]
async fn clients_are_added_used_and_removed() {
    let (world, ops) = world().await;
    let new = json!({ "name": "grafana", "rights": ["read"], "expires_at": "2027-01-15T09:00:00Z" });
    let added = add(&world, &ops, &new).await;
    assert_eq!((added.status, added.header("cache-control")), (201, Some("no-store")));
    let added = added.json();
    assert_eq!(
        added["client"],
        json!({
            "name": "grafana",
            "rights": ["read"],
            "namespace": null,
            "created_at": "2027-01-15T08:00:00.000Z",
            "expires_at": "2027-01-15T09:00:00.000Z",
            "last_used_at": null,
        })
    );
    let key = added["secret"].as_str().expect("a secret");
    world.clock.go_on(secs(30));
    assert_eq!(keys(&world, key).await, 200);
    let shown = send(&world, &ops, Method::GET, "grafana", None).await;
    assert_eq!(shown.json()["last_used_at"], "2027-01-15T08:00:30.000Z");
    let list = world.send(Call::get(PATH).bearer(&ops)).await.json();
    let names: Vec<_> =
        list["items"].as_array().expect("a list").iter().map(|client| &client["name"]).collect();
    assert_eq!((names, &list["next"]), (vec![&json!("grafana"), &json!("ops")], &Value::Null));
    assert!(!list.to_string().contains(key));
    let page = world.send(Call::get(&format!("{PATH}?limit=1&cursor=grafana")).bearer(&ops)).await.json();
    assert_eq!((&page["items"][0]["name"], &page["next"]), (&json!("ops"), &json!("ops")));
    let removed = send(&world, &ops, Method::DELETE, "grafana", None).await;
    assert_eq!(removed.status, 204);
    assert_eq!(keys(&world, key).await, 401);
    assert_eq!(send(&world, &ops, Method::GET, "grafana", None).await.status, 404);
    let audit = world.send(Call::get("/admin/v1/audit?actor=client:ops").bearer(&ops)).await.json();
    let events: Vec<_> = audit["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (&entry["event"], &entry["name"]))
        .collect();
    assert_eq!(
        events,
        [(&json!("client_removed"), &json!("grafana")), (&json!("client_added"), &json!("grafana"))]
    );
}

#[tokio::test]
async fn secrets_are_renewed_and_expire() {
    let (world, ops) = world().await;
    let added = add(&world, &ops, &json!({ "name": "grafana", "rights": ["read"] })).await.json();
    let old = added["secret"].as_str().expect("a secret");
    let renewed = world.send(Call::post(&format!("{PATH}/grafana/secret")).bearer(&ops)).await;
    assert_eq!((renewed.status, renewed.header("cache-control")), (200, Some("no-store")));
    let renewed = renewed.json();
    let new = renewed["secret"].as_str().expect("a secret");
    assert_eq!((keys(&world, old).await, keys(&world, new).await), (401, 200));
    let expires = json!({ "expires_at": "2027-01-15T08:00:10.000Z" });
    let changed = send(&world, &ops, Method::PATCH, "grafana", Some(&expires)).await;
    assert_eq!(changed.json()["expires_at"], "2027-01-15T08:00:10.000Z", "{changed}");
    world.clock.go_on(secs(10));
    assert_eq!(keys(&world, new).await, 401);
    let past = send(&world, &ops, Method::PATCH, "grafana", Some(&expires)).await;
    assert_eq!((past.status, field(&past.json(), "expires_at")), (400, "Must be in the future."));
    let never = send(&world, &ops, Method::PATCH, "grafana", Some(&json!({ "expires_at": null }))).await;
    assert_eq!((never.status, &never.json()["expires_at"]), (200, &Value::Null));
    assert_eq!(keys(&world, new).await, 200);
}

#[tokio::test]
async fn clients_give_only_rights_that_they_have() {
    let (world, ops) = world().await;
    let strong = secret(&world, "strong", &[Right::Keys, Right::Read]).await;
    let lacks = |answer: &Answer, right: &str| {
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(answer.status == 403 && detail.contains(&format!("the right `{right}`")), "{answer}");
    };
    lacks(&add(&world, &ops, &json!({ "name": "other", "rights": ["read", "keys"] })).await, "keys");
    let rights = json!({ "rights": ["accounts"] });
    lacks(&send(&world, &ops, Method::PATCH, "ops", Some(&rights)).await, "accounts");
    // Otherwise it would obtain the secret of a client that may do more, or keep such a one alive.
    lacks(&world.send(Call::post(&format!("{PATH}/strong/secret")).bearer(&ops)).await, "keys");
    lacks(&send(&world, &ops, Method::PATCH, "strong", Some(&json!({ "expires_at": null }))).await, "keys");
    assert_eq!(keys(&world, &strong).await, 200);
    let narrowed =
        send(&world, &ops, Method::PATCH, "strong", Some(&json!({ "rights": ["introspect"] }))).await;
    assert_eq!((narrowed.status, &narrowed.json()["rights"]), (200, &json!(["introspect"])));
    assert_eq!(keys(&world, &strong).await, 403);
    assert_eq!(send(&world, &ops, Method::DELETE, "strong", None).await.status, 204);
}

#[tokio::test]
async fn clients_give_no_later_expiry_than_their_own() {
    let (world, ops) = world().await;
    add(&world, &ops, &json!({ "name": "endless", "rights": ["read"] })).await;
    let own = "2027-01-15T09:00:00Z";
    let new = json!({ "name": "script", "rights": ["clients", "read"], "expires_at": own });
    let added = add(&world, &ops, &new).await.json();
    let script = added["secret"].as_str().expect("a secret");
    let later = [Value::Null, json!("2027-01-15T09:00:01Z")];
    for expires_at in later {
        let new = json!({ "name": "other", "rights": ["read"], "expires_at": expires_at });
        let change = json!({ "expires_at": expires_at });
        for refused in [
            add(&world, script, &new).await,
            send(&world, script, Method::PATCH, "script", Some(&change)).await,
            send(&world, script, Method::POST, "endless/secret", None).await,
        ] {
            assert_eq!(
                (refused.status, &refused.json()["code"]),
                (403, &json!("right_required")),
                "{refused}"
            );
        }
    }
    let new = json!({ "name": "other", "rights": ["read"], "expires_at": own });
    assert_eq!(add(&world, script, &new).await.status, 201);
    assert_eq!(send(&world, script, Method::DELETE, "endless", None).await.status, 204);
}

#[tokio::test]
async fn an_author_that_has_changed_meanwhile_changes_no_client() {
    let (world, ops) = world().await;
    add(&world, &ops, &json!({ "name": "grafana", "rights": ["read"] })).await;
    let authenticated = world.service.client(&ops).await.expect("an answer").expect("a client");
    let author = ClientAuthor::Client(&authenticated);
    let any = |_: &Client| Ok(());
    world.service.renew_client_secret("grafana", any, author, None).await.expect("a secret");
    let rights: Rights = [Right::Clients, Right::Read].into_iter().collect();
    let update = ClientUpdate { rights: Some(rights), expires_at: None };
    world.service.change_client("ops", update, any, ClientAuthor::Operator, None).await.expect("a client");
    let new = NewClient { name: "other", rights, namespace: None, expires_at: None };
    assert_eq!(world.service.create_client(new, author, None).await.err(), Some(ClientFault::Author));
    let renewed = world.service.renew_client_secret("grafana", any, author, None).await;
    assert_eq!(renewed.err(), Some(ClientFault::Author));
    let changed = world.service.change_client("grafana", update, any, author, None).await;
    assert_eq!(changed.err(), Some(ClientFault::Author));
    let removed = world.service.remove_client_if("grafana", any, author, None).await;
    assert_eq!(removed.err(), Some(ClientFault::Author));
    let again = world.service.client(&ops).await.expect("an answer").expect("a client");
    let removed = world.service.remove_client_if("grafana", any, ClientAuthor::Client(&again), None).await;
    assert!(removed.is_ok());
}

#[tokio::test]
async fn changes_apply_only_to_the_version_that_was_seen() {
    let (world, ops) = world().await;
    add(&world, &ops, &json!({ "name": "grafana", "rights": ["read"] })).await;
    let shown = send(&world, &ops, Method::GET, "grafana", None).await;
    let seen = shown.header("etag").expect("a tag").to_owned();
    let change = |tag: &str, rights: Value| {
        Call::of(Method::PATCH, &format!("{PATH}/grafana"))
            .json(&json!({ "rights": rights }))
            .header(IF_MATCH, tag)
            .bearer(&ops)
    };
    let changed = world.send(change(&seen, json!(["audit"]))).await;
    assert_eq!(changed.status, 200, "{changed}");
    let newer = changed.header("etag").expect("a tag").to_owned();
    assert_ne!(seen, newer);
    let refused = world.send(change(&seen, json!(["read"]))).await;
    assert_eq!((refused.status, &refused.json()["code"]), (412, &json!("version_differs")));
    let remove =
        |tag: &str| Call::of(Method::DELETE, &format!("{PATH}/grafana")).header(IF_MATCH, tag).bearer(&ops);
    assert_eq!(world.send(remove(&seen)).await.status, 412);
    let renew = Call::post(&format!("{PATH}/grafana/secret")).header(IF_MATCH, &seen).bearer(&ops);
    assert_eq!(world.send(renew).await.status, 412);
    assert_eq!(world.send(remove(&newer)).await.status, 204);
}

#[tokio::test]
async fn repeated_requests_get_the_first_secret() {
    let (world, ops) = world().await;
    let call = |name: &str| {
        Call::post(PATH)
            .json(&json!({ "name": name, "rights": ["read"] }))
            .header(IDEMPOTENCY_KEY, "one")
            .bearer(&ops)
    };
    let (first, again) = (world.send(call("grafana")).await, world.send(call("grafana")).await);
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    // The key belongs to the operation.
    let renew = || Call::post(&format!("{PATH}/grafana/secret")).header(IDEMPOTENCY_KEY, "one").bearer(&ops);
    let renewed = world.send(renew()).await.json();
    assert_ne!(renewed["secret"], first.json()["secret"]);
    assert_eq!(world.send(renew()).await.json(), renewed);
    assert_eq!(keys(&world, renewed["secret"].as_str().expect("a secret")).await, 200);
    world.clock.go_on(secs(600));
    let taken = world.send(call("grafana")).await;
    assert_eq!((taken.status, &taken.json()["code"]), (409, &json!("client_taken")));
    let long = Call::post(PATH).header(IDEMPOTENCY_KEY, "x".repeat(256)).json(&json!({})).bearer(&ops);
    assert_eq!(world.send(long).await.status, 400);
}

#[tokio::test]
async fn wrong_values_are_named() {
    let (world, ops) = world().await;
    for (new, wrong) in [
        (json!({}), "name"),
        (json!({ "name": 7, "rights": ["read"] }), "name"),
        (json!({ "name": "A", "rights": ["read"] }), "name"),
        (json!({ "name": "a" }), "rights"),
        (json!({ "name": "a", "rights": [] }), "rights"),
        (json!({ "name": "a", "rights": "read" }), "rights"),
        (json!({ "name": "a", "rights": ["revoke_as_public"] }), "rights"),
        (json!({ "name": "a", "rights": ["everything"] }), "rights"),
        (json!({ "name": "a", "rights": ["read"], "namespace": "shop" }), "rights"),
        (json!({ "name": "a", "namespace": "shop" }), "namespace"),
        (json!({ "name": "a", "rights": ["read"], "expires_at": "tomorrow" }), "expires_at"),
        (json!({ "name": "a", "rights": ["read"], "expires_at": "2020-01-01T00:00:00Z" }), "expires_at"),
    ] {
        let answer = add(&world, &ops, &new).await;
        assert_eq!(answer.status, 400, "{new}: {answer}");
        assert!(answer.json()["errors"][wrong].is_array(), "{new}: {answer}");
    }
    let unknown = json!({ "name": "a", "rights": ["read"], "right": ["read"] });
    assert_eq!(add(&world, &ops, &unknown).await.status, 400);
    world.service.add_public_client("app", None).await.expect("a client");
    for name in ["app", "ops/secret/", "none", "%FF"] {
        let answer = send(&world, &ops, Method::PATCH, name, Some(&json!({ "rights": ["read"] }))).await;
        assert_eq!(answer.status, if name == "app" { 400 } else { 404 }, "{name}: {answer}");
    }
    for query in ["limit=0", "limit=201", "cursor=A"] {
        assert_eq!(
            world.send(Call::get(&format!("{PATH}?{query}")).bearer(&ops)).await.status,
            400,
            "{query}"
        );
    }
}
