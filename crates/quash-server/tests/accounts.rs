//! Accounts that another system keeps: added and changed in batches, and one at a time.

use crate::support;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use quash_core::model::{
    AccountState, Entropy, Event, Namespace, NamespaceClaims, Right, Seeded, Subjects, draw,
};
use quash_store::Store;
use serde_json::{Value, json};

use support::{Answer, Call, FaultyStore, PASSWORD, Part, Plan, START, World, subject};

/// Hashes of [`PASSWORD`] by Django 5.2.19, at a low cost.
const PBKDF2: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";
const BCRYPT: &str = "bcrypt$$2b$04$jlNnVSsHDvAC72wwXOBhLeM0tiT4a2CwClmN9LjBL762zG/aVcN4C";
const PATH: &str = "/admin/v1/accounts/";

/// A world, and the secret of a client that may keep its accounts.
pub(crate) async fn world(plan: Plan) -> (World, String) {
    let world = World::planned(plan).await;
    let secret = secret(&world, &[Right::Feed, Right::Introspect, Right::Accounts]).await;
    (world, secret)
}

async fn secret(world: &World, rights: &[Right]) -> String {
    let rights = rights.iter().copied().collect();
    let (_, secret) = world.service.add_client("site", rights, None).await.expect("a client");
    secret.into_text().to_string()
}

fn call(accounts: &Value) -> Call {
    Call::post(&format!("{PATH}batch")).json(&json!({ "accounts": accounts }))
}

pub(crate) async fn send(world: &World, secret: &str, accounts: &Value) -> Answer {
    world.send(call(accounts).bearer(secret)).await
}

/// Sends a batch and returns what was answered for each account: the outcome or, if it is refused, its code
/// and field.
async fn outcomes(world: &World, secret: &str, accounts: &Value) -> Vec<String> {
    let answer = send(world, secret, accounts).await;
    assert_eq!(answer.status, 200, "{answer}");
    let of = |account: &Value| match account["code"].as_str() {
        Some(code) => format!("{code} {}", account["field"].as_str().expect("a field")),
        None => account["outcome"].as_str().expect("an outcome").to_owned(),
    };
    answer.json()["accounts"].as_array().expect("a list").iter().map(of).collect()
}

pub(crate) async fn patch(world: &World, secret: &str, name: &str, changes: &Value) -> Answer {
    world.send(Call::of(Method::PATCH, &format!("{PATH}{name}")).json(changes).bearer(secret)).await
}

fn kim() -> Value {
    json!({
        "subject": "17", "username": "Kim", "email": "kim@example.org", "email_verified": true,
        "password_hash": PBKDF2, "state": "active", "claims": { "role": "clerk" },
    })
}

