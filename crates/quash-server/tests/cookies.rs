//! Refresh tokens in a cookie: its attributes, the endpoints that read it, and the requests that are refused.

use crate::support;

use http::header::{COOKIE, HeaderName, ORIGIN, SET_COOKIE};
use http::{Method, header};
use quash_server::{HttpSettings, Origin, RefreshCookie};
use serde_json::{Value, json};

use support::{Answer, Call, OWN_PATHS, PASSWORD, Plan, TOKEN_PATHS, World, claims, secs};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const NEW: &str = "another horse battery staple";

/// The state of a browser after a response: the access token, which the page keeps, and the cookie, which it
/// can't see.
#[derive(Clone)]
struct Browser {
    access: String,
    refresh: String,
}

async fn open() -> World {
    let settings = HttpSettings { refresh_cookie: RefreshCookie::On, ..HttpSettings::default() };
    World::planned(Plan { settings, ..Plan::default() }).await
}

fn browser(answer: &Answer) -> Browser {
    assert_eq!(answer.status, 200, "{answer}");
    let body = answer.json();
    assert_eq!(body.as_object().map(|body| body.len()), Some(1), "{answer}");
    Browser {
        access: body["access"].as_str().expect("an access token").to_owned(),
        refresh: cookie(answer).expect("a cookie"),
    }
}

/// Returns the token in the cookie that a response sets. `None` if the response deletes it.
fn cookie(answer: &Answer) -> Option<String> {
    let mut all = answer.headers.get_all(SET_COOKIE).iter();
    let (set, None) = (all.next()?.to_str().expect("ASCII"), all.next()) else {
        panic!("two cookies: {answer}")
    };
    let (pair, attributes) = set.split_once("; ").expect("attributes");
    let (name, token) = pair.split_once('=').expect("a pair");
    assert_eq!(name, "__Host-quash-refresh");
    assert!(set.len() <= 4096, "{set}");
    let lasting = if token.is_empty() { 0 } else { 86_400 };
    assert_eq!(attributes, format!("Path=/; Max-Age={lasting}; Secure; HttpOnly; SameSite=Strict"));
    Some(token.to_owned()).filter(|token| !token.is_empty())
}

fn is_cleared(answer: &Answer) -> bool {
    answer.headers.contains_key(SET_COOKIE) && cookie(answer).is_none()
}

fn sent(call: Call, refresh: &str) -> Call {
    call.header(COOKIE, format!("theme=dark; __Host-quash-refresh={refresh}"))
}

async fn sign_in(world: &World, name: &str) -> Browser {
    browser(&world.attempt(name, PASSWORD).await)
}

async fn refresh(world: &World, refresh: &str) -> Answer {
    world.send(sent(Call::post("/api/token/refresh/"), refresh)).await
}

#[tokio::test]
async fn a73_refresh_tokens_travel_only_in_fresh_cookies() {
    let world = open().await;
    let answer = world.attempt("dana", PASSWORD).await;
    insta::assert_snapshot!(answer.brief(), @r#"200 {"access":"<access>"}"#);
    let (first, second) = (browser(&answer), sign_in(&world, "dana").await);
    assert_ne!(first.refresh, second.refresh);
    assert_eq!(claims(&first.refresh)["token_type"], "refresh");
    let rotated = browser(&refresh(&world, &first.refresh).await);
    assert_ne!(rotated.refresh, first.refresh);
    // A cookie that an attacker planted earlier belongs to no session afterwards.
    let planted = Call::post("/api/token/").json(&json!({ "username": "dana", "password": PASSWORD }));
    assert_ne!(browser(&world.send(sent(planted, &second.refresh)).await).refresh, second.refresh);
    assert_eq!(world.me(&rotated.access).await.status, 200);
}

#[tokio::test]
async fn without_the_cookie_nothing_changes() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let call = sent(Call::post("/api/token/refresh/"), &pair.refresh).header(SITE, "cross-site");
    let answer = world.send(call).await;
    assert_eq!(
        (answer.status, answer.headers.contains_key(SET_COOKIE)),
        (400, false),
        "the cookie isn't looked at: {answer}"
    );
    for answer in [
        world.attempt("dana", PASSWORD).await,
        world.refresh(&pair.refresh).await,
        world.log_out(&pair.access, &pair.refresh).await,
    ] {
        assert!(answer.status == 200 && !answer.headers.contains_key(SET_COOKIE), "{answer}");
    }
}

