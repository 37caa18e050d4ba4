//! Changing an account's address.

use quash_core::model::{MailKind, limits};
use serde_json::{Value, json};

use super::flow;
use crate::support::{Answer, Call, PASSWORD, Pair, World, code, kinds_and_places, link};

async fn change(world: &World, pair: &Pair, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    world.send(Call::post("/v1/me/email").bearer(&pair.access).json(&body)).await
}

async fn confirm(world: &World, pair: &Pair, body: &Value) -> Answer {
    world.send(Call::post("/v1/me/email/confirm").bearer(&pair.access).json(body)).await
}

#[tokio::test]
async fn confirmed_address_changes_end_all_sessions() {
    let world = World::open().await;
    let (pair, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let answer = change(&world, &pair, "new@example.org", PASSWORD).await;
    insta::assert_snapshot!(answer.brief(), @r#"202 {"flow":"<id>"}"#);
    let mails = world.mails().await;
    let mut told = kinds_and_places(&mails);
    told.sort_by_key(|(_, to)| *to);
    assert_eq!(
        told,
        [(MailKind::EmailChangeAsked, "dana@example.org"), (MailKind::EmailChange, "new@example.org")]
    );
    assert_eq!(world.me(&pair.access).await.json()["email"], "dana@example.org");
    world.assert_live(&other).await;
    let email = mails.iter().find(|email| email.kind == MailKind::EmailChange).expect("a mail");
    assert_eq!(
        confirm(&world, &pair, &json!({ "flow": flow(&answer), "code": code(email) })).await.status,
        200
    );
    assert_eq!(world.refresh(&pair.refresh).await.reason().as_deref(), Some("email_changed"));
    world.assert_dead(&pair).await;
    world.assert_dead(&other).await;
    assert_eq!(kinds_and_places(&world.mails().await), [(MailKind::EmailWasChanged, "dana@example.org")]);
    let me = world.me(&world.sign_in("dana").await.access).await.json();
    assert_eq!((me["email"].as_str(), me["email_verified"].as_bool()), (Some("new@example.org"), Some(true)));
}

#[tokio::test]
async fn setting_the_same_address_ends_nothing() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let before = world.service.account("dana").await.expect("a store");
    let answer = change(&world, &pair, "dana@example.org", PASSWORD).await;
    assert_eq!(answer.status, 202);
    let email =
        world.mails().await.into_iter().find(|email| email.kind == MailKind::EmailChange).expect("a mail");
    let body = json!({ "flow": flow(&answer), "code": code(&email) });
    assert_eq!(confirm(&world, &pair, &body).await.status, 200);
    world.assert_live(&pair).await;
    assert_eq!(world.service.account("dana").await.expect("a store"), before);
    assert!(world.mails().await.is_empty(), "no owner is told of a change");
    assert_eq!(confirm(&world, &pair, &body).await.status, 400, "it is used up");
}

#[tokio::test]
async fn other_capitals_end_nothing() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let answer = change(&world, &pair, "Dana@Example.ORG", PASSWORD).await;
    let email =
        world.mails().await.into_iter().find(|email| email.kind == MailKind::EmailChange).expect("a mail");
    let body = json!({ "flow": flow(&answer), "code": code(&email) });
    assert_eq!(confirm(&world, &pair, &body).await.status, 200);
    world.assert_live(&pair).await;
    let me = world.me(&pair.access).await.json();
    assert_eq!(
        (me["email"].as_str(), me["email_verified"].as_bool()),
        (Some("Dana@Example.ORG"), Some(true))
    );
    assert!(world.mails().await.is_empty(), "no owner is told of a change");
    assert_eq!(confirm(&world, &pair, &body).await.status, 400, "it is used up");
}

