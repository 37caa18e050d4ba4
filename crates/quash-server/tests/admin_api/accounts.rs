//! Accounts are listed, searched, shown, added, and changed under a condition.

use std::sync::Arc;

use http::Method;
use http::header::IF_MATCH;
use quash_core::model::{AccountState, Actor, Clock, Event, Right};
use quash_store::Store;
use serde_json::{Value, json};

use super::support::{Answer, Call, PASSWORD, World, secs, subject};
use super::{all, client, field, get, post, send, world};

const ACCOUNTS: &str = "/admin/v1/accounts";
/// The hash of [`PASSWORD`] by Django 5.2.19, at a low cost.
const PBKDF2: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";

async fn with_accounts() -> (World, String) {
    let (world, secret) = world(&[Right::Read]).await;
    world.add("Dan", Some("dan@example.org"), false).await;
    world.add("dante", Some("Zoe@example.org"), true).await;
    world.add("lee", None, false).await;
    let until = world.clock.now() + secs(60);
    world.put("lee", AccountState::Locked { since: world.clock.now(), until }).await;
    world.deactivate("noor").await;
    (world, secret)
}

#[tokio::test]
async fn accounts_are_listed_and_searched_page_by_page() {
    let (world, secret) = with_accounts().await;
    for limit in ["1", "2", "200"] {
        for (query, subjects) in [
            ("", vec!["Dan", "dana", "dante", "lee", "noor"]),
            ("&name=dan", vec!["Dan", "dana", "dante"]),
            ("&name=DANA", vec!["dana"]),
            ("&name=x", vec![]),
            ("&email=dan", vec!["Dan", "dana"]),
            ("&email=ZOE%40", vec!["dante"]),
            ("&state=active", vec!["dana", "dante"]),
            ("&state=unverified", vec!["Dan"]),
            ("&state=locked", vec!["lee"]),
            ("&state=deactivated", vec!["noor"]),
            ("&state=active&name=dant", vec!["dante"]),
        ] {
            let target = format!("{ACCOUNTS}?limit={limit}{query}");
            assert_eq!(all(&world, &secret, &target, "subject").await, subjects, "{target}");
        }
    }
    world.wait(secs(61));
    assert_eq!(all(&world, &secret, &format!("{ACCOUNTS}?state=active&name=l"), "subject").await, ["lee"]);
}

#[tokio::test]
async fn pages_are_stable_while_accounts_change() {
    let (world, secret) = with_accounts().await;
    let page = get(&world, &secret, &format!("{ACCOUNTS}?limit=2")).await.json();
    let next = page["next"].as_str().expect("a next page");
    // The last account of the page is deleted, and another one is added before it.
    let deleted = world.service.delete(&subject("dana"), Actor::Operator.into()).await;
    deleted.expect("a deletion");
    world.add("adam", None, false).await;
    let rest = get(&world, &secret, &format!("{ACCOUNTS}?limit=2&cursor={next}")).await.json();
    let subjects: Vec<_> =
        rest["items"].as_array().expect("items").iter().map(|item| &item["subject"]).collect();
    assert_eq!(subjects, ["dante", "lee"]);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let (world, secret) = with_accounts().await;
    let by_name = get(&world, &secret, &format!("{ACCOUNTS}?limit=1")).await.json();
    let by_name = by_name["next"].as_str().expect("a next page");
    for (query, wrong) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=bmRhbmE%3D", "cursor"),
        (&format!("email=d&cursor={by_name}"), "cursor"),
        ("state=dead", "state"),
        ("email=d&name=d", "email"),
        ("email=d&state=active", "email"),
        ("name=a&name=b", "name"),
        ("nmae=a", "query"),
        ("name=%20", "name"),
        ("name=dan%00x", "name"),
        ("email=%00", "email"),
    ] {
        assert_eq!(field(&get(&world, &secret, &format!("{ACCOUNTS}?{query}")).await), wrong, "{query}");
    }
}