#[tokio::test]
async fn users_are_imported_and_sign_in() {
    let (world, secret) = world(Plan::default()).await;
    let accounts = json!([
        kim(),
        { "subject": "18", "username": "lee", "password_hash": BCRYPT },
        { "subject": "19", "username": "max", "password_hash": PBKDF2, "state": "deactivated" },
        { "subject": "20", "username": "nils", "password_hash": "!kJ3k", "email": null, "claims": null },
        { "subject": "21", "username": "ola", "password_hash": "", "email": "" },
    ]);
    insta::assert_snapshot!(send(&world, &secret, &accounts).await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"accounts":[{"subject":"17","outcome":"created"},{"subject":"18","outcome":"created"},{"subject":"19","outcome":"created"},{"subject":"20","outcome":"created"},{"subject":"21","outcome":"created"}]}
    "#);
    let pair = world.sign_in("kim").await;
    let claims = support::claims(&pair.access);
    assert_eq!((&claims["user_id"], &claims["role"]), (&json!("17"), &json!("clerk")));
    assert_eq!(world.attempt("lee", PASSWORD).await.status, 200);
    for name in ["max", "nils", "ola"] {
        assert_eq!(world.attempt(name, PASSWORD).await.status, 401, "{name}");
    }
    let audit = world.store.audit(0, Some(&subject("17")), 99).await.expect("the audit");
    assert_eq!((audit[0].new.event, audit[0].new.actor.as_str()), (Event::AccountAdded, "client:site"));
    // Signing in has replaced the hash by a better one.
    assert_ne!(world.account("17").await.password.expect("a hash").as_str(), PBKDF2);
    assert_eq!(outcomes(&world, &secret, &accounts).await, ["unchanged"; 5]);
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn only_differences_end_sessions() {
    let (world, secret) = world(Plan::default()).await;
    send(&world, &secret, &json!([kim()])).await;
    let with = |name: &str, value: Value| {
        let mut account = kim();
        account[name] = value;
        json!([account])
    };
    let pair = world.sign_in("kim").await;
    assert_eq!(outcomes(&world, &secret, &with("username", json!("kim k."))).await, ["changed"]);
    world.assert_live(&pair).await;
    assert_eq!(outcomes(&world, &secret, &with("claims", json!({ "role": "boss" }))).await, ["changed"]);
    assert_eq!(world.me(&pair.access).await.status, 401, "its access tokens name the old role");
    let pair = world.refresh(&pair.refresh).await.pair();
    // The claims that are left out stay.
    assert_eq!(outcomes(&world, &secret, &with("claims", Value::Null)).await, ["unchanged"]);
    world.assert_live(&pair).await;
    for (name, value) in [
        ("email", json!("other@example.org")),
        ("password_hash", json!(BCRYPT)),
        ("password_hash", Value::Null),
        ("state", json!("deactivated")),
    ] {
        outcomes(&world, &secret, &json!([kim()])).await;
        let pair = world.sign_in("kim").await;
        assert_eq!(outcomes(&world, &secret, &with(name, value.clone())).await, ["changed"], "{name}");
        world.assert_dead(&pair).await;
        assert_eq!(outcomes(&world, &secret, &with(name, value)).await, ["unchanged"], "{name}");
    }
    let audit = world.store.audit(0, Some(&subject("17")), 99).await.expect("the audit");
    let theirs = audit.iter().filter(|row| row.new.event != Event::SignedIn);
    assert!(theirs.clone().count() > 8 && theirs.clone().all(|row| row.new.actor.as_str() == "client:site"));
}

#[tokio::test]
async fn a_lock_is_no_state_of_the_site() {
    let (world, secret) = world(Plan::default()).await;
    send(&world, &secret, &json!([kim()])).await;
    world.guess("kim", 5).await;
    world.locked("17").await;
    assert_eq!(outcomes(&world, &secret, &json!([kim()])).await, ["unchanged"]);
    assert!(matches!(world.account("17").await.state, AccountState::Locked { .. }));
    let answer = patch(&world, &secret, "17", &json!({ "state": "active" })).await;
    assert_eq!(answer.json()["state"], "locked");
}

#[tokio::test]
async fn unusable_hashes_are_no_passwords() {
    let (world, secret) = world(Plan::default()).await;
    outcomes(&world, &secret, &json!([kim()])).await;
    for (hash, ends) in
        [(json!("!one"), true), (json!("!two"), true), (Value::Null, true), (json!("!one"), false)]
    {
        let answer = patch(&world, &secret, "17", &json!({ "password_hash": hash })).await.json();
        assert_eq!((&answer["password_usable"], answer["seq"].is_u64()), (&json!(false), ends), "{answer}");
        let again = patch(&world, &secret, "17", &json!({ "password_hash": hash })).await.json();
        assert_eq!(again["seq"], Value::Null, "{again}");
        assert_eq!(world.attempt("kim", "!one").await.status, 401);
    }
}

#[tokio::test]
async fn another_password_ends_a_lock() {
    let (world, secret) = world(Plan::default()).await;
    outcomes(&world, &secret, &json!([kim()])).await;
    world.guess("kim", 5).await;
    world.locked("17").await;
    patch(&world, &secret, "17", &json!({ "password_hash": PBKDF2 })).await;
    assert_eq!(world.attempt("kim", PASSWORD).await.status, 401);
    let answer = patch(&world, &secret, "17", &json!({ "password_hash": BCRYPT })).await;
    assert_eq!(answer.json()["state"], "active");
    assert_eq!(world.attempt("kim", PASSWORD).await.status, 200);
    // So does a batch; an account without a password stays locked.
    world.guess("kim", 5).await;
    world.locked("17").await;
    outcomes(&world, &secret, &json!([kim()])).await;
    assert_eq!(world.attempt("kim", PASSWORD).await.status, 200);
    world.guess("kim", 5).await;
    world.locked("17").await;
    let answer = patch(&world, &secret, "17", &json!({ "password_hash": null })).await;
    assert_eq!(answer.json()["state"], "locked");
}

/// Accounts that are refused, each with the code and the field.
fn refused() -> Vec<(Value, &'static str)> {
    let of = |more: Value| {
        let mut account = json!({ "subject": "17", "username": "kim" });
        account
            .as_object_mut()
            .expect("an object")
            .append(more.as_object().cloned().as_mut().expect("members"));
        account
    };
    vec![
        (of(json!({ "subject": "" })), "invalid subject"),
        (of(json!({ "subject": "x".repeat(256) })), "invalid subject"),
        (of(json!({ "username": " " })), "invalid username"),
        (of(json!({ "username": "n".repeat(151) })), "invalid username"),
        (of(json!({ "username": "18" })), "invalid username"),
        (of(json!({ "username": "DANA" })), "taken username"),
        (of(json!({ "username": "Noor" })), "taken username"),
        (of(json!({ "email": "kim" })), "invalid email"),
        (of(json!({ "email": "Dana@Example.org" })), "taken email"),
        (of(json!({ "password_hash": "md5$salt$hash" })), "hash_not_supported password_hash"),
        (
            of(json!({ "password_hash": "pbkdf2_sha256$99999999$c2FsdA$aGFzaA==" })),
            "hash_not_supported password_hash",
        ),
        (of(json!({ "claims": { "user_id": "1" } })), "invalid claims"),
        (of(json!({ "claims": { "a": "x".repeat(4096) } })), "invalid claims"),
    ]
}

#[tokio::test]
async fn refused_accounts_name_code_and_field() {
    let (world, secret) = world(Plan::default()).await;
    for (account, expected) in refused() {
        let answer = send(&world, &secret, &json!([account])).await;
        let refused = answer.json()["accounts"][0].clone();
        let told = format!(
            "{} {}",
            refused["code"].as_str().unwrap_or("none"),
            refused["field"].as_str().unwrap_or("none")
        );
        assert_eq!(told, expected, "{account}");
        assert!(!answer.text().contains("aGFzaA") && !answer.text().contains("md5$"), "{answer}");
    }
    assert!(world.service.account("17").await.expect("a store").is_none());
    // One that is refused holds up no other.
    let accounts = json!([
        { "subject": "1", "username": "a" },
        { "subject": "2", "username": "b", "password_hash": "x" },
        { "subject": "3", "username": "c", "email": "C@example.org" },
        { "subject": "4", "username": "A" },
        { "subject": "5", "username": "e", "email": "c@example.org" },
        { "subject": "1", "username": "f" },
    ]);
    let expected = [
        "created",
        "hash_not_supported password_hash",
        "created",
        "taken username",
        "taken email",
        "taken subject",
    ];
    assert_eq!(outcomes(&world, &secret, &accounts).await, expected);
    let accounts = json!([
        { "subject": "2", "username": "b", "password_hash": "x" },
        { "subject": "9", "username": "dana" },
    ]);
    insta::assert_snapshot!(send(&world, &secret, &accounts).await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"accounts":[{"subject":"2","outcome":"refused","code":"hash_not_supported","field":"password_hash","detail":"The password hash is of no known format; known formats are pbkdf2_sha256, pbkdf2_sha1, argon2, bcrypt_sha256, bcrypt and scrypt as Django writes them, and Argon2id in PHC format."},{"subject":"9","outcome":"refused","code":"taken","field":"username","detail":"Another account has this name."}]}
    "#);
}

#[tokio::test]
async fn addresses_that_cannot_be_mailed_to_refuse_no_user() {
    let (world, secret) = world(Plan::default()).await;
    let of = |subject: &str, email: &str, verified: bool| {
        let (name, hash) = (format!("user {subject}"), PBKDF2);
        json!({ "subject": subject, "username": name, "email": email, "email_verified": verified, "password_hash": hash })
    };
    let accounts = json!([
        of("1", "root@localhost", true),
        of("2", "k..m@example.org", false),
        of("3", "n/a", true),
        of("4", "n/a", true),
        of("5", "n/a", false),
    ]);
    insta::assert_snapshot!(send(&world, &secret, &accounts).await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"accounts":[{"subject":"1","outcome":"created","warning":{"code":"not_mailable","field":"email","detail":"No mail can be sent to the e-mail address."}},{"subject":"2","outcome":"created","warning":{"code":"not_mailable","field":"email","detail":"No mail can be sent to the e-mail address."}},{"subject":"3","outcome":"created","warning":{"code":"left_out","field":"email","detail":"The e-mail address can't be used, so the account has none."}},{"subject":"4","outcome":"created","warning":{"code":"left_out","field":"email","detail":"The e-mail address can't be used, so the account has none."}},{"subject":"5","outcome":"refused","code":"invalid","field":"email","detail":"The e-mail address is not an e-mail address."}]}
    "#);
    let answer = patch(&world, &secret, "1", &json!({ "email": "root@localhost" })).await.json();
    assert_eq!(
        (&answer["email"], &answer["warning"]["code"]),
        (&json!("root@localhost"), &json!("not_mailable"))
    );
    // An address that is confirmed nowhere prevents sign-ins, also if it can't be confirmed.
    for (name, status) in [("user 1", 200), ("user 2", 401), ("user 3", 200)] {
        assert_eq!(world.attempt(name, PASSWORD).await.status, status, "{name}");
    }
    for name in ["user 1", "user 2"] {
        world.send(Call::post("/v1/password-reset").json(&json!({ "username": name }))).await;
    }
    assert!(world.mails().await.is_empty(), "none is sent to them");
}

#[tokio::test]
async fn subjects_are_never_reused() {
    let (world, secret) = world(Plan::default()).await;
    send(&world, &secret, &json!([kim()])).await;
    world
        .service
        .delete(&subject("17"), quash_core::model::Actor::Operator.into())
        .await
        .expect("it is there");
    for run in [false, true] {
        let body = json!({ "dry_run": run, "accounts": [kim()] });
        let answer = world.send(Call::post(&format!("{PATH}batch")).json(&body).bearer(&secret)).await;
        assert_eq!(answer.json()["accounts"][0]["code"], "deleted", "{answer}");
    }
    assert_eq!(
        outcomes(&world, &secret, &json!([{ "subject": "noor k.", "username": "noor k." }])).await,
        ["created"]
    );
    assert_eq!(
        outcomes(&world, &secret, &json!([{ "subject": "Noor", "username": "else" }])).await,
        ["taken subject"]
    );
    assert_eq!(
        outcomes(&world, &secret, &json!([{ "subject": "7", "username": "noor K." }])).await,
        ["taken username"]
    );
}

#[tokio::test]
async fn numeric_subjects_are_given_and_allocated() {
    let mut plan = Plan::default();
    plan.policy.accounts.subjects = Subjects::Integer;
    let (world, secret) = world(plan).await;
    let users: Value =
        (100..300).map(|n| json!({ "subject": n.to_string(), "username": format!("u{n}") })).collect();
    assert_eq!(outcomes(&world, &secret, &users).await, vec!["created"; 200]);
    assert_eq!(
        outcomes(&world, &secret, &json!([{ "subject": "x", "username": "x" }])).await,
        ["invalid subject"]
    );
    assert_eq!(world.add("new", None, false).await.subject.as_str(), "300");
}

#[tokio::test]
async fn dry_runs_write_nothing() {
    let (world, secret) = world(Plan::default()).await;
    send(&world, &secret, &json!([kim()])).await;
    let before = (world.account("17").await, world.head().await);
    let mut accounts: Vec<_> = refused().into_iter().map(|(account, _)| account).collect();
    let mut changed = kim();
    changed["password_hash"] = json!(BCRYPT);
    accounts.splice(0..0, [changed, json!({ "subject": "18", "username": "lee" })]);
    // Each in a request of its own: most have the same subject.
    for account in accounts {
        let body = json!({ "dry_run": true, "accounts": [account] });
        let dry = world.send(Call::post(&format!("{PATH}batch")).json(&body).bearer(&secret)).await.json();
        assert!(world.service.account("18").await.expect("a store").is_none());
        assert_eq!((world.account("17").await, world.head().await), before);
        if account["subject"] == "17" && dry["accounts"][0]["outcome"] == "refused" {
            assert_eq!(dry, send(&world, &secret, &json!([account])).await.json());
        }
    }
    let unchanged = json!({ "dry_run": true, "accounts": [kim()] });
    let answer = world.send(Call::post(&format!("{PATH}batch")).json(&unchanged).bearer(&secret)).await;
    assert_eq!(answer.json()["accounts"][0]["outcome"], "unchanged");
}

#[tokio::test]
async fn malformed_accounts_are_reported_by_index() {
    let (world, secret) = world(Plan::default()).await;
    let accounts = json!([
        { "subject": "1", "username": "a" },
        { "username": "b" },
        { "subject": "2" },
        { "subject": 3, "username": "c" },
        { "subject": "3", "username": ["c"] },
        { "subject": "3", "username": "c", "email": true },
        { "subject": "3", "username": "c", "email_verified": "yes" },
        { "subject": "3", "username": "c", "password_hash": { "a": PBKDF2 } },
        { "subject": "3", "username": "c", "state": "locked" },
        { "subject": "3", "username": "c", "password": PASSWORD },
        "3",
        ["3", "c"],
    ]);
    let answer = send(&world, &secret, &accounts).await;
    let (required, text) = ("This field is required.", "Must be a text.");
    let expected = json!({
        "1": { "subject": [required] },
        "2": { "username": [required] },
        "3": { "subject": [text] },
        "4": { "username": [text] },
        "5": { "email": [text] },
        "6": { "email_verified": ["Must be `true` or `false`."] },
        "7": { "password_hash": [text] },
        "8": { "state": ["Must be `active` or `deactivated`."] },
        "9": { "non_field_errors": ["It isn't an object, or a member of it is unknown or occurs twice."] },
        "10": { "non_field_errors": ["It isn't an object, or a member of it is unknown or occurs twice."] },
        "11": { "non_field_errors": ["It isn't an object, or a member of it is unknown or occurs twice."] },
    });
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("invalid_request")));
    assert_eq!(answer.json()["errors"], json!({ "accounts": expected }));
    assert!(world.service.account("a").await.expect("a store").is_none(), "nothing is written");
    // Claims of another form are an account's fault, not the request's.
    let wrong = json!([{ "subject": "3", "username": "c", "claims": [1] }]);
    assert_eq!(outcomes(&world, &secret, &wrong).await, ["invalid claims"]);
}

