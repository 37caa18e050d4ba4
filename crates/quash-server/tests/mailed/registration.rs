//! Registration.

use std::sync::Arc;

use quash_core::model::{AccountState, MailKind};
use quash_server::{HttpSettings, Registration};
use serde_json::{Value, json};

use super::{danas_link, flow, reset};
use crate::support::{Answer, Call, PASSWORD, Plan, World, code, kinds_and_places, link, millis, secs};

async fn open() -> World {
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    World::planned(Plan { settings, ..Plan::default() }).await
}

fn body(name: &str, email: &str) -> Value {
    json!({ "username": name, "email": email, "password": PASSWORD })
}

#[tokio::test]
async fn registered_users_sign_in_after_confirming_their_address() {
    let world = open().await;
    let answer = world.post("/v1/registration", &body("Max", "Max@example.org")).await;
    insta::assert_snapshot!(answer.brief(), @r#"202 {"flow":"<id>"}"#);
    let mails = world.mails().await;
    assert_eq!(kinds_and_places(&mails), [(MailKind::Verification, "Max@example.org")]);
    assert!(world.service.account("max").await.expect("a store").is_none(), "no account before that");
    let confirm = json!({ "flow": flow(&answer), "code": code(&mails[0]) });
    assert_eq!(world.post("/v1/email-verification/confirm", &confirm).await.status, 200);
    assert_eq!(world.post("/v1/email-verification/confirm", &confirm).await.status, 400, "once");
    world.assert_live(&world.sign_in("max").await).await;
    let account = world.service.account("max").await.expect("a store").expect("an account");
    assert_eq!(account.username.shown(), "Max");
    assert_eq!(account.email.and_then(|email| email.verified_at), Some(world.service.now()));
}

#[tokio::test]
async fn registration_is_disabled_by_default() {
    let world = World::open().await;
    assert_eq!(world.post("/v1/registration", &body("max", "max@example.org")).await.status, 404);
    assert!(world.service.account("max").await.expect("a store").is_none());
}

#[tokio::test]
async fn a08_taken_names_and_addresses_are_reported_by_mail() {
    let world = open().await;
    world.hashes();
    let free = world.post("/v1/registration", &body("max", "max@example.org")).await;
    assert_eq!(world.hashes(), 1);
    assert_eq!(world.mails().await.len(), 1);
    let cases = [
        ("dana", "dana@example.org", MailKind::AddressTaken, "dana@example.org"),
        ("other", "DANA@example.org", MailKind::AddressTaken, "dana@example.org"),
        ("Dana", "other@example.org", MailKind::NameTaken, "other@example.org"),
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

/// Registers, and returns the link that completes the registration.
async fn registered(world: &World, name: &str, email: &str) -> String {
    assert_eq!(world.post("/v1/registration", &body(name, email)).await.status, 202);
    let mails = world.mails().await;
    assert_eq!(kinds_and_places(&mails), [(MailKind::Verification, email)]);
    link(&mails[0])
}

async fn confirm(world: &World, link: &str) -> Answer {
    world.post("/v1/email-verification/confirm", &json!({ "token": link })).await
}

#[tokio::test]
async fn a08_sign_in_does_not_reveal_taken_names() {
    let world = open().await;
    for (name, email) in [("free", "free@example.org"), ("dana", "taken@example.org")] {
        assert_eq!(world.post("/v1/registration", &body(name, email)).await.status, 202);
    }
    world.mails().await;
    world.hashes();
    let mut answers = Vec::new();
    for (name, password) in [
        ("free", PASSWORD),
        ("free", "wrong"),
        ("dana", "wrong"),
        ("nobody", PASSWORD),
        ("free@example.org", PASSWORD),
    ] {
        answers.push(world.attempt(name, password).await.to_string());
        assert_eq!(world.hashes(), 1, "{name}");
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert!(world.mails().await.is_empty(), "signing in reminds nobody of a registration");
    let asked = world.post("/v1/password-reset", &json!({ "email": "free@example.org" })).await;
    assert_eq!((asked.status, world.mails().await.len()), (202, 0), "nor is there a password to reset");
}

#[tokio::test]
async fn mistyped_addresses_reserve_nothing() {
    let world = open().await;
    let mistyped = registered(&world, "max", "max@exmaple.org").await;
    let corrected = registered(&world, "max", "max@example.org").await;
    assert_eq!(confirm(&world, &corrected).await.status, 200);
    world.assert_live(&world.sign_in("max").await).await;
    insta::assert_snapshot!(confirm(&world, &mistyped).await, @r#"
    409
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/registration_taken","title":"Registration taken","status":409,"detail":"Another account has taken the name or the address since. Register again.","code":"registration_taken"}
    "#);
    // The mistyped address is still available.
    let other = registered(&world, "maxine", "max@exmaple.org").await;
    assert_eq!(confirm(&world, &other).await.status, 200);
}

#[tokio::test]
async fn foreign_registrations_do_not_lock_out_the_owner() {
    let world = open().await;
    let strangers = registered(&world, "stranger", "max@example.org").await;
    let owners = registered(&world, "max", "max@example.org").await;
    let again = registered(&world, "stranger2", "max@example.org").await;
    assert_eq!(confirm(&world, &owners).await.status, 200, "a later registration leaves the link as it is");
    for link in [strangers, again] {
        assert_eq!(confirm(&world, &link).await.json()["code"], "registration_taken");
    }
    world.assert_live(&world.sign_in("max").await).await;
    assert_eq!(world.attempt("stranger", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn registrations_expire_with_their_link() {
    let mut plan = Plan {
        settings: HttpSettings { registration: Registration::Open, ..HttpSettings::default() },
        ..Plan::default()
    };
    plan.policy.registration.link_lifetime = secs(2 * 3600);
    let world = World::planned(plan).await;
    let (first, second) = (
        registered(&world, "max", "max@example.org").await,
        registered(&world, "lee", "lee@example.org").await,
    );
    world.wait(millis(2 * 3_600_000 - 1));
    assert_eq!(confirm(&world, &first).await.status, 200);
    world.wait(millis(1));
    assert_eq!(confirm(&world, &second).await.json()["code"], "link_not_valid");
    world.post("/v1/email-verification", &json!({ "email": "lee@example.org" })).await;
    assert!(world.mails().await.is_empty(), "there is nothing left to confirm");
}

#[tokio::test]
async fn registration_mails_are_resent_on_request() {
    let world = open().await;
    let mut link = registered(&world, "max", "max@example.org").await;
    for (asked, is_last) in
        [(json!({ "username": "MAX" }), false), (json!({ "email": "max@example.org" }), true)]
    {
        world.wait(secs(3000));
        let answer = world.post("/v1/email-verification", &asked).await;
        let nothing = world.post("/v1/email-verification", &json!({ "username": "nobody" })).await;
        assert_eq!(answer.to_string(), nothing.to_string());
        let mails = world.mails().await;
        assert_eq!(kinds_and_places(&mails), [(MailKind::Verification, "max@example.org")]);
        assert_eq!(confirm(&world, &link).await.status, 400, "the link before is replaced");
        link = crate::support::link(&mails[0]);
        if is_last {
            let proof = json!({ "flow": flow(&answer), "code": code(&mails[0]) });
            assert_eq!(world.post("/v1/email-verification/confirm", &proof).await.status, 200);
        }
    }
    world.assert_live(&world.sign_in("max").await).await;
    world.post("/v1/email-verification", &json!({ "username": "max" })).await;
    assert!(world.mails().await.is_empty());
}

#[tokio::test]
async fn confirmation_pages_show_the_user_name() {
    let world = open().await;
    let link = registered(&world, "<b>Max</b>", "max@example.org").await;
    let page = world.send(Call::get(&format!("/verify?token={link}"))).await;
    assert!(
        page.status == 200 && page.text().contains("<strong>&#60;b&#62;Max&#60;/b&#62;</strong>"),
        "{page}"
    );
    let other = registered(&world, "<b>max</b>", "lee@example.org").await;
    assert_eq!(confirm(&world, &other).await.status, 200);
    let sent = Call::post("/verify").body("application/x-www-form-urlencoded", format!("token={link}"));
    let page = world.send(sent).await;
    assert!(page.status == 409 && page.text().contains("This name or address has been taken"), "{page}");
}

#[tokio::test]
async fn a15_lookalike_names_register_once() {
    let world = open().await;
    for name in ["admin", "kim"] {
        let link = registered(&world, name, &format!("{name}@example.org")).await;
        assert_eq!(confirm(&world, &link).await.status, 200);
    }
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
async fn a16_invalid_addresses_get_no_mail() {
    let world = open().await;
    let huge = format!("{}@example.org", "x".repeat(30_000));
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
async fn a17_registrations_cannot_set_permissions() {
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
    assert_eq!(world.attempt("max", PASSWORD).await.status, 401);
    assert_eq!(confirm(&world, &link(&world.mails().await[0])).await.status, 200);
    let account = world.service.account("max").await.expect("a store").expect("an account");
    assert_ne!(account.subject.as_str(), "admin");
    assert_eq!(
        (account.state, account.version, account.claims),
        (AccountState::Active, 1, Default::default())
    );
}

#[tokio::test]
async fn a71_registration_mails_share_the_address_limit() {
    let world = open().await;
    for n in 0..20 {
        assert_eq!(
            world.post("/v1/registration", &body(&format!("max{n}"), "max@example.org")).await.status,
            202
        );
    }
    assert_eq!(world.mails().await.len(), 5);
}

/// Requests from strangers can't suppress the mails that the owner of an address needs.
#[tokio::test]
async fn a71_strangers_requests_do_not_use_up_resets() {
    let world = open().await;
    world.add("max", Some("max@example.org"), true).await;
    let max = world.sign_in("max").await;
    for n in 0..6 {
        flow(&world.post("/v1/registration", &body(&format!("new{n}"), "dana@example.org")).await);
    }
    for _ in 0..6 {
        let body = json!({ "email": "dana@example.org", "password": PASSWORD });
        flow(&world.send(Call::post("/v1/me/email").bearer(&max.access).json(&body)).await);
    }
    let mails = world.mails().await;
    let to_dana = kinds_and_places(&mails).into_iter().filter(|(_, to)| *to == "dana@example.org");
    assert_eq!(to_dana.collect::<Vec<_>>(), [(MailKind::AddressTaken, "dana@example.org"); 5]);
    assert_eq!(reset(&world, &danas_link(&world).await).await.status, 200);
}

/// The same before the address is confirmed: the confirmation comes, too.
#[tokio::test]
async fn a71_strangers_requests_do_not_use_up_confirmations() {
    let world = open().await;
    world.add("max", Some("max@example.org"), false).await;
    for n in 0..6 {
        flow(&world.post("/v1/registration", &body(&format!("new{n}"), "max@example.org")).await);
        flow(&world.post("/v1/password-reset", &json!({ "username": "max" })).await);
    }
    assert_eq!(world.mails().await.len(), 10);
    flow(&world.post("/v1/email-verification", &json!({ "username": "max" })).await);
    assert_eq!(kinds_and_places(&world.mails().await), [(MailKind::Verification, "max@example.org")]);
}

#[tokio::test]
async fn concurrent_confirmations_create_one_account() {
    let world = open().await;
    let (left, right) = (body("max", "one@example.org"), body("MAX", "two@example.org"));
    let (one, other) =
        tokio::join!(world.post("/v1/registration", &left), world.post("/v1/registration", &right));
    assert_eq!((one.status, other.status), (202, 202));
    let links: Vec<String> = world.mails().await.iter().map(link).collect();
    let (one, other) = tokio::join!(confirm(&world, &links[0]), confirm(&world, &links[1]));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn addresses_taken_meanwhile_refuse_the_registration() {
    let world = open().await;
    let link = registered(&world, "max", "max@example.org").await;
    world.add("lee", Some("MAX@example.org"), false).await;
    assert_eq!(confirm(&world, &link).await.json()["code"], "registration_taken");
    assert!(world.service.account("max").await.expect("a store").is_none());
}

#[tokio::test]
async fn registrations_count_for_their_network_before_hashing() {
    let world = open().await;
    world.hashes();
    for n in 0..50 {
        assert_eq!(
            world
                .post("/v1/registration", &body(&format!("max{n}"), &format!("max{n}@example.org")))
                .await
                .status,
            202
        );
    }
    assert_eq!(world.hashes(), 50);
    assert_eq!(world.post("/v1/registration", &body("max50", "max50@example.org")).await.status, 202);
    let common = json!({ "username": "max50", "email": "max50@example.org", "password": "password" });
    assert_eq!(world.post("/v1/registration", &common).await.status, 202, "no password is checked either");
    assert_eq!(world.hashes(), 0);
    let elsewhere =
        Call { peer: Some(([198, 51, 100, 7], 1).into()), ..Call::post("/v1/registration").json(&common) };
    assert_eq!(world.send(elsewhere).await.json()["code"], "password_refused");
}

#[tokio::test]
async fn registrations_have_four_places_in_the_queue() {
    let settings = HttpSettings { registration: Registration::Open, ..HttpSettings::default() };
    let (plan, valve) = Plan::valved();
    let world = Arc::new(World::planned(Plan { settings, ..plan }).await);
    let register = |n: usize| {
        Call::post("/v1/registration").json(&body(&format!("max{n}"), &format!("max{n}@example.org")))
    };
    let sign_in = Call::post("/api/token/").json(&json!({ "username": "dana", "password": PASSWORD }));
    let blocking = Call { peer: Some(([198, 51, 100, 7], 1).into()), ..sign_in.clone() };
    let elsewhere = Call { peer: Some(([198, 51, 100, 8], 1).into()), ..sign_in };
    let calls = [blocking].into_iter().chain((0..5).map(register)).chain([elsewhere]);
    let answers = world.at_once_as_they_are(&valve, calls.collect()).await;
    assert_eq!(
        answers.iter().map(|answer| answer.status).collect::<Vec<_>>(),
        [200, 202, 202, 202, 202, 429, 200]
    );
}