#[tokio::test]
async fn a69_address_changes_require_the_password() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.hashes();
    insta::assert_snapshot!(change(&world, &pair, "new@example.org", "wrong").await, @r#"
    403
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/wrong_password","title":"Wrong password","status":403,"detail":"The password is wrong.","code":"wrong_password"}
    "#);
    assert_eq!(world.hashes(), 1);
    assert_eq!(
        world
            .send(
                Call::post("/v1/me/email").bearer(&pair.access).json(&json!({ "email": "new@example.org" }))
            )
            .await
            .status,
        400
    );
    assert_eq!(
        world
            .send(
                Call::post("/v1/me/email").json(&json!({ "email": "new@example.org", "password": PASSWORD }))
            )
            .await
            .status,
        401
    );
    let refresh = Pair { access: pair.refresh.clone(), refresh: String::new() };
    assert_eq!(change(&world, &refresh, "new@example.org", PASSWORD).await.status, 401);
    assert!(world.mails().await.is_empty());
    assert_eq!(world.me(&pair.access).await.json()["email"], "dana@example.org");
}

#[tokio::test]
async fn address_changes_require_a_live_access_token() {
    let world = World::open().await;
    let (expired, revoked) = (world.sign_in("dana").await, world.sign_in("dana").await);
    world.log_out(&revoked.access, &revoked.refresh).await;
    world.wait(crate::support::secs(300));
    let live = world.sign_in("dana").await;
    let body = json!({ "email": "new@example.org", "password": PASSWORD, "token": "none" });
    for path in ["/v1/me/email", "/v1/me/email/confirm"] {
        assert_eq!(world.post(path, &body).await.status, 401, "no token");
        for token in ["a.b.c", expired.access.as_str(), revoked.access.as_str(), live.refresh.as_str()] {
            assert_eq!(
                world.send(Call::post(path).bearer(token).json(&body)).await.status,
                401,
                "{path} {token}"
            );
        }
        assert_ne!(world.send(Call::post(path).bearer(&live.access).json(&body)).await.status, 401);
        assert_eq!(world.send(Call::get(path).bearer(&live.access)).await.header("allow"), Some("POST"));
    }
    assert_eq!(world.mails().await.len(), 2, "the one that was let in");
}

#[tokio::test]
async fn a16_invalid_addresses_are_refused_before_the_password() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.hashes();
    for email in
        ["a@b@c", "a@example.org\r\nBcc: b@example.org", "a@example.org,b@example.org", "a@localhost"]
    {
        let answer = change(&world, &pair, email, PASSWORD).await;
        assert_eq!((answer.status, answer.json()["errors"]["email"].is_array()), (400, true), "{email}");
    }
    assert_eq!((world.hashes(), world.mails().await.len()), (0, 0));
}

#[tokio::test]
async fn a68_only_the_later_address_change_counts() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), true).await;
    let (dana, max) = (world.sign_in("dana").await, world.sign_in("max").await);
    let to_new = async |pair: &Pair, email: &str| {
        assert_eq!(change(&world, pair, email, PASSWORD).await.status, 202);
        let mails = world.mails().await;
        link(mails.iter().find(|email| email.kind == MailKind::EmailChange).expect("a mail"))
    };
    let first = to_new(&dana, "first@example.org").await;
    let second = to_new(&dana, "second@example.org").await;
    for token in [&first, "", " ", &"0".repeat(64)] {
        assert_eq!(confirm(&world, &dana, &json!({ "token": token })).await.status, 400, "{token:?}");
    }
    assert_eq!(confirm(&world, &max, &json!({ "token": second })).await.status, 400, "another account's");
    assert_eq!(world.me(&max.access).await.json()["email"], "max@example.org");
    assert_eq!(confirm(&world, &dana, &json!({ "token": second })).await.status, 200);
    let dana = world.sign_in("dana").await;
    assert_eq!(confirm(&world, &dana, &json!({ "token": second })).await.status, 400);
    assert_eq!(world.me(&dana.access).await.json()["email"], "second@example.org");
}

