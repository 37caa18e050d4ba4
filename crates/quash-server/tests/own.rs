//! The changes that users make to their accounts, each with the password; and the tokens that end with them.

use crate::support;

use http::header::AUTHORIZATION;
use quash_core::decide::{ChangeAuthor, edit_account};
use quash_core::model::{
    AccountBy, AccountFields, AccountState, Actor, Change, Clock, EndCause, Event, LockEnds, NameChanges,
    ScopeKind, UserIdField,
};
use quash_store::Store;
use serde_json::{Value, json};

use support::{Call, PASSWORD, Plan, World, claims, kinds, secs, subject};

const NEW: &str = "another horse battery staple";

async fn rename(world: &World, access: &str, name: &str) -> support::Answer {
    world.own("PATCH", "/v1/me", access, &json!({ "username": name, "password": PASSWORD })).await
}

/// Changes an account as an operator's command does.
async fn edit(world: &World, name: &str, cause: EndCause, fields: AccountFields) {
    let loaded =
        world.store.account(&AccountBy::Subject(subject(name)), world.clock.now()).await.expect("an account");
    let (account, policy, scopes) =
        (loaded.account.expect("it is there"), world.service.policy(), world.service.guard().scopes());
    let edit = edit_account(
        &account,
        cause,
        fields,
        ChangeAuthor::from(Actor::Operator),
        policy,
        scopes,
        world.clock.now(),
    );
    let seq = world.store.commit(Change::EditAccount(Box::new(edit))).await.expect("a receipt").seq;
    if let Some(seq) = seq {
        world.service.guard().caught_up(seq, secs(5)).await.expect("a guard that follows");
    }
}

#[tokio::test]
async fn users_rename_themselves_with_the_password() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    insta::assert_snapshot!(rename(&world, &pair.access, " Dána ").await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"subject":"dana","username":"Dána","email":"dana@example.org","email_verified":true,"session":"<id>"}
    "#);
    world.assert_live(&pair).await;
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    world.sign_in("DÁNA").await;
    let audit = world.store.audit(0, None, u32::MAX).await.expect("the audit");
    assert!(audit.iter().any(|entry| entry.new.event == Event::NameChanged
        && entry.new.actor == Actor::Owner
        && entry.new.reason.is_none()));
}