#[tokio::test]
async fn batches_are_limited_one_past_the_edge() {
    let (world, secret) = world(Plan::default()).await;
    let users = |count: usize| -> Value {
        (0..count).map(|n| json!({ "subject": n.to_string(), "username": format!("u{n}") })).collect()
    };
    assert_eq!(send(&world, &secret, &users(0)).await.status, 400);
    assert_eq!(send(&world, &secret, &users(1001)).await.status, 400);
    assert_eq!(outcomes(&world, &secret, &users(1000)).await, vec!["created"; 1000]);
    let body = |length: usize| {
        let text = String::from_utf8(call(&json!([kim()])).body).expect("text");
        let text = format!("{text}{}", " ".repeat(length - text.len()));
        Call::post(&format!("{PATH}batch")).body("application/json", text).bearer(&secret)
    };
    assert_eq!(world.send(body(512 * 1024)).await.status, 200);
    let answer = world.send(body(512 * 1024 + 1)).await;
    assert_eq!(
        (answer.status, &answer.json()["detail"]),
        (413, &json!("The request body is larger than 512 KiB."))
    );
    for wrong in ["", "[]", "{", "{}", r#"{"accounts":{}}"#, r#"{"accounts":[],"more":1}"#, r#"[false,[]]"#] {
        let call = Call::post(&format!("{PATH}batch")).body("application/json", wrong).bearer(&secret);
        assert_eq!(world.send(call).await.status, 400, "{wrong}");
    }
    let form = Call::post(&format!("{PATH}batch")).body("text/plain", "{}").bearer(&secret);
    assert_eq!(world.send(form).await.status, 415);
}