#[tokio::test]
async fn refreshing_and_logging_out_read_the_cookie() {
    let world = open().await;
    let first = sign_in(&world, "dana").await;
    let second = browser(&refresh(&world, &first.refresh).await);
    let answer = world.send(sent(Call::post("/api/logout/").bearer(&second.access), &second.refresh)).await;
    assert!(answer.status == 200 && is_cleared(&answer), "{answer}");
    let answer = refresh(&world, &second.refresh).await;
    assert!(answer.status == 401 && is_cleared(&answer), "what is dead isn't kept: {answer}");
    assert_eq!(answer.reason().as_deref(), Some("log_out"));
    assert_eq!(world.me(&second.access).await.status, 401);
    let other = sign_in(&world, "dana").await;
    let answer = world.send(sent(Call::post("/api/token/blacklist/"), &other.refresh)).await;
    assert!(answer.status == 200 && is_cleared(&answer), "{answer}");
    assert_eq!(world.me(&other.access).await.status, 401);
    let none = world.send(Call::post("/api/token/refresh/")).await;
    assert_eq!((none.status, none.headers.contains_key(SET_COOKIE)), (401, false), "{none}");
    assert_eq!(
        world.send(Call::post("/api/logout/").bearer(&sign_in(&world, "dana").await.access)).await.status,
        401
    );
}

#[tokio::test]
async fn dead_cookies_are_cleared_with_the_401() {
    let world = open().await;
    let dana = sign_in(&world, "dana").await;
    assert!(is_cleared(
        &world.send(sent(Call::post("/api/logout/").bearer(&dana.access), &dana.refresh)).await
    ));
    let live = sign_in(&world, "dana").await;
    for (path, access) in
        [("/api/token/blacklist/", ""), ("/api/logout/", &dana.access), ("/api/logout/", "x.y.z")]
    {
        let answer = world.send(sent(Call::post(path).bearer(access), &dana.refresh)).await;
        assert!(answer.status == 401 && is_cleared(&answer), "{path} {access}: {answer}");
        let odd = world.send(sent(Call::post(path).bearer(access), "\u{e9}")).await;
        assert!(odd.status == 401 && is_cleared(&odd), "{path} {access}: {odd}");
    }
    let answer = world.send(sent(Call::post("/api/logout/").bearer("x.y.z"), &live.refresh)).await;
    assert!(answer.status == 401 && !is_cleared(&answer), "its session goes on: {answer}");
    let noor = sign_in(&world, "noor").await;
    let answer = world.send(sent(Call::post("/api/logout/").bearer(&noor.access), &live.refresh)).await;
    assert!(answer.status == 400 && !is_cleared(&answer), "two accounts: {answer}");
    let other = sent(Call::post("/api/token/refresh/").header(COOKIE, "na\u{ef}ve=1"), &live.refresh);
    assert_eq!(world.send(other).await.status, 200, "another cookie hides nothing");
}

#[tokio::test]
async fn earlier_body_tokens_move_into_the_cookie() {
    let world = open().await;
    let first = sign_in(&world, "dana").await;
    let moved = browser(&world.refresh(&first.refresh).await);
    assert_eq!(claims(&moved.refresh)["gen"], 1);
}