#[tokio::test]
async fn invalid_or_taken_names_are_refused() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    for taken in ["noor", "NOOR", "ｎｏｏｒ"] {
        let answer = rename(&world, &pair.access, taken).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("name_taken")), "{taken}");
    }
    insta::assert_snapshot!(rename(&world, &pair.access, "da\u{200b}na").await.brief(), @r#"400 {"type":"/docs/errors/invalid_request","title":"Invalid request","status":400,"detail":"A field is missing or wrong.","code":"invalid_request","errors":{"username":["The name holds an invisible character."]}}"#);
    assert_eq!(rename(&world, &pair.access, &"x".repeat(151)).await.status, 400);
    let wrong = world
        .own("PATCH", "/v1/me", &pair.access, &json!({ "username": "kim", "password": "wrong password" }))
        .await;
    insta::assert_snapshot!(wrong, @r#"
    403
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/wrong_password","title":"Wrong password","status":403,"detail":"The password is wrong.","code":"wrong_password"}
    "#);
    assert_eq!(rename(&world, &pair.access, "dana").await.status, 200, "its own");
    let mut plan = Plan::default();
    plan.policy.accounts.names = NameChanges::Refused;
    let world = World::planned(plan).await;
    insta::assert_snapshot!(rename(&world, &world.sign_in("dana").await.access, "kim").await.brief(), @r#"403 {"type":"/docs/errors/change_not_allowed","title":"Change not allowed","status":403,"detail":"Users cannot change this here.","code":"change_not_allowed"}"#);
}

#[tokio::test]
async fn renames_end_sessions_if_tokens_contain_names() {
    let mut plan = Plan::default();
    plan.policy.tokens.names.user_id_field = UserIdField::Username;
    let world = World::planned(plan).await;
    let (this, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    assert_eq!(rename(&world, &this.access, "kim").await.status, 200);
    world.assert_dead(&this).await;
    assert_eq!(world.refresh(&other.refresh).await.reason().as_deref(), Some("name_changed"));
    let kim = world.sign_in("kim").await;
    assert_eq!(claims(&kim.access)["user_id"], "kim");
    // Another account gets the name, but none of its tokens.
    assert_eq!(rename(&world, &kim.access, "max").await.status, 200);
    assert_eq!(rename(&world, &world.sign_in("noor").await.access, "kim").await.status, 200);
    world.assert_dead(&kim).await;
    world.assert_live(&world.sign_in("max").await).await;
}

#[tokio::test]
async fn setting_the_same_name_changes_nothing() {
    let mut plan = Plan::default();
    plan.policy.tokens.names.user_id_field = UserIdField::Username;
    let world = World::planned(plan).await;
    let pair = world.sign_in("dana").await;
    let before = world.service.account("dana").await.expect("a store");
    assert_eq!(rename(&world, &pair.access, "dana").await.status, 200);
    world.assert_live(&pair).await;
    assert_eq!(world.service.account("dana").await.expect("a store"), before);
}

#[tokio::test]
async fn names_resembling_subjects_are_refused() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    for name in ["17", "01a20af06b5c7a69b6b4905ed54a13a4"] {
        let answer = rename(&world, &pair.access, name).await;
        assert_eq!((answer.status, answer.json()["errors"]["username"].is_array()), (400, true), "{name}");
    }
}

#[tokio::test]
async fn a17_protected_fields_are_refused_by_name() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let before = world.service.account("dana").await.expect("a store");
    for (name, value) in [
        ("is_admin", json!(true)),
        ("is_staff", json!(true)),
        ("is_active", json!(false)),
        ("is_superuser", json!(true)),
        ("email", json!("evil@example.org")),
        ("email_verified", json!(true)),
        ("id", json!("noor")),
        ("subject", json!("noor")),
        ("token_version", json!(1)),
        ("state", json!("active")),
        ("claims", json!({ "role": "admin" })),
        ("must_change", json!(null)),
        ("__proto__", json!({ "is_admin": true })),
    ] {
        let mut body = json!({ "username": "kim", "password": PASSWORD });
        body[name] = value;
        let answer = world.own("PATCH", "/v1/me", &pair.access, &body).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.json()["errors"], json!({ name: ["This field can't be set here."] }), "{name}");
        for path in ["/v1/me/password", "/v1/me/deactivate", "/v1/password"] {
            assert_eq!(world.own("POST", path, &pair.access, &body).await.status, 400, "{path}: {name}");
        }
        assert_eq!(world.own("DELETE", "/v1/me", &pair.access, &body).await.status, 400, "{name}");
    }
    assert_eq!(world.service.account("dana").await.expect("a store"), before);
    let many: serde_json::Map<_, _> =
        (0..100).map(|n| (format!("{n}{}", "x".repeat(100)), json!(1))).collect();
    let answer = world.own("PATCH", "/v1/me", &pair.access, &many.into()).await;
    assert_eq!(
        answer.json()["errors"]
            .as_object()
            .map(|errors| (errors.len(), errors.keys().all(|name| name.len() == 50))),
        Some((10, true))
    );
}