#[tokio::test]
async fn a68_address_changes_invalidate_verifications() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), false).await;
    world.post("/v1/email-verification", &json!({ "username": "max" })).await;
    let verification = link(&world.mails().await[0]);
    // A password reset confirms the address, too.
    super::ask(&world, json!({ "username": "max" })).await;
    super::reset(&world, &link(&world.mails().await[0])).await;
    world.mails().await;
    let max = world.attempt("max", super::NEW_PASSWORD).await.pair();
    assert_eq!(change(&world, &max, "new@example.org", super::NEW_PASSWORD).await.status, 202);
    let email =
        world.mails().await.into_iter().find(|email| email.kind == MailKind::EmailChange).expect("a mail");
    assert_eq!(confirm(&world, &max, &json!({ "token": link(&email) })).await.status, 200);
    assert_eq!(
        world.post("/v1/email-verification/confirm", &json!({ "token": verification })).await.status,
        400
    );
    assert_eq!(
        world.me(&world.attempt("max", super::NEW_PASSWORD).await.pair().access).await.json()["email"],
        "new@example.org"
    );
}

#[tokio::test]
async fn taken_addresses_notify_their_owner_only() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), true).await;
    let dana = world.sign_in("dana").await;
    let free = change(&world, &dana, "new@example.org", PASSWORD).await;
    world.mails().await;
    let taken = change(&world, &dana, "MAX@example.org", PASSWORD).await;
    assert_eq!(taken.to_string(), free.to_string());
    let mails = world.mails().await;
    assert!(
        kinds_and_places(&mails).contains(&(MailKind::AddressTaken, "max@example.org")),
        "{:?}",
        kinds_and_places(&mails)
    );
}

#[tokio::test]
async fn addresses_taken_meanwhile_are_refused() {
    let world = World::open().await;
    let dana = world.sign_in("dana").await;
    change(&world, &dana, "new@example.org", PASSWORD).await;
    let email =
        world.mails().await.into_iter().find(|email| email.kind == MailKind::EmailChange).expect("a mail");
    world.add("max", Some("New@example.org"), true).await;
    assert_eq!(confirm(&world, &dana, &json!({ "token": link(&email) })).await.status, 400);
    world.assert_live(&dana).await;
}

/// Requests a change from a network of its own.
async fn change_from(world: &World, n: u8, pair: &Pair, email: &str) -> Answer {
    let body = json!({ "email": email, "password": PASSWORD });
    let call = Call::post("/v1/me/email").bearer(&pair.access).json(&body);
    world.send(Call { peer: Some(([198, 51, 100, n], 1).into()), ..call }).await
}

#[tokio::test]
async fn a71_address_changes_count_for_their_network() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let sent = change(&world, &pair, "one@example.org", PASSWORD).await;
    assert_eq!((flow(&sent).len(), world.mails().await.len()), (32, 2));
    // The change was one of the network's fifty requests.
    for n in 1..limits::MAILS_PER_NETWORK {
        let body = json!({ "email": format!("nobody{n}@example.org") });
        flow(&world.post("/v1/password-reset", &body).await);
    }
    assert!(world.mails().await.is_empty(), "no account has these addresses");
    let beyond = change(&world, &pair, "two@example.org", PASSWORD).await;
    assert_eq!(beyond.to_string(), sent.to_string());
    assert!(world.mails().await.is_empty(), "neither the stranger nor the owner gets a mail");
    assert_eq!(change(&world, &pair, "two@example.org", "wrong").await.status, 403);
    flow(&change_from(&world, 1, &pair, "two@example.org").await);
    assert_eq!(world.mails().await.len(), 2);
}

#[tokio::test]
async fn a71_address_changes_are_limited_for_each_account() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), true).await;
    let (dana, max) = (world.sign_in("dana").await, world.sign_in("max").await);
    let mut mails = Vec::new();
    for n in 0..10_u8 {
        flow(&change_from(&world, n, &dana, &format!("stranger{n}@example.org")).await);
        mails.extend(world.mails().await);
    }
    let count = |wanted| mails.iter().filter(|email| email.kind == wanted).count();
    let expected = limits::ADDRESS_CHANGES as usize;
    assert_eq!([MailKind::EmailChange, MailKind::EmailChangeAsked].map(count), [expected; 2]);
    flow(&change_from(&world, 0, &max, "stranger0@example.org").await);
    assert_eq!(world.mails().await.len(), 2, "another account");
}