#[tokio::test]
async fn paths_without_parameters_refuse_them() {
    let (world, secret) = world(&[Right::Read]).await;
    for path in ["verifiers", "nodes", "statistics", "keys", "doctor"] {
        assert_eq!(
            field(&get(&world, &secret, &format!("/admin/v1/{path}?limit=1")).await),
            "query",
            "{path}"
        );
        assert_eq!(get(&world, &secret, &format!("/admin/v1/{path}")).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn searches_reveal_nothing_without_the_right() {
    let (world, _) = with_accounts().await;
    let others: Vec<Right> = Right::ALL
        .into_iter()
        .filter(|right| !matches!(right, Right::Read | Right::RevokeAsPublic))
        .collect();
    let secret = client(&world, "other", &others).await;
    let mut answers = vec![];
    for target in [
        ACCOUNTS,
        "/admin/v1/accounts?name=dana",
        "/admin/v1/accounts?name=nobody",
        "/admin/v1/accounts?cursor=x",
        "/admin/v1/accounts/dana",
        "/admin/v1/accounts/nobody",
        "/admin/v1/sessions",
        "/admin/v1/sessions?subject=dana",
        "/admin/v1/statistics",
    ] {
        let answer = get(&world, &secret, target).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (403, Some("right_required")),
            "{target}"
        );
        answers.push(answer.json());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "an existing account looks like a missing one");
}

#[tokio::test]
async fn an_account_is_shown_without_its_password() {
    let (world, secret) = world(&[Right::Read]).await;
    let answer = get(&world, &secret, "/admin/v1/accounts/dana").await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
    let shown = answer.json();
    let members: Vec<_> = shown.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "subject",
        "username",
        "email",
        "email_verified_at",
        "state",
        "locked_until",
        "password_usable",
        "password_change_until",
        "created_at",
        "last_login_at",
        "claims",
    ];
    assert_eq!(members, expected);
    assert_eq!((&shown["email"], &shown["state"]), (&json!("dana@example.org"), &json!("active")));
    assert!(!answer.text().contains("argon2") && shown["password_usable"] == true);
    for target in ["/admin/v1/accounts/nobody", "/admin/v1/accounts/%0A", "/admin/v1/accounts/batch"] {
        assert_eq!(get(&world, &secret, target).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn accounts_are_added_with_a_password_or_a_hash() {
    let (world, secret) = world(&[Right::Accounts]).await;
    let kim = json!({ "username": "Kim", "password": PASSWORD, "email": "kim@example.org", "claims": { "role": "clerk" } });
    let answer = post(&world, &secret, ACCOUNTS, &kim).await;
    assert_eq!((answer.status, answer.header("etag")), (201, Some("\"1\"")), "{answer}");
    let added = answer.json();
    let subject = added["subject"].as_str().expect("a subject");
    assert_eq!(answer.header("location"), Some(&*format!("{ACCOUNTS}/{subject}")));
    assert_eq!((&added["state"], &added["claims"]["role"]), (&json!("unverified"), &json!("clerk")));
    assert!(!answer.text().contains(PASSWORD));

    let lee = json!({ "username": "lee", "subject": "a b", "password_hash": PBKDF2, "state": "deactivated" });
    let answer = post(&world, &secret, ACCOUNTS, &lee).await;
    assert_eq!(answer.header("location"), Some("/admin/v1/accounts/a%20b"), "{answer}");
    assert_eq!(answer.json()["state"], "deactivated");
    assert_eq!(post(&world, &secret, "/admin/v1/accounts/a%20b/reactivate", &Value::Null).await.status, 200);
    world.sign_in("lee").await;

    let audit = world.store.audit(0, None, 99).await.expect("the audit");
    let added: Vec<_> = audit.iter().filter(|row| row.new.event == Event::AccountAdded).collect();
    assert!(added.iter().rev().take(2).all(|row| row.new.actor.as_str() == "client:admin"));
}

#[tokio::test]
async fn wrong_values_of_new_accounts_are_named() {
    let (world, secret) = world(&[Right::Accounts]).await;
    for (body, wrong) in [
        (json!({}), "username"),
        (json!({ "username": "" }), "username"),
        (json!({ "username": 7 }), "username"),
        (json!({ "username": "kim", "email": "kim" }), "email"),
        (json!({ "username": "kim", "email_verified": "yes" }), "email_verified"),
        (json!({ "username": "kim", "subject": "" }), "subject"),
        (json!({ "username": "kim", "password": "123" }), "password"),
        (json!({ "username": "kim", "password_hash": "md5$x" }), "password_hash"),
        (json!({ "username": "kim", "password": PASSWORD, "password_hash": PBKDF2 }), "password_hash"),
        (json!({ "username": "kim", "state": "locked" }), "state"),
        (json!({ "username": "kim", "claims": { "jti": "x" } }), "claims"),
    ] {
        let answer = post(&world, &secret, ACCOUNTS, &body).await;
        assert_eq!(field(&answer), wrong, "{body}");
        assert!(!answer.text().contains("md5$x"));
    }
    assert_eq!(post(&world, &secret, ACCOUNTS, &json!({ "username": "kim", "role": "x" })).await.status, 400);
}

#[tokio::test]
async fn taken_values_of_new_accounts_are_conflicts() {
    let (world, secret) = world(&[Right::Accounts]).await;
    world.add("gone", None, false).await;
    assert_eq!(
        send(&world, &secret, Method::DELETE, "/admin/v1/accounts/gone", &Value::Null).await.status,
        204
    );
    for (body, word) in [
        (json!({ "username": "DANA" }), "name"),
        (json!({ "username": "other", "email": "Dana@example.org" }), "e-mail"),
        (json!({ "username": "other", "subject": "dana" }), "subject"),
        (json!({ "username": "other", "subject": "gone" }), "subject"),
    ] {
        let answer = post(&world, &secret, ACCOUNTS, &body).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("conflict")), "{body}");
        assert!(answer.json()["detail"].as_str().expect("a text").contains(word), "{answer}");
    }
}

#[tokio::test]
async fn a_name_is_added_once_by_concurrent_requests() {
    let (world, secret) = world(&[Right::Accounts]).await;
    let world = Arc::new(world);
    let mut requests = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (world, secret) = (Arc::clone(&world), secret.clone());
        let body = json!({ "username": if n % 2 == 0 { "kim" } else { "KIM" }, "email": "kim@example.org" });
        requests.spawn(async move { post(&world, &secret, ACCOUNTS, &body).await.status });
    }
    let mut statuses = requests.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

async fn rename_at(world: &World, secret: &str, tag: &str, name: &str) -> Answer {
    let call = Call::of(Method::PATCH, "/admin/v1/accounts/dana").bearer(secret);
    world.send(call.json(&json!({ "username": name })).header(IF_MATCH, tag)).await
}

#[tokio::test]
async fn one_of_two_changes_of_the_same_version_wins() {
    let (world, secret) = world(&[Right::Read, Right::Accounts]).await;
    let tag = get(&world, &secret, "/admin/v1/accounts/dana").await.header("etag").expect("a tag").to_owned();
    let both =
        tokio::join!(rename_at(&world, &secret, &tag, "dana2"), rename_at(&world, &secret, &tag, "dana3"));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{} {}", both.0, both.1);
    let refused = if both.0.status == 412 { both.0 } else { both.1 };
    assert_eq!(refused.json()["code"], "version_differs");
    // A sign-in changes no version.
    let tag = get(&world, &secret, "/admin/v1/accounts/dana").await.header("etag").expect("a tag").to_owned();
    let name = world.account("dana").await.username.shown().to_owned();
    world.sign_in(&name).await;
    for (tag, status) in [("\"999\"", 412), ("W/\"1\"", 412), ("x", 412), (&*tag, 200), ("*", 200)] {
        assert_eq!(rename_at(&world, &secret, tag, "dana").await.status, status, "{tag}");
    }
    let missing = Call::of(Method::PATCH, "/admin/v1/accounts/nobody").bearer(&secret).json(&json!({}));
    assert_eq!(world.send(missing.header(IF_MATCH, "\"1\"")).await.status, 404);
}