#[tokio::test]
async fn own_paths_set_and_clear_the_cookie() {
    let world = open().await;
    let this = sign_in(&world, "dana").await;
    let this = browser(&world.own("POST", "/v1/me/sessions/end-others", &this.access, &Value::Null).await);
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    let this = browser(&world.own("POST", "/v1/me/password", &this.access, &body).await);
    let this = browser(&refresh(&world, &this.refresh).await);
    assert!(is_cleared(&world.own("POST", "/v1/me/sessions/end-all", &this.access, &Value::Null).await));
    let again = async || browser(&world.attempt("dana", NEW).await);
    let (this, other) = (again().await, again().await);
    let sid = |browser: &Browser| claims(&browser.access)["sid"].as_str().expect("a session").to_owned();
    let end = async |whose: &Browser| {
        world.own("DELETE", &format!("/v1/me/sessions/{}", sid(whose)), &this.access, &Value::Null).await
    };
    assert!(!end(&other).await.headers.contains_key(SET_COOKIE), "another device's");
    assert!(is_cleared(&end(&this).await));
    let this = again().await;
    assert!(is_cleared(
        &world.own("POST", "/v1/me/deactivate", &this.access, &json!({ "password": NEW })).await
    ));
    let noor = sign_in(&world, "noor").await;
    assert!(is_cleared(&world.own("DELETE", "/v1/me", &noor.access, &json!({ "password": PASSWORD })).await));
}

#[tokio::test]
async fn a74_cross_site_requests_are_refused_including_sign_in() {
    let world = open().await;
    let (form, text) = ("application/x-www-form-urlencoded", "text/plain");
    for (site, origin) in [
        (Some("cross-site"), Some("https://evil.example")),
        (Some("same-site"), None),
        (None, Some("null")),
        (None, Some("https://app.example.evil")),
    ] {
        let this = sign_in(&world, "dana").await;
        let from_there = |call: Call| {
            let call = site.iter().fold(sent(call, &this.refresh), |call, site| call.header(SITE, site));
            origin.iter().fold(call, |call, origin| call.header(ORIGIN, origin))
        };
        let credentials = json!({ "username": "noor", "password": PASSWORD });
        for (path, _) in TOKEN_PATHS {
            let calls = [
                Call::post(path).json(&credentials),
                Call::post(path).body(text, credentials.to_string()),
                Call::post(path).body(form, format!("username=noor&password={}", PASSWORD.replace(' ', "+"))),
                Call::post(path),
            ];
            for call in calls {
                let answer = world.send(from_there(call.bearer(&this.access))).await;
                assert_eq!(
                    (answer.status, answer.json()["code"].as_str()),
                    (403, Some("cross_site")),
                    "{path}: {answer}"
                );
                assert!(!answer.headers.contains_key(SET_COOKIE), "{path}");
            }
        }
        for (method, path, body) in OWN_PATHS.into_iter().filter(|(method, ..)| *method != "GET") {
            let call = Call::of(method.parse::<Method>().expect("a method"), path)
                .bearer(&this.access)
                .body("application/json", body);
            let answer = world.send(from_there(call)).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (403, Some("cross_site")),
                "{path}: {answer}"
            );
        }
        assert_eq!(
            world.send(from_there(Call::get("/v1/me").bearer(&this.access))).await.status,
            200,
            "reading changes nothing"
        );
        assert_eq!(world.me(&this.access).await.status, 200);
        browser(&refresh(&world, &this.refresh).await);
    }
}

