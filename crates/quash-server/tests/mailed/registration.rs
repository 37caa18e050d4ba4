//! Registering.

use quash_core::model::{AccountState, MailKind};
use quash_server::{DoorSettings, Registration};
use serde_json::{Value, json};

use crate::flow;
use crate::support::{PASSWORD, Plan, World, code, kinds_and_places, link};

async fn open() -> World {
    let settings = DoorSettings { registration: Registration::Open, ..DoorSettings::default() };
    World::planned(Plan { settings, ..Plan::default() }).await
}

fn body(name: &str, email: &str) -> Value {
    json!({ "username": name, "email": email, "password": PASSWORD })
}

#[tokio::test]
async fn whoever_registers_may_sign_in_once_the_address_is_confirmed() {
    let world = open().await;
    let answer = world.post("/v1/registration", &body("Max", "Max@example.org")).await;
    insta::assert_snapshot!(answer.brief(), @r#"202 {"flow":"<id>"}"#);
    let mails = world.mails().await;
    assert_eq!(kinds_and_places(&mails), [(MailKind::Verification, "Max@example.org")]);
    assert_eq!(world.attempt("max", PASSWORD).await.json()["code"], "email_not_verified");
    let confirm = json!({ "flow": flow(&answer), "code": code(&mails[0]) });
    assert_eq!(world.post("/v1/email-verification/confirm", &confirm).await.status, 200);
    world.assert_live(&world.sign_in("max").await).await;
}

#[tokio::test]
async fn registering_is_closed_unless_it_is_opened() {
    let world = World::open().await;
    assert_eq!(world.post("/v1/registration", &body("max", "max@example.org")).await.status, 404);
    assert!(world.service.account("max").await.expect("a store").is_none());
}

#[tokio::test]
async fn a08_a_taken_name_or_address_is_answered_like_a_free_one_and_a_mail_says_so() {
    let world = open().await;
    world.hashes();
    let free = world.post("/v1/registration", &body("max", "max@example.org")).await;
    assert_eq!(world.hashes(), 1);
    assert_eq!(world.mails().await.len(), 1);
    let cases = [
        ("dana", "dana@example.org", MailKind::AddressTaken, "dana@example.org"),
        ("other", "DANA@example.org", MailKind::AddressTaken, "dana@example.org"),
        ("max", "other@example.org", MailKind::NameTaken, "other@example.org"),
        ("NOOR", "third@example.org", MailKind::NameTaken, "third@example.org"),
    ];
    for (name, email, kind, told) in cases {
        let answer = world.post("/v1/registration", &body(name, email)).await;
        assert_eq!(answer.to_string(), free.to_string(), "{name} {email}");
        assert_eq!(world.hashes(), 1, "{name} {email}");
        assert_eq!(kinds_and_places(&world.mails().await), [(kind, told)]);
    }
    assert!(world.service.account("other").await.expect("a store").is_none());
    world.assert_live(&world.sign_in("dana").await).await;
}

#[tokio::test]
async fn a15_names_that_look_alike_register_once() {
    let world = open().await;
    world.post("/v1/registration", &body("admin", "admin@example.org")).await;
    world.post("/v1/registration", &body("kim", "kim@example.org")).await;
    world.mails().await;
    for (n, name) in ["ADMIN", "\u{ff41}dmin", " admin ", "\u{212a}im"].into_iter().enumerate() {
        let email = format!("second{n}@example.org");
        assert_eq!(world.post("/v1/registration", &body(name, &email)).await.status, 202);
        assert_eq!(kinds_and_places(&world.mails().await), [(MailKind::NameTaken, email.as_str())], "{name}");
    }
    for name in ["ad\u{200b}min", "\u{202e}nimda", "a\nb"] {
        let answer = world.post("/v1/registration", &body(name, "third@example.org")).await;
        assert_eq!((answer.status, answer.json()["errors"]["username"].is_array()), (400, true), "{name:?}");
    }
    assert_eq!(world.service.accounts(None, 100).await.expect("a store").len(), 4);
}

#[tokio::test]
async fn a16_what_is_no_address_gets_no_mail() {
    let world = open().await;
    let huge = format!("{}@example.org", "x".repeat(60_000));
    for email in [
        "a@b@c",
        "a\u{ff20}example.org",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org, b@example.org",
        "a@example.org,b@example.org",
        "\"a\"@example.org",
        "a@[1.2.3.4]",
        "a@localhost",
        "a",
        &huge,
    ] {
        let answer = world.post("/v1/registration", &body("max", email)).await;
        assert_eq!((answer.status, answer.json()["errors"]["email"].is_array()), (400, true), "{email:?}");
    }
    insta::assert_snapshot!(world.post("/v1/registration", &body("", "a@b@c")).await.json()["errors"], @r#"{"username":["This field may not be blank."]}"#);
    insta::assert_snapshot!(world.post("/v1/registration", &body("a\u{200b}", "a@b@c")).await.json()["errors"], @r#"{"username":["This holds an invisible character."],"email":["This is not an e-mail address."]}"#);
    assert!(world.mails().await.is_empty());
}

#[tokio::test]
async fn a17_nobody_says_of_themselves_what_they_may() {
    let world = open().await;
    let mut wished = body("max", "max@example.org");
    for (name, value) in [
        ("is_admin", json!(true)),
        ("is_staff", json!(true)),
        ("is_active", json!(true)),
        ("email_verified", json!(true)),
        ("verified_at", json!(1)),
        ("id", json!(1)),
        ("subject", json!("admin")),
        ("token_version", json!(9)),
        ("state", json!("active")),
        ("claims", json!({ "role": "admin" })),
        ("locks", json!(0)),
    ] {
        wished[name] = value;
    }
    assert_eq!(world.post("/v1/registration", &wished).await.status, 202);
    let account = world.service.account("max").await.expect("a store").expect("an account");
    assert_ne!(account.subject.as_str(), "admin");
    assert!(account.email.is_some_and(|email| email.verified_at.is_none()));
    assert_eq!((account.state, account.version, account.claims), (AccountState::Active, 1, Default::default()));
    assert_eq!(world.attempt("max", PASSWORD).await.json()["code"], "email_not_verified");
}

#[tokio::test]
async fn a71_registering_sends_one_address_no_more_mails_than_others_do() {
    let world = open().await;
    for n in 0..20 {
        assert_eq!(world.post("/v1/registration", &body(&format!("max{n}"), "max@example.org")).await.status, 202);
    }
    assert_eq!(world.mails().await.len(), 5);
}

#[tokio::test]
async fn who_has_registered_anothers_address_loses_it_to_a_reset() {
    let world = open().await;
    world.post("/v1/registration", &body("squatter", "max@example.org")).await;
    world.mails().await;
    crate::ask(&world, json!({ "email": "max@example.org" })).await;
    assert_eq!(crate::reset(&world, &link(&world.mails().await[0])).await.status, 200);
    assert_eq!(world.attempt("squatter", PASSWORD).await.status, 401);
    world.assert_live(&world.attempt("squatter", crate::NEW_PASSWORD).await.pair()).await;
}

#[tokio::test]
async fn two_at_once_make_one_account() {
    let world = open().await;
    let (left, right) = (body("max", "one@example.org"), body("MAX", "two@example.org"));
    let (one, other) = tokio::join!(world.post("/v1/registration", &left), world.post("/v1/registration", &right));
    assert_eq!((one.status, other.status), (202, 202));
    let mut kinds: Vec<_> = world.mails().await.iter().map(|letter| letter.kind).collect();
    kinds.sort_by_key(|kind| kind.as_str());
    assert_eq!(kinds, [MailKind::NameTaken, MailKind::Verification]);
}
