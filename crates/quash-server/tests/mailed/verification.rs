//! Confirming an address.

use quash_core::model::{AccountState, MailKind};
use serde_json::json;

use super::{NEW_PASSWORD, flow};
use crate::support::{Call, PASSWORD, World, code, kinds_and_places, link, millis, secs};

#[tokio::test]
async fn a05_unverified_sign_ins_resend_mails_once_a_minute() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), false).await;
    assert_eq!(world.attempt("max", "wrong").await.status, 401);
    assert!(world.mails().await.is_empty(), "a wrong password sends nothing");
    let refused = world.attempt("max", PASSWORD).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (401, Some("email_not_verified")));
    let first = world.mails().await;
    assert_eq!(kinds_and_places(&first), [(MailKind::Verification, "max@example.org")]);
    world.wait(millis(59_999));
    assert_eq!(world.attempt("max", PASSWORD).await.to_string(), refused.to_string());
    assert!(world.mails().await.is_empty());
    world.wait(millis(1));
    assert_eq!(world.attempt("max", PASSWORD).await.to_string(), refused.to_string());
    let second = world.mails().await;
    assert_eq!(second.len(), 1);
    for (email, status) in [(&first[0], 400), (&second[0], 200), (&second[0], 400)] {
        assert_eq!(
            world.post("/v1/email-verification/confirm", &json!({ "token": link(email) })).await.status,
            status
        );
    }
    world.assert_live(&world.sign_in("max").await).await;
}

#[tokio::test]
async fn a07_only_unconfirmed_addresses_get_verification_mails() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), false).await;
    let mut answers = Vec::new();
    for body in [
        json!({ "username": "max" }),
        json!({ "email": "max@example.org" }),
        json!({ "username": "dana" }),
        json!({ "username": "noor" }),
        json!({ "email": "?" }),
    ] {
        answers.push(world.post("/v1/email-verification", &body).await.to_string());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(world.mails().await.len(), 2);
}

#[tokio::test]
async fn codes_confirm_addresses_without_ending_sessions() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), true).await;
    let pair = world.sign_in("max").await;
    world.add("lee", Some("lee@example.org"), false).await;
    let id = flow(&world.post("/v1/email-verification", &json!({ "email": "lee@example.org" })).await);
    let body = json!({ "flow": id, "code": code(&world.mails().await[0]) });
    insta::assert_snapshot!(world.post("/v1/email-verification/confirm", &body).await.brief(), @"200 {}");
    assert_eq!(world.post("/v1/email-verification/confirm", &body).await.status, 400);
    world.assert_live(&world.sign_in("lee").await).await;
    world.assert_live(&pair).await;
    world.wait(secs(1));
    assert!(world.mails().await.is_empty());
}

#[tokio::test]
async fn a29_mail_codes_never_count_against_accounts() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.add("lee", Some("lee@example.org"), false).await;
    let change = Call::post("/v1/me/email")
        .bearer(&pair.access)
        .json(&json!({ "email": "new@example.org", "password": PASSWORD }));
    let flows = [
        (
            "/v1/password-reset/confirm",
            world.post("/v1/password-reset", &json!({ "username": "dana" })).await,
        ),
        (
            "/v1/email-verification/confirm",
            world.post("/v1/email-verification", &json!({ "email": "lee@example.org" })).await,
        ),
        ("/v1/me/email/confirm", world.send(change).await),
    ];
    let mails = world.mails().await;
    let kinds = [MailKind::Reset, MailKind::Verification, MailKind::EmailChange];
    world.guess("dana", 4).await;
    world.guess("lee", 4).await;
    for ((path, asked), kind) in flows.iter().zip(kinds) {
        let confirm = async |code: &str| {
            let mut body = json!({ "flow": flow(asked), "code": code });
            if kind == MailKind::Reset {
                body["new_password"] = json!(NEW_PASSWORD);
            }
            world.send(Call::post(path).bearer(&pair.access).json(&body)).await.status
        };
        for _ in 0..5 {
            assert_eq!(confirm("AAAAA-AAAAA").await, 400, "{path}");
        }
        let right = mails.iter().find(|email| email.kind == kind).expect("a mail");
        assert_eq!(confirm(&code(right)).await, 400, "one past the edge: {path}");
    }
    for name in ["dana", "lee"] {
        assert_eq!(world.account(name).await.state, AccountState::Active);
    }
    world.sign_in("dana").await;
    assert_eq!(world.attempt("lee", PASSWORD).await.json()["code"], "email_not_verified");
}
