//! The name that users sign in with: the user name, the address, or both.

use crate::support;

use quash_core::model::{AccountBy, AccountFields, Actor, Change, Clock, Email, Event, LoginFields, Name};
use quash_server::HttpSettings;
use quash_store::Store;
use serde_json::json;

use support::{Call, PASSWORD, Plan, World, claims, subject};

async fn open(login_fields: LoginFields) -> World {
    let mut plan = Plan::default();
    plan.policy.accounts.login_fields = login_fields;
    let world = World::planned(plan).await;
    world.add("kim", Some("kim@example.org"), false).await;
    world
}

async fn edit(world: &World, name: &str, fields: AccountFields) {
    let loaded =
        world.store.account(&AccountBy::Subject(subject(name)), world.clock.now()).await.expect("a read");
    let account = loaded.account.expect("it is there");
    let edit = quash_core::decide::change_account(
        &account,
        Event::NameChanged,
        fields,
        Actor::Operator.into(),
        world.clock.now(),
    );
    world.store.commit(Change::EditAccount(Box::new(edit))).await.expect("it is changed");
}

async fn code(world: &World, name: &str, password: &str) -> String {
    let answer = world.attempt(name, password).await;
    let code = answer.json().get("code").and_then(|code| code.as_str().map(str::to_owned));
    format!("{}{}", answer.status, code.map(|code| format!(" {code}")).unwrap_or_default())
}