#[tokio::test]
async fn the_right_accounts_is_required() {
    let mut plan = Plan::default();
    plan.policy.tokens.namespaces = vec![Namespace {
        name: "shop".into(),
        max_lifetime: Duration::from_secs(3600),
        accepted: vec!["access".into()],
        claims: NamespaceClaims::default(),
    }];
    let world = World::planned(plan).await;
    let others = secret(&world, &[Right::Feed, Right::Introspect, Right::Revoke]).await;
    let (_, limited) = world.service.add_namespace_client("shop", "shop", None).await.expect("a client");
    let limited = limited.into_text();
    let pair = world.sign_in("dana").await;
    for (method, target) in [("POST", "batch"), ("PATCH", "dana"), ("PATCH", "nobody"), ("PATCH", "batch")] {
        let call = || {
            // No body is read before the credential is checked.
            Call::of(method.parse().expect("a method"), &format!("{PATH}{target}")).body("text/plain", "{")
        };
        for call in [call(), call().bearer(&pair.access), call().bearer("qc_wrong")] {
            let answer = world.send(call).await;
            assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("credential_not_valid")));
        }
        for secret in [&others, &*limited] {
            let answer = world.send(call().bearer(secret)).await;
            assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("right_required")));
            assert!(answer.text().contains("quash client add NAME --right accounts"), "{answer}");
        }
    }
}

