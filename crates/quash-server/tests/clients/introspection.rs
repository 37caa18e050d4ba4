//! Introspection (RFC 7662): the response reflects the store, and reveals nothing about invalid tokens.

use quash_core::model::{Actor, Right};
use quash_core::token::TokenType;
use serde_json::json;

use super::{Service, form, opened_by};
use crate::support::{self, FaultyStore, PASSWORD, Part, Plan, World, kinds, secs};

#[tokio::test]
async fn a56_invalid_tokens_are_inactive_without_details() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    for call in [form("/oauth2/introspect", &[("token", "x")]), form("/oauth2/introspect", &[])] {
        assert_eq!(world.send(call).await.status, 401, "no client, no answer");
    }
    let pair = world.sign_in("dana").await;
    let spent = world.sign_in("dana").await;
    let next = world.refresh(&spent.refresh).await.pair();
    let head = world.head().await.as_u64();
    let not_live = [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(9000),
        format!("{}x", pair.access),
        spent.refresh,
        world.forge(&pair.access, &json!({ "rsq": head + 1 })),
        world.forge(&pair.refresh, &json!({ "rsq": head + 1 })),
        world.forge(&pair.access, &json!({ "sid": "00000000000000000000000000000000" })),
        world.forge(&pair.refresh, &json!({ "jti": "00000000000000000000000000000000" })),
        world.forge(&pair.access, &json!({ "token_type": "other" })),
        world.forge_without(&pair.access, "token_type"),
        world.forge_without(&pair.access, "exp"),
        world.forge_without(&pair.access, "rsq"),
        world.forge(&pair.access, &json!({ "nbf": support::START + 3600 })),
    ];
    for token in &not_live {
        shop.assert_inactive(token).await;
    }
    let alive = [&pair.access, &pair.refresh, &next.access, &next.refresh];
    for token in alive {
        shop.assert_active(token).await;
    }
    world.wait(secs(301));
    shop.assert_inactive(&pair.access).await;
    shop.assert_active(&pair.refresh).await;
    world.wait(secs(86_400));
    for token in alive {
        shop.assert_inactive(token).await;
    }
    assert_eq!(kinds(&*world.store).await, [], "nothing ends because of it");
}

#[tokio::test]
async fn a56_introspection_reads_ends_from_the_store() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    for end in 0..4 {
        let pair = world.sign_in(if end == 3 { "noor" } else { "dana" }).await;
        shop.assert_active(&pair.access).await;
        match end {
            0 => drop(world.log_out(&pair.access, &pair.refresh).await),
            1 => world.end_all("dana").await,
            2 => drop(
                world
                    .service
                    .end_everything(quash_core::model::Reason::Revoked, Actor::Operator)
                    .await
                    .expect("an end"),
            ),
            _ => world.deactivate("noor").await,
        }
        for token in [&pair.access, &pair.refresh] {
            shop.assert_inactive(token).await;
        }
    }
}

/// The store knows of the end but the memory doesn't: the row has ended, and its log entry covers no token.
#[tokio::test]
async fn a56_introspection_ignores_the_guards_memory() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let pair = world.sign_in("dana").await;
    world.store.empty_entries();
    assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200);
    assert_eq!(world.me(&pair.access).await.status, 200, "the guard knows nothing of it");
    shop.assert_inactive(&pair.access).await;
}

#[tokio::test]
async fn a56_changed_claims_deactivate_access_tokens_only() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let pair = world.sign_in("dana").await;
    world
        .service
        .set_claims(&support::subject("dana"), r#"{"role":"reader"}"#, Actor::Operator.into())
        .await
        .expect("claims");
    shop.assert_inactive(&pair.access).await;
    shop.assert_active(&pair.refresh).await;
    shop.assert_active(&world.refresh(&pair.refresh).await.pair().access).await;
}

#[tokio::test]
async fn a56_tokens_of_other_clients_are_inactive() {
    let world = World::open().await;
    let (shop, wiki) = (Service::full(&world, "shop").await, Service::full(&world, "wiki").await);
    let pair = opened_by(&world, "shop").await;
    for token in [&pair.access, &pair.refresh] {
        wiki.assert_inactive(token).await;
        assert_eq!(shop.assert_active(token).await["client_id"], "shop");
    }
    let anybodys = world.sign_in("noor").await;
    for client in [&shop, &wiki] {
        assert_eq!(client.assert_active(&anybodys.access).await.get("client_id"), None);
    }
}

#[tokio::test]
async fn a56_introspection_fails_while_the_store_is_unavailable() {
    for part in [Part::Rows, Part::Log] {
        let world = World::open().await;
        let shop = Service::full(&world, "shop").await;
        let pair = world.sign_in("dana").await;
        world.store.break_part(part, FaultyStore::away());
        let answer = shop.introspect(&pair.access).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (503, &json!("temporarily_unavailable")),
            "{answer}"
        );
        assert_eq!(answer.json().get("active"), None);
        world.store.mend();
        shop.assert_active(&pair.access).await;
    }
}

#[tokio::test]
async fn refresh_tokens_need_the_right_revoke() {
    let world = World::open().await;
    let asks = Service::with(&world, "asks", &[Right::Introspect]).await;
    let ends = Service::full(&world, "ends").await;
    let pair = world.sign_in("dana").await;
    asks.assert_active(&pair.access).await;
    for refresh in [pair.refresh.clone(), world.forge(&pair.refresh, &json!({}))] {
        asks.assert_inactive(&refresh).await;
        ends.assert_active(&refresh).await;
    }
}

#[tokio::test]
async fn custom_claims_never_replace_standard_members() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let account = world.service.account("dana").await.expect("a store").expect("dana");
    let claims = json!({ "role": "editor", "groups": [1, { "a": null }], "username": "root", "active": false, "client_id": "x", "scope": "a b" });
    world
        .service
        .set_claims(&account.subject, &claims.to_string(), Actor::Operator.into())
        .await
        .expect("claims");
    let pair = world.sign_in("dana").await;
    let told = shop.assert_active(&pair.access).await;
    assert_eq!(
        (&told["role"], &told["groups"], &told["scope"]),
        (&json!("editor"), &json!([1, { "a": null }]), &json!("a b"))
    );
    assert_eq!(
        (&told["username"], told.get("client_id"), &told["token_use"]),
        (&json!("dana"), None, &json!("access"))
    );
    assert_eq!(shop.introspect(&pair.access).await.text().matches("\"active\"").count(), 1);
}

#[tokio::test]
async fn a56_types_that_paths_refuse_are_inactive() {
    for (accepted, is_active) in [(vec![TokenType::Access], false), (vec![TokenType::Sliding], true)] {
        let mut plan = Plan::default();
        plan.policy.tokens.accepted = accepted;
        let world = World::planned(plan).await;
        let api = Service::with(&world, "api", &[Right::Introspect]).await;
        let ender = Service::full(&world, "ender").await;
        let body = json!({ "username": "dana", "password": PASSWORD });
        let answer = world.post("/api/token/sliding/", &body).await.json();
        let sliding = answer["token"].as_str().expect("a token");
        assert_eq!(world.me(sliding).await.status, if is_active { 200 } else { 401 });
        let access = world.sign_in("dana").await.access;
        for (token, is_active) in [(sliding, is_active), (&access, !is_active)] {
            assert_eq!(api.introspect(token).await.json()["active"], json!(is_active));
            ender.assert_active(token).await;
        }
    }
}
