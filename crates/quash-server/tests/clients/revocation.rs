//! Revocation (RFC 7009): the sessions that a client can end, and the responses.

use quash_core::model::{Actor, ClientName, Session, SessionState};
use quash_core::token::TokenType;
use quash_store::StoreError;
use serde_json::{Value, json};

use super::{Service, basic, form, opened_by};
use crate::support::{Call, FaultyStore, PASSWORD, Part, Plan, World, kinds, secs};

#[tokio::test]
async fn a51_revoked_access_tokens_yield_no_new_credentials() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let (pair, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    assert_eq!(shop.revoke(&pair.access).await.status, 200);
    let (before, log) = (world.sessions("dana").await, world.head().await);
    let new = json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" });
    for answer in [
        world.own("POST", "/v1/me/password", &pair.access, &new).await,
        world.own("POST", "/v1/me/sessions/end-others", &pair.access, &Value::Null).await,
        world
            .own(
                "POST",
                "/v1/me/email",
                &pair.access,
                &json!({ "email": "new@example.org", "password": PASSWORD }),
            )
            .await,
        world.refresh(&pair.access).await,
        world.refresh(&pair.refresh).await,
        world.post("/api/token/sliding/refresh/", &json!({ "token": pair.access })).await,
    ] {
        assert_eq!(answer.status, 401, "{answer}");
        assert!(!answer.holds_a_token());
    }
    assert_eq!((world.sessions("dana").await, world.head().await), (before, log));
    world.assert_live(&other).await;
}

#[tokio::test]
async fn a52_unwritten_revocations_are_not_confirmed() {
    for (part, error) in [
        (Part::Writes, FaultyStore::away()),
        (Part::Writes, StoreError::Full),
        (Part::Writes, StoreError::Conflict),
        (Part::Rows, FaultyStore::away()),
    ] {
        let world = World::open().await;
        let shop = Service::full(&world, "shop").await;
        let (by_access, by_refresh) = (world.sign_in("dana").await, world.sign_in("dana").await);
        world.store.break_part(part, error);
        for token in [&by_access.access, &by_refresh.refresh] {
            let answer = shop.revoke(token).await;
            assert_eq!(
                (answer.status, &answer.json()["error"]),
                (503, &json!("temporarily_unavailable")),
                "{answer}"
            );
        }
        world.store.mend();
        for (pair, token) in [(&by_access, &by_access.access), (&by_refresh, &by_refresh.refresh)] {
            world.assert_live(pair).await;
            assert_eq!(shop.revoke(token).await.status, 200, "the second time works");
            world.assert_dead(pair).await;
        }
    }
}

#[tokio::test]
async fn a52_revocations_are_confirmed_after_the_guard_knows() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let pair = world.sign_in("dana").await;
    world.store.break_part(Part::Log, FaultyStore::away());
    // No password is hashed from here on, so waiting can take no real time.
    let true = crate::support::time_is_paused() else { return };
    // Written but not followed: neither the first request nor the second may report the end.
    for _ in 0..2 {
        let answer = shop.revoke(&pair.refresh).await;
        assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{answer}");
    }
    world.store.mend();
    assert_eq!(shop.revoke(&pair.refresh).await.status, 200);
    world.assert_dead(&pair).await;
    assert_eq!(kinds(&*world.store).await.len(), 1, "it ended once");
}

#[tokio::test]
async fn a55_genuine_tokens_revoke_and_others_get_200() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let bystander = world.sign_in("dana").await;
    // Another issuer's key, another session's id, nothing at all: 200, and nothing ends.
    let unknown = world.forge(&bystander.refresh, &json!({ "sid": "00000000000000000000000000000000" }));
    let stolen = world.forge(&bystander.refresh, &json!({ "jti": "00000000000000000000000000000000" }));
    let ahead = world.forge(&bystander.access, &json!({ "rsq": world.head().await.as_u64() + 1 }));
    let untyped = world.forge(&bystander.access, &json!({ "token_type": "other" }));
    for token in ["garbage", "a.b.c", &"x".repeat(9000), &unknown, &stolen, &ahead, &untyped] {
        assert_eq!(shop.revoke(token).await.brief(), "200 {}");
    }
    world.assert_live(&bystander).await;
    assert_eq!(kinds(&*world.store).await, []);
    // With any hint, either token, of any generation.
    for (hint, pick) in [("refresh_token", 0), ("access_token", 1), ("nonsense", 2), ("", 1)] {
        let first = world.sign_in("dana").await;
        let second = world.refresh(&first.refresh).await.pair();
        let token = [&first.access, &second.refresh, &first.refresh][pick];
        let call =
            form("/oauth2/revoke", &[("token_type_hint", hint), ("token", token)]).bearer(&shop.secret);
        let before = world.head().await;
        assert_eq!(world.send(call.clone()).await.status, 200, "{hint}");
        assert_eq!(world.head().await, before.next(), "one entry");
        for pair in [&first, &second] {
            world.assert_dead(pair).await;
        }
        assert_eq!(
            (world.send(call).await.status, world.head().await),
            (200, before.next()),
            "a second time ends nothing"
        );
    }
    world.assert_live(&bystander).await;
}

#[tokio::test]
async fn a55_expired_access_tokens_revoke_their_session() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let pair = world.sign_in("dana").await;
    world.wait(secs(301));
    assert_eq!(shop.revoke(&pair.access).await.status, 200);
    assert_eq!(world.refresh(&pair.refresh).await.reason().as_deref(), Some("log_out"));
    let expired = world.sign_in("dana").await;
    world.wait(secs(86_401));
    assert_eq!(shop.revoke(&expired.refresh).await.brief(), "200 {}");
}