#[tokio::test]
async fn one_account_is_changed() {
    let (world, secret) = world(Plan::default()).await;
    send(&world, &secret, &json!([kim()])).await;
    let pair = world.sign_in("kim").await;
    insta::assert_snapshot!(patch(&world, &secret, "17", &json!({})).await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"subject":"17","username":"Kim","email":"kim@example.org","email_verified":true,"password_usable":true,"state":"active","claims":{"role":"clerk"},"seq":null}
    "#);
    let changes = json!({ "username": "kim k.", "email_verified": false, "password_hash": PBKDF2 });
    let answer = patch(&world, &secret, "17", &changes).await.json();
    assert_eq!(
        (&answer["username"], &answer["email_verified"], &answer["seq"]),
        (&json!("kim k."), &json!(true), &Value::Null)
    );
    world.assert_live(&pair).await;

    let changes = json!({ "email": "", "password_hash": BCRYPT, "claims": {} });
    let head = world.head().await.as_u64();
    let answer = patch(&world, &secret, "17", &changes).await.json();
    assert_eq!(
        (&answer["email"], &answer["claims"], &answer["seq"]),
        (&Value::Null, &json!({}), &json!(head + 3))
    );
    world.assert_dead(&pair).await;
    let pair = world.sign_in("kim k.").await;
    let again = patch(&world, &secret, "17", &changes).await.json();
    assert_eq!(again["seq"], Value::Null, "equal values end nothing");
    world.assert_live(&pair).await;

    let prefer = HeaderName::from_static("prefer");
    let call = Call::of(Method::PATCH, &format!("{PATH}17")).json(&json!({ "state": "deactivated" }));
    let answer = world.send(call.bearer(&secret).header(prefer, "wait=effective")).await.json();
    assert_eq!((&answer["state"], &answer["effective"]["seq"]), (&json!("deactivated"), &answer["seq"]));
    world.assert_dead(&pair).await;
}