#[tokio::test]
async fn own_paths_accept_only_json() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let form = format!("password={}", PASSWORD.replace(' ', "+"));
    for media_type in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
        let call = Call::post("/v1/me/deactivate").bearer(&pair.access).body(media_type, form.clone());
        assert_eq!(world.send(call).await.status, 415, "{media_type}");
    }
    for body in [
        "",
        "[]",
        "null",
        "\"x\"",
        "{",
        "{\"password\":1e999}",
        "{\"password\":[]}",
        "{\"password\":\"\\ud800\"}",
        "{\"password\":\"a\\u0000\"}",
    ] {
        let call = Call::post("/v1/me/deactivate").bearer(&pair.access).body("application/json", body);
        assert_eq!(world.send(call).await.status, 400, "{body}");
    }
    let long = json!({ "password": "x".repeat(1025) });
    assert_eq!(world.own("POST", "/v1/me/deactivate", &pair.access, &long).await.status, 400);
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn a61_password_changes_end_all_other_sessions() {
    let world = World::open().await;
    let (this, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    world.hashes();
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    let answer = world.own("POST", "/v1/me/password", &this.access, &body).await;
    insta::assert_snapshot!(answer, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"access":"<access>","refresh":"<refresh>"}
    "#);
    assert_eq!(world.hashes(), 2, "one to compare, one to make");
    let new = answer.pair();
    assert_eq!(world.refresh(&other.refresh).await.reason().as_deref(), Some("password_changed"));
    world.assert_dead(&other).await;
    assert_eq!(
        (world.me(&this.access).await.status, world.refresh(&this.refresh).await.status),
        (401, 401),
        "the old pair is dead"
    );
    world.assert_live(&new).await;
    world.assert_live(&world.refresh(&new.refresh).await.pair()).await;
    assert_eq!(
        (world.attempt("dana", PASSWORD).await.status, world.attempt("dana", NEW).await.status),
        (401, 200)
    );
}

#[tokio::test]
async fn password_changes_require_the_current_password() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let change = async |current: &str, new: &str| {
        world
            .own(
                "POST",
                "/v1/me/password",
                &pair.access,
                &json!({ "current_password": current, "new_password": new }),
            )
            .await
    };
    insta::assert_snapshot!(change("wrong password", NEW).await.brief(), @r#"403 {"type":"/docs/errors/wrong_password","title":"Wrong password","status":403,"detail":"The password is wrong.","code":"wrong_password"}"#);
    world.hashes();
    insta::assert_snapshot!(change(PASSWORD, "short").await.brief(), @r#"400 {"type":"/docs/errors/password_refused","title":"Password refused","status":400,"detail":"The new password has fewer than 8 characters.","code":"password_refused"}"#);
    assert_eq!(world.hashes(), 0, "before anything is hashed");
    assert_eq!(
        change("wrong password", "password").await.status,
        403,
        "what takes long is found out after the current one is proven"
    );
    assert_eq!(change(PASSWORD, "password").await.json()["code"], "password_refused");
    assert_eq!(world.hashes(), 2, "compared twice, none made");
    insta::assert_snapshot!(world.own("POST", "/v1/me/password", &pair.access, &json!({ "password": PASSWORD })).await.brief(), @r#"400 {"type":"/docs/errors/invalid_request","title":"Invalid request","status":400,"detail":"A field is missing or wrong.","code":"invalid_request","errors":{"password":["This field can't be set here."]}}"#);
    world.assert_live(&pair).await;
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a40_password_or_address_changes_end_refreshing() {
    for (cause, reason) in [
        (EndCause::PasswordChanged, "password_changed"),
        (EndCause::PasswordReset, "password_reset"),
        (EndCause::PasswordSet, "password_set"),
        (EndCause::EmailChanged, "email_changed"),
    ] {
        let world = World::open().await;
        let pair = world.sign_in("dana").await;
        let rotated = world.refresh(&pair.refresh).await.pair();
        edit(&world, "dana", cause, AccountFields::default()).await;
        for refresh in [&rotated.refresh, &pair.refresh] {
            let refused = world.refresh(refresh).await;
            assert_eq!((refused.status, refused.reason().as_deref()), (401, Some(reason)), "{cause:?}");
        }
        world.assert_dead(&rotated).await;
    }
}

#[tokio::test]
async fn a39_inactive_accounts_cannot_refresh() {
    let world = World::open().await;
    let refused = async |pair: &support::Pair| {
        let answer = world.refresh(&pair.refresh).await;
        assert_eq!(answer.status, 401, "{answer}");
        world.assert_dead(pair).await;
        answer.reason().unwrap_or_default()
    };
    let pair = world.sign_in("dana").await;
    edit(
        &world,
        "dana",
        EndCause::Locked,
        AccountFields {
            state: Some(AccountState::Locked {
                since: world.clock.now(),
                until: world.clock.now() + secs(60),
            }),
            ..AccountFields::default()
        },
    )
    .await;
    assert_eq!(refused(&pair).await, "locked");
    world.wait(secs(60));
    assert_eq!(refused(&pair).await, "locked", "for good");
    let pair = world.sign_in("dana").await;
    world.deactivate("dana").await;
    assert_eq!(refused(&pair).await, "deactivated");
    world.put("dana", AccountState::Active).await;
    let pair = world.sign_in("dana").await;
    assert_eq!(
        world.own("DELETE", "/v1/me", &pair.access, &json!({ "password": PASSWORD })).await.status,
        204
    );
    refused(&pair).await;
    assert_eq!(world.blacklist(&pair.refresh).await.status, 401);
    assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 401);
}

#[tokio::test]
async fn locks_without_ends_affect_only_sign_in() {
    let mut plan = Plan::default();
    plan.policy.accounts.lock_ends = LockEnds::None;
    let world = World::planned(plan).await;
    let pair = world.sign_in("dana").await;
    let state = Some(AccountState::Locked { since: world.clock.now(), until: world.clock.now() + secs(60) });
    edit(&world, "dana", EndCause::Locked, AccountFields { state, ..AccountFields::default() }).await;
    world.assert_live(&world.refresh(&pair.refresh).await.pair()).await;
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    let again = world.own("POST", "/v1/me/deactivate", &pair.access, &json!({ "password": PASSWORD })).await;
    assert_eq!(
        (again.status, again.json()["code"].as_str()),
        (403, Some("wrong_password")),
        "a lock also refuses a password given again"
    );
}

#[tokio::test]
async fn a57_self_deactivated_accounts_stay_signed_out() {
    let world = World::open().await;
    let (this, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let wrong =
        world.own("POST", "/v1/me/deactivate", &this.access, &json!({ "password": "wrong password" })).await;
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (403, Some("wrong_password")));
    world.assert_live(&this).await;
    assert_eq!(
        world.own("POST", "/v1/me/deactivate", &this.access, &json!({ "password": PASSWORD })).await.status,
        204
    );
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    world.assert_dead(&this).await;
    world.put("dana", AccountState::Active).await;
    world.assert_dead(&this).await;
    assert_eq!(world.refresh(&other.refresh).await.reason().as_deref(), Some("deactivated"));
    world.assert_dead(&other).await;
    world.assert_live(&world.sign_in("dana").await).await;
}

#[tokio::test]
async fn self_deleted_accounts_are_gone() {
    let world = World::open().await;
    let (this, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    assert_eq!(world.own("DELETE", "/v1/me", &this.access, &Value::Null).await.status, 400);
    assert_eq!(
        world.own("DELETE", "/v1/me", &this.access, &json!({ "password": "wrong password" })).await.status,
        403
    );
    assert_eq!(
        world.own("DELETE", "/v1/me", &this.access, &json!({ "password": PASSWORD })).await.status,
        204
    );
    world.assert_dead(&this).await;
    world.assert_dead(&other).await;
    assert_eq!(world.service.account("dana").await, Ok(None));
    assert_eq!(kinds(&*world.store).await.last(), Some(&ScopeKind::Subject));
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn temporary_passwords_can_only_be_changed() {
    let world = World::open().await;
    let before = world.sign_in("dana").await;
    let until = world.clock.now() + secs(86_400);
    edit(
        &world,
        "dana",
        EndCause::PasswordSet,
        AccountFields { temporary_until: Some(Some(until)), ..AccountFields::default() },
    )
    .await;
    world.assert_dead(&before).await;
    insta::assert_snapshot!(world.attempt("dana", PASSWORD).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"The password of this account must be changed first.","code":"password_change_required"}
    "#);
    insta::assert_snapshot!(world.attempt("dana", "wrong password").await.brief(), @r#"401 {"detail":"No active account found with the given credentials"}"#);
    let change = async |password: &str, new: &str| {
        world
            .send(
                Call::post("/v1/password")
                    .json(&json!({ "username": "Dana", "password": password, "new_password": new })),
            )
            .await
    };
    world.hashes();
    insta::assert_snapshot!(change("wrong password", NEW).await.brief(), @r#"401 {"type":"/docs/errors/bad_credentials","title":"Bad credentials","status":401,"detail":"No active account found with the given credentials","code":"bad_credentials"}"#);
    assert_eq!(world.hashes(), 1);
    assert_eq!(change(PASSWORD, "short").await.json()["code"], "password_refused");
    assert_eq!(change("wrong password", "password").await.status, 401);
    assert_eq!(change(PASSWORD, "Dana1234").await.json()["code"], "password_refused");
    let long = json!({ "username": "x".repeat(255), "password": PASSWORD, "new_password": NEW });
    assert_eq!(world.post("/v1/password", &long).await.status, 401, "an unknown name");
    let answer = change(PASSWORD, NEW).await;
    assert_eq!((answer.status, answer.header("cache-control")), (204, Some("no-store")));
    assert_eq!(
        (world.attempt("dana", PASSWORD).await.status, world.attempt("dana", NEW).await.status),
        (401, 200)
    );
    assert_eq!(
        change(NEW, PASSWORD).await.json()["code"],
        "bad_credentials",
        "one for everything isn't changed here"
    );
    let last = world.store.audit(0, Some(&subject("dana")), u32::MAX).await.expect("the audit");
    assert!(
        last.iter().any(|entry| entry.new.event == Event::PasswordChanged && entry.new.actor == Actor::Owner)
    );
}

#[tokio::test]
async fn temporary_passwords_expire() {
    let world = World::open().await;
    let until = world.clock.now() + secs(60);
    edit(
        &world,
        "dana",
        EndCause::PasswordSet,
        AccountFields { temporary_until: Some(Some(until)), ..AccountFields::default() },
    )
    .await;
    world.wait(secs(59));
    assert_eq!(world.attempt("dana", PASSWORD).await.json()["code"], "password_change_required");
    world.wait(secs(1));
    assert_eq!(world.attempt("dana", PASSWORD).await.text(), world.attempt("nobody", PASSWORD).await.text());
    let body = json!({ "username": "dana", "password": PASSWORD, "new_password": NEW });
    assert_eq!(world.send(Call::post("/v1/password").json(&body)).await.json()["code"], "bad_credentials");
}

#[tokio::test]
async fn a60_truncated_tokens_are_refused() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    for cut in 1..=10 {
        let short = |token: &str| token[..token.len() - cut].to_owned();
        let access = short(&pair.access);
        assert_eq!(world.me(&access).await.status, 401, "{cut}");
        assert_eq!(
            world.own("POST", "/v1/me/sessions/end-all", &access, &Value::Null).await.status,
            401,
            "{cut}"
        );
        assert_eq!(world.refresh(&short(&pair.refresh)).await.status, 401, "{cut}");
        assert_eq!(world.blacklist(&short(&pair.refresh)).await.status, 401, "{cut}");
        assert_eq!(world.log_out(&pair.access, &short(&pair.refresh)).await.status, 401, "{cut}");
    }
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn a92_responses_never_contain_hashes() {
    let world = World::open().await;
    let until = world.clock.now() + secs(60);
    edit(
        &world,
        "noor",
        EndCause::PasswordSet,
        AccountFields { temporary_until: Some(Some(until)), ..AccountFields::default() },
    )
    .await;
    let pair = world.sign_in("dana").await;
    let stored =
        world.service.account("dana").await.expect("a store").expect("an account").password.expect("a hash");
    let answers = [
        world.me(&pair.access).await,
        rename(&world, &pair.access, "dana").await,
        world.own("GET", "/v1/me/sessions", &pair.access, &Value::Null).await,
        world.own("GET", "/v1/me/sessions?password=cheap%24&must_change=1", &pair.access, &Value::Null).await,
        world.attempt("noor", PASSWORD).await,
    ];
    for answer in answers {
        for secret in [stored.as_str(), "cheap$", "must_change", "reset"] {
            assert!(!answer.text().contains(secret), "{secret}: {answer}");
        }
    }
}

#[tokio::test]
async fn a76_own_path_responses_are_uncacheable() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let other = world.sign_in("dana").await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    let answers = [
        world.attempt("dana", PASSWORD).await,
        world.attempt("dana", "wrong password").await,
        world.refresh(&other.refresh).await,
        world.verify(&pair.access).await,
        world.me(&pair.access).await,
        world.me("x").await,
        world.own("GET", "/v1/me/sessions", &pair.access, &Value::Null).await,
        world.own("DELETE", "/v1/me/sessions/1", &pair.access, &Value::Null).await,
        world.own("POST", "/v1/me/password", &pair.access, &body).await,
        world.send(Call::post("/v1/password").json(&json!({}))).await,
    ];
    for answer in answers {
        let header = |name: &str| answer.header(name).map(str::to_owned);
        assert_eq!(
            (header("cache-control").as_deref(), header("x-content-type-options").as_deref()),
            (Some("no-store"), Some("nosniff")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a78_malformed_headers_change_nothing() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let long = "x".repeat(64 * 1024);
    for header in [
        "",
        "Bearer",
        "Bearer  x y",
        "Basic x",
        &format!("Bearer\t{}", pair.refresh),
        &format!("Bearer {long}"),
        "Bearer \u{e9}",
    ] {
        for path in ["/v1/me/sessions/end-all", "/v1/me/deactivate", "/v1/me/password"] {
            let call = Call::post(path).header(AUTHORIZATION, header).json(&json!({ "password": PASSWORD }));
            assert_eq!(world.send(call).await.status, 401, "{path}: {header:.20}");
        }
    }
    let twice = Call::post("/v1/me/sessions/end-all").bearer(&pair.access).bearer(&pair.access);
    assert_eq!(world.send(twice).await.status, 401);
    world.assert_live(&pair).await;
}