#[tokio::test]
async fn a55_sessions_of_other_clients_are_not_revoked() {
    let world = World::open().await;
    let (shop, wiki) = (Service::full(&world, "shop").await, Service::full(&world, "wiki").await);
    let pair = opened_by(&world, "shop").await;
    for token in [&pair.access, &pair.refresh] {
        let refused = wiki.revoke(token).await.brief();
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused, @r#"400 {"error":"invalid_grant","error_description":"The token was issued to another client."}"#);
        }
    }
    world.assert_live(&pair).await;
    assert_eq!(kinds(&*world.store).await, []);
    assert_eq!(shop.revoke(&pair.refresh).await.status, 200);
    world.assert_dead(&pair).await;
    let ended = world
        .sessions("dana")
        .await
        .into_iter()
        .find(|session| session.client.is_some())
        .expect("the session");
    let SessionState::Ended(ending) = ended.state else { panic!("it goes on") };
    assert_eq!(ending.actor, Actor::Client(ClientName::parse("shop").expect("a name")));
}

#[tokio::test]
async fn a55_public_clients_revoke_only_their_own_tokens() {
    let world = World::open().await;
    let _shop = Service::full(&world, "shop").await;
    for name in ["app", "web"] {
        world.service.add_public_client(name, None).await.expect("a client");
    }
    let named = |name: &str, token: &str| form("/oauth2/revoke", &[("client_id", name), ("token", token)]);
    let revoke = async |name: &str, token: &str| world.send(named(name, token)).await;
    assert_eq!(revoke("app", "garbage").await.brief(), "200 {}");
    // A session of no client, by any of its tokens; and the client's own session.
    let (by_access, by_refresh, own) =
        (world.sign_in("dana").await, world.sign_in("dana").await, opened_by(&world, "app").await);
    for (pair, token) in
        [(&by_access, &by_access.access), (&by_refresh, &by_refresh.refresh), (&own, &own.access)]
    {
        assert_eq!(revoke("app", token).await.brief(), "200 {}");
        world.assert_dead(pair).await;
    }
    let app = Actor::Client(ClientName::parse("app").expect("a name"));
    let by_whom = |session: Session| {
        if let SessionState::Ended(ending) = session.state { Some(ending.actor) } else { None }
    };
    assert_eq!(
        world.sessions("dana").await.into_iter().filter_map(by_whom).collect::<Vec<_>>(),
        [app.clone(), app.clone(), app]
    );
    // Another client's session continues, whether that client is confidential or public.
    for owner in ["shop", "web"] {
        let pair = opened_by(&world, owner).await;
        assert_eq!(revoke("app", &pair.refresh).await.json()["error"], "invalid_grant");
        world.assert_live(&pair).await;
    }
    // Some clients send an empty secret instead of none.
    let pair = world.sign_in("dana").await;
    let empty = basic(form("/oauth2/revoke", &[("token", &pair.access)]), "app", "");
    assert_eq!(world.send(empty).await.brief(), "200 {}");
    world.assert_dead(&pair).await;
}

#[tokio::test]
async fn a55_confidential_clients_need_their_secret() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    world.service.add_public_client("app", None).await.expect("a client");
    let pair = world.sign_in("dana").await;
    let at = |path: &str, parameters: &[(&str, &str)]| {
        form(path, &[&[("token", &*pair.access)], parameters].concat())
    };
    for call in [
        at("/oauth2/revoke", &[("client_id", "shop")]),
        at("/oauth2/revoke", &[("client_id", "App")]),
        at("/oauth2/revoke", &[("client_id", "nobody")]),
        at("/oauth2/revoke", &[("client_id", "app"), ("client_secret", "x")]),
        at("/oauth2/revoke", &[("client_id", "app"), ("client_secret", &shop.secret)]),
        basic(at("/oauth2/revoke", &[("client_id", "app")]), "shop", ""),
        at("/oauth2/revoke", &[]).bearer("app"),
        at("/oauth2/revoke", &[]).bearer("public client app"),
        at("/oauth2/introspect", &[("client_id", "app")]),
        basic(at("/oauth2/introspect", &[]), "app", ""),
    ] {
        let answer = world.send(call.clone()).await;
        assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")), "{call:?}");
    }
    for path in ["/v1/feed/snapshot", "/metrics"] {
        assert_eq!(world.send(Call::get(path).bearer("app")).await.status, 401);
    }
    world.assert_live(&pair).await;
    world.service.remove_client("app", |_| true, None).await.expect("it was there");
    let gone = at("/oauth2/revoke", &[("client_id", "app")]);
    assert_eq!(world.send(gone).await.status, 401);
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn a55_a_sliding_token_is_revoked_with_its_session() {
    let mut plan = Plan::default();
    plan.policy.tokens.accepted = vec![TokenType::Sliding, TokenType::Access];
    let world = World::planned(plan).await;
    let shop = Service::full(&world, "shop").await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    let token =
        world.post("/api/token/sliding/", &body).await.json()["token"].as_str().expect("a token").to_owned();
    let said = shop.assert_active(&token).await;
    assert_eq!((&said["token_type"], &said["token_use"]), (&json!("Bearer"), &json!("sliding")));
    let forged = world.forge(&token, &json!({ "jti": "00000000000000000000000000000000" }));
    shop.assert_inactive(&forged).await;
    assert_eq!(
        (shop.revoke(&forged).await.status, world.me(&token).await.status),
        (200, 200),
        "a stolen key ends nothing"
    );
    assert_eq!(shop.revoke(&token).await.status, 200);
    assert_eq!(world.me(&token).await.status, 401);
    shop.assert_inactive(&token).await;
}