#[tokio::test]
async fn wrong_changes_are_reported_by_field() {
    let (world, secret) = world(Plan::default()).await;
    send(&world, &secret, &json!([kim()])).await;
    let before = world.account("17").await;
    for (changes, field) in [
        (json!({ "subject": "18" }), "subject"),
        (json!({ "username": 1 }), "username"),
        (json!({ "username": "dana" }), "username"),
        (json!({ "email": "dana@example.org" }), "email"),
        (json!({ "email": "kim", "password_hash": BCRYPT }), "email"),
        (json!({ "email_verified": 1 }), "email_verified"),
        (json!({ "password_hash": "md5$salt$hash" }), "password_hash"),
        (json!({ "state": "gone" }), "state"),
        (json!({ "claims": { "exp": 1 } }), "claims"),
    ] {
        let answer = patch(&world, &secret, "17", &changes).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_request")), "{answer}");
        assert!(answer.json()["errors"][field].is_array(), "{answer}");
        assert!(!answer.text().contains("md5"), "{answer}");
    }
    assert_eq!(world.account("17").await, before, "all changes of a request or none");
    let answer = patch(&world, &secret, "noor", &json!({ "email_verified": true })).await;
    assert_eq!(answer.json()["errors"], json!({ "email_verified": ["The account has no e-mail address."] }));
    for wrong in ["", "[]", "1", r#"{"password":"x"}"#, r#"{"username":"a","username":"b"}"#] {
        let call = Call::of(Method::PATCH, &format!("{PATH}17")).body("application/json", wrong);
        assert_eq!(world.send(call.bearer(&secret)).await.status, 400, "{wrong}");
    }
    for unknown in ["18", "batch", "%ff", "%00", &"x".repeat(256)] {
        let answer = patch(&world, &secret, unknown, &json!({ "username": "x" })).await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not_found")), "{unknown}");
    }
}