#[tokio::test]
async fn a74_json_as_plain_text_is_refused() {
    for world in [World::open().await, open().await] {
        let credentials = json!({ "username": "dana", "password": PASSWORD }).to_string();
        for path in ["/api/token/", "/api/token/refresh/", "/api/token/blacklist/", "/v1/password"] {
            let answer = world.send(Call::post(path).body("text/plain", credentials.clone())).await;
            assert_eq!(answer.status, 415, "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a75_only_named_origins_may_use_cookies() {
    let origin = Origin::parse("https://app.example").expect("an origin");
    let settings = HttpSettings {
        refresh_cookie: RefreshCookie::On,
        cors_origins: vec![origin],
        ..HttpSettings::default()
    };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let credentials = json!({ "username": "dana", "password": PASSWORD });
    let from = async |origin: &str| {
        world
            .send(
                Call::post("/api/token/").json(&credentials).header(ORIGIN, origin).header(SITE, "same-site"),
            )
            .await
    };
    let answer = from("https://app.example").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    browser(&answer);
    for other in [
        "null",
        "https://evil.example",
        "https://app.example.evil",
        "https://APP.example",
        "https://app.example:8443",
        "http://app.example",
        "*",
    ] {
        let answer = from(other).await;
        assert_eq!(answer.status, 403, "{other}");
        for header in
            [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, SET_COOKIE]
        {
            assert!(!answer.headers.contains_key(&header), "{other}: {header}");
        }
    }
}

#[tokio::test]
async fn a79_tokens_in_body_and_cookie_are_refused() {
    let world = open().await;
    let (dana, noor) = (sign_in(&world, "dana").await, sign_in(&world, "noor").await);
    for (in_body, in_cookie) in [(&dana, &noor), (&dana, &dana)] {
        for path in ["/api/token/refresh/", "/api/token/blacklist/", "/api/logout/"] {
            let call = Call::post(path).bearer(&dana.access).json(&json!({ "refresh": in_body.refresh }));
            let answer = world.send(sent(call, &in_cookie.refresh)).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (400, Some("two_tokens")),
                "{path}: {answer}"
            );
        }
    }
    let twice = sent(sent(Call::post("/api/token/refresh/"), &dana.refresh), &noor.refresh);
    assert_eq!(world.send(twice).await.json()["code"], "two_tokens");
    let two_accounts = world.send(sent(Call::post("/api/logout/").bearer(&dana.access), &noor.refresh)).await;
    assert_eq!(
        (two_accounts.status, two_accounts.json()["code"].as_str()),
        (400, Some("tokens_of_two_accounts"))
    );
    // On quash's own paths only the header identifies the user.
    let me = world.send(sent(Call::get("/v1/me").bearer(&dana.access), &noor.refresh)).await;
    assert_eq!(me.json()["username"], "dana");
    assert_eq!(world.send(sent(Call::get("/v1/me"), &noor.refresh)).await.status, 401);
    for (browser, name) in [(&dana, "dana"), (&noor, "noor")] {
        assert_eq!(world.me(&browser.access).await.json()["username"], name, "nothing has ended");
    }
}

#[tokio::test]
async fn a79_disabled_cookies_are_ignored() {
    let world = World::open().await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let call =
        Call::post("/api/token/refresh/").bearer(&noor.access).json(&json!({ "refresh": dana.refresh }));
    let new = world.send(sent(call, &noor.refresh)).await.pair();
    assert_eq!(
        (claims(&new.access)["user_id"].as_str(), claims(&noor.access)["user_id"].as_str()),
        (Some("dana"), Some("noor"))
    );
    let call = Call::post("/api/logout/").bearer(&noor.access).json(&json!({ "refresh": new.refresh }));
    assert_eq!(world.send(sent(call, &noor.refresh)).await.json()["code"], "tokens_of_two_accounts");
    world.assert_live(&noor).await;
}

#[tokio::test]
async fn tokens_too_long_for_a_cookie_fail() {
    let world = open().await;
    let long = quash_core::model::CustomClaims::new(&[("note".into(), Value::String("x".repeat(4000)))])
        .expect("claims");
    let loaded = quash_store::Store::account(
        &*world.store,
        &quash_core::model::AccountBy::Name("dana".into()),
        Default::default(),
    )
    .await;
    let account = loaded.expect("a read").account.expect("dana");
    let fields = quash_core::model::AccountFields { claims: Some(long), ..Default::default() };
    let event = quash_core::model::Event::ClaimsChanged;
    let edit = quash_core::decide::change_account(
        &account,
        event,
        fields,
        quash_core::model::Actor::Operator.into(),
        world.service.now(),
    );
    let change = quash_core::model::Change::EditAccount(Box::new(edit));
    quash_store::Store::commit(&*world.store, change).await.expect("claims");
    let answer = world.attempt("dana", PASSWORD).await;
    assert_eq!((answer.status, answer.headers.contains_key(SET_COOKIE)), (503, false), "{answer}");
    world.wait(secs(1));
    sign_in(&world, "noor").await;
}