#[tokio::test]
async fn login_fields_select_the_account() {
    let mut told = Vec::new();
    for (word, fields) in
        [("name", LoginFields::Name), ("both", LoginFields::NameOrEmail), ("email", LoginFields::Email)]
    {
        let world = open(fields).await;
        for typed in [
            "dana",
            "dana@example.org",
            "DANA@Example.ORG",
            " ｄana@example.org ",
            "noor",
            "kim",
            "kim@example.org",
            "nobody@example.org",
        ] {
            told.push(format!("{word}: {typed}: {}", code(&world, typed, PASSWORD).await));
        }
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    name: dana: 200
    name: dana@example.org: 401
    name: DANA@Example.ORG: 401
    name:  ｄana@example.org : 401
    name: noor: 200
    name: kim: 401 email_not_verified
    name: kim@example.org: 401
    name: nobody@example.org: 401
    both: dana: 200
    both: dana@example.org: 200
    both: DANA@Example.ORG: 200
    both:  ｄana@example.org : 200
    both: noor: 200
    both: kim: 401 email_not_verified
    both: kim@example.org: 401 email_not_verified
    both: nobody@example.org: 401
    email: dana: 401
    email: dana@example.org: 200
    email: DANA@Example.ORG: 200
    email:  ｄana@example.org : 200
    email: noor: 401
    email: kim: 401
    email: kim@example.org: 401 email_not_verified
    email: nobody@example.org: 401
    "#);
}

#[tokio::test]
async fn unconfirmed_addresses_are_reported_after_the_password() {
    let world = open(LoginFields::NameOrEmail).await;
    let unknown = world.attempt("nobody@example.org", "wrong password").await;
    for typed in ["kim@example.org", "dana@example.org", "kim", "nobody"] {
        world.hashes();
        let wrong = world.attempt(typed, "wrong password").await;
        assert_eq!((wrong.status, wrong.text()), (401, unknown.text()), "{typed}");
        assert_eq!(world.hashes(), 1, "{typed} costs one hash");
    }
}

#[tokio::test]
async fn confirmed_addresses_win_over_similar_names() {
    let world = open(LoginFields::NameOrEmail).await;
    // Noor takes dana's address as a user name: dana can still sign in.
    let fields = AccountFields { username: Name::parse("dana@example.org").ok(), ..AccountFields::default() };
    edit(&world, "noor", fields).await;
    assert_eq!(claims(&world.sign_in("dana@example.org").await.access)["user_id"], "dana");
    // A user name takes precedence over an unconfirmed address.
    let fields = AccountFields { username: Name::parse("kim@example.org").ok(), ..AccountFields::default() };
    edit(&world, "noor", fields).await;
    assert_eq!(claims(&world.sign_in("kim@example.org").await.access)["user_id"], "noor");
    let email = Email {
        verified_at: Some(world.clock.now()),
        ..Email::parse("kim@example.org").expect("an address")
    };
    edit(&world, "kim", AccountFields { email: Some(Some(email)), ..AccountFields::default() }).await;
    assert_eq!(claims(&world.sign_in("kim@example.org").await.access)["user_id"], "kim");
}

#[tokio::test]
async fn temporary_passwords_change_under_each_login_field() {
    let world = open(LoginFields::NameOrEmail).await;
    let until = Some(Some(world.clock.now() + support::secs(60)));
    edit(&world, "dana", AccountFields { temporary_until: until, ..AccountFields::default() }).await;
    assert_eq!(code(&world, "dana@example.org", PASSWORD).await, "401 password_change_required");
    let body = json!({ "username": "dana@example.org", "password": PASSWORD, "new_password": "another horse battery staple" });
    assert_eq!(world.send(Call::post("/v1/password").json(&body)).await.status, 204);
}

/// The response to a sign-in with each body, and the first field in the response to `OPTIONS`.
async fn posted(username_field: &str, login_fields: LoginFields, bodies: &[serde_json::Value]) -> String {
    let settings = HttpSettings { username_field: username_field.into(), ..HttpSettings::default() };
    let mut plan = Plan { settings, ..Plan::default() };
    plan.policy.accounts.login_fields = login_fields;
    let world = World::planned(plan).await;
    let mut told = Vec::new();
    for path in ["/api/token/", "/api/token/sliding/"] {
        for body in bodies {
            let answer = world.send(Call::post(path).json(body)).await;
            told.push(if answer.status == 200 { "200".to_owned() } else { answer.brief() });
        }
    }
    let options = world.send(Call::of(http::Method::OPTIONS, "/api/token/")).await.json();
    let (name, field) =
        options["actions"]["POST"].as_object().and_then(|fields| fields.iter().next()).expect("a field");
    told.push(format!("{name}: {}", field["label"]));
    told.join("\n")
}

#[tokio::test]
async fn the_sign_in_field_name_is_configurable() {
    let bodies = [
        json!({ "email": "dana@example.org", "password": PASSWORD }),
        json!({ "username": "dana@example.org", "password": PASSWORD }),
        json!({ "email": " ", "password": PASSWORD }),
        json!({ "email": "dana@example.org", "username": "noor", "password": PASSWORD }),
    ];
    insta::assert_snapshot!(posted("email", LoginFields::NameOrEmail, &bodies).await, @r#"
    200
    400 {"email":["This field is required."]}
    400 {"email":["This field may not be blank."]}
    200
    200
    400 {"email":["This field is required."]}
    400 {"email":["This field may not be blank."]}
    200
    email: "Email"
    "#);
    insta::assert_snapshot!(posted("username", LoginFields::Email, &bodies).await, @r#"
    200
    200
    400 {"email":["This field may not be blank."]}
    401 {"detail":"No active account found with the given credentials"}
    200
    200
    400 {"email":["This field may not be blank."]}
    401 {"detail":"No active account found with the given credentials"}
    username: "Username"
    "#);
    insta::assert_snapshot!(posted("phone_number", LoginFields::Name, &[json!({ "phone_number": "dana", "password": PASSWORD }), json!({})]).await, @r#"
    200
    400 {"phone_number":["This field is required."],"password":["This field is required."]}
    200
    400 {"phone_number":["This field is required."],"password":["This field is required."]}
    phone_number: "Phone number"
    "#);
}

#[tokio::test]
async fn temporary_passwords_use_the_same_field() {
    let settings = HttpSettings { username_field: "email".into(), ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let body =
        json!({ "email": "dana", "password": PASSWORD, "new_password": "another horse battery staple" });
    let answer = world.send(Call::post("/v1/password").json(&body)).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (401, Some("bad_credentials")),
        "its password isn't one for once"
    );
    let answer =
        world.send(Call::post("/v1/password").json(&json!({ "password": "a", "new_password": "b" }))).await;
    assert_eq!(
        (answer.status, answer.json()["errors"]["email"][0].as_str()),
        (400, Some("This field is required."))
    );
}