#[tokio::test]
async fn every_subject_has_an_address() {
    let (world, secret) = world(Plan::default()).await;
    for (n, (subject, address)) in
        [("batch", "batch"), ("a/b", "a%2Fb"), ("ä ?#", "%C3%A4%20%3F%23"), ("..", "%2E%2E"), ("a+b", "a+b")]
            .into_iter()
            .enumerate()
    {
        let account = json!([{ "subject": subject, "username": format!("name {n}") }]);
        assert_eq!(outcomes(&world, &secret, &account).await, ["created"], "{subject}");
        let answer = patch(&world, &secret, address, &json!({ "claims": { "a": 1 } })).await;
        assert_eq!((answer.status, &answer.json()["subject"]), (200, &json!(subject)), "{answer}");
    }
}

#[tokio::test]
async fn concurrent_batches_agree() {
    let (world, secret) = world(Plan::default()).await;
    let world = Arc::new(world);
    let users: Value =
        (0..200).map(|n| json!({ "subject": n.to_string(), "username": format!("u{n}") })).collect();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (world, secret, users) = (Arc::clone(&world), secret.clone(), users.clone());
            tokio::spawn(async move { outcomes(&world, &secret, &users).await })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        let outcomes = task.await.expect("an answer");
        created += outcomes.iter().filter(|outcome| *outcome == "created").count();
        assert!(
            outcomes.iter().all(|outcome| outcome == "created" || outcome == "unchanged"),
            "{outcomes:?}"
        );
    }
    assert_eq!(created, 200, "each is added once");
}

#[tokio::test]
async fn repeated_changes_wait_for_the_guard() {
    let (world, secret) = world(Plan::default()).await;
    outcomes(&world, &secret, &json!([kim()])).await;
    let pair = world.sign_in("kim").await;
    world.store.break_part(Part::Log, FaultyStore::away());
    // No password is hashed from here on, so waiting can take no real time.
    let true = support::time_is_paused() else { return };
    let mut gone = kim();
    gone["state"] = json!("deactivated");
    for _ in 0..2 {
        assert_eq!(patch(&world, &secret, "17", &json!({ "state": "deactivated" })).await.status, 503);
        assert_eq!(send(&world, &secret, &json!([gone])).await.status, 503);
    }
    world.store.mend();
    assert_eq!(outcomes(&world, &secret, &json!([gone])).await, ["unchanged"]);
    world.assert_dead(&pair).await;
}

#[tokio::test]
async fn failures_of_the_store_are_not_refusals() {
    let (world, secret) = world(Plan::default()).await;
    for part in [Part::Rows, Part::Writes] {
        world.store.break_part(part, FaultyStore::away());
        // The rows contain the credential, too.
        assert_eq!(send(&world, &secret, &json!([kim()])).await.status, 503);
        assert_eq!(patch(&world, &secret, "noor", &json!({ "username": "n" })).await.status, 503);
        world.store.mend();
    }
    assert_eq!(outcomes(&world, &secret, &json!([kim()])).await, ["created"]);
}

/// Random values of every member: each account gets an outcome, and no answer quotes a hash.
#[tokio::test]
async fn random_accounts_get_outcomes() {
    let (world, secret) = world(Plan::default()).await;
    let chance = Seeded::new(u64::try_from(START).expect("a positive number"));
    let below = |end: u16| u16::from_le_bytes(draw(&chance)) % end;
    let text = || {
        let mut bytes = vec![0; usize::from(below(40))];
        chance.fill(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    for _ in 0..50 {
        let mut accounts = Vec::new();
        for _ in 0..20 {
            let mut account = serde_json::Map::from_iter([
                ("subject".to_owned(), json!(below(30).to_string())),
                ("username".to_owned(), json!(format!("name {}", below(30)))),
            ]);
            for member in ["subject", "username", "email", "password_hash"] {
                match below(6) {
                    0 => drop(account.insert(member.into(), json!(text()))),
                    1 => drop(account.insert(member.into(), json!(format!("{PBKDF2}{}", text())))),
                    2 => drop(account.insert(member.into(), json!(format!("u{}@example.org", below(9))))),
                    _ => {}
                }
            }
            account.insert("state".into(), json!(["active", "deactivated"][usize::from(below(2))]));
            account.insert("claims".into(), json!({ text(): below(3) }));
            accounts.push(Value::Object(account));
        }
        let answer = send(&world, &secret, &Value::from(accounts.clone())).await;
        assert_eq!(answer.status, 200, "{accounts:?}\n{answer}");
        assert_eq!(answer.json()["accounts"].as_array().map(Vec::len), Some(20));
        let details: Vec<_> = answer.json()["accounts"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|account| account["detail"].to_string())
            .collect();
        assert!(details.iter().all(|detail| !detail.contains("uqZlmSoPEuJNjWxOnGTzHz")), "{details:?}");
    }
}
