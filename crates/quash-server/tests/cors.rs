//! Cross-origin requests: only pages of named origins may read responses.

use crate::support;

use std::time::Duration;

use http::header::{ACCEPT, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderName, Method};
use quash_server::{CorsSettings, HttpSettings, Origin, TokenHeader};
use serde_json::json;

use support::{Answer, Call, PASSWORD, Plan, READ_PATHS, TOKEN_PATHS, World};

const APP: &str = "https://app.example";
const LOCAL: &str = "http://localhost:3000";

async fn world() -> World {
    let cors_origins = [APP, LOCAL].map(|origin| Origin::parse(origin).expect("an origin")).into();
    World::planned(Plan {
        settings: HttpSettings { cors_origins, ..HttpSettings::default() },
        ..Plan::default()
    })
    .await
}

fn preflight(target: &str, origin: &str) -> Call {
    let call = Call::of(Method::OPTIONS, target)
        .header(ORIGIN, origin)
        .header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
    call.header(ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type")
}

fn cors_headers(answer: &Answer) -> Vec<&str> {
    answer.headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn named_origins_get_preflights_on_every_path() {
    let world = world().await;
    insta::assert_snapshot!(world.send(preflight("/api/token/", APP)).await, @r"
    204
    vary: Origin
    access-control-allow-origin: https://app.example
    access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
    access-control-allow-headers: Accept, Authorization, Content-Type, User-Agent, X-CSRFToken, X-Requested-With, Quash-Device, Prefer
    access-control-max-age: 600
    access-control-expose-headers: X-Request-Id, Retry-After, WWW-Authenticate, Quash-Device, RateLimit, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset
    ");
    let values = |answer: &Answer| {
        let named = cors_headers(answer).into_iter().map(|name| format!("{name}: {:?}", answer.header(name)));
        (answer.status, named.collect::<Vec<_>>())
    };
    let one = values(&world.send(preflight("/api/token/", LOCAL)).await);
    let paths = TOKEN_PATHS.iter().map(|(path, _)| *path).chain(READ_PATHS).chain(["/nowhere", "/"]);
    for path in paths {
        assert_eq!(values(&world.send(preflight(path, LOCAL)).await), one, "{path}");
        // Other contents of a preflight don't matter: it isn't a request to the path.
        let odd = preflight(path, LOCAL).header(ACCEPT, "image/png").bearer("a.b.c");
        assert_eq!(values(&world.send(odd).await), one, "{path}");
    }
}

#[tokio::test]
async fn preflights_allow_a_renamed_token_header() {
    let token_header =
        TokenHeader { name: HeaderName::from_static("x-access-token"), ..TokenHeader::default() };
    let cors_origins = vec![Origin::parse(APP).expect("an origin")];
    let settings = HttpSettings { cors_origins, token_header, ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let answer = world.send(preflight("/api/token/", APP)).await;
    let allowed = answer.header("access-control-allow-headers");
    assert!(allowed.is_some_and(|allowed| allowed.ends_with(", Prefer, x-access-token")), "{allowed:?}");
}

#[tokio::test]
async fn settings_add_headers_and_set_the_max_age() {
    let cors = CorsSettings {
        allow_headers: ["traceparent", "sentry-trace", "baggage"].map(HeaderName::from_static).into(),
        expose_headers: vec![HeaderName::from_static("server-timing")],
        max_age: Duration::from_secs(86_400),
    };
    let cors_origins = vec![Origin::parse(APP).expect("an origin")];
    let settings = HttpSettings { cors_origins, cors, ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let answer = world.send(preflight("/api/token/", APP)).await;
    let ends = |name: &str, end: &str| {
        assert!(answer.header(name).is_some_and(|value| value.ends_with(end)), "{answer}")
    };
    ends("access-control-allow-headers", ", Prefer, traceparent, sentry-trace, baggage");
    ends("access-control-expose-headers", ", RateLimit-Reset, server-timing");
    assert_eq!(answer.header("access-control-max-age"), Some("86400"));
}

#[tokio::test]
async fn options_without_preflight_describes_the_path() {
    let world = world().await;
    let plain = world.send(Call::of(Method::OPTIONS, "/api/token/")).await;
    assert_eq!((plain.status, plain.json()["name"].as_str()), (200, Some("Token Obtain Pair")));
    assert!(cors_headers(&plain).is_empty(), "{plain}");
    let across = world.send(Call::of(Method::OPTIONS, "/api/token/").header(ORIGIN, APP)).await;
    assert_eq!((across.status, across.text()), (200, plain.text()));
    assert_eq!(across.header("access-control-allow-origin"), Some(APP));
    let no_origin = world
        .send(Call::of(Method::OPTIONS, "/api/token/").header(ACCESS_CONTROL_REQUEST_METHOD, "POST"))
        .await;
    assert_eq!(no_origin.to_string(), plain.to_string());
    assert_eq!(world.send(Call::of(Method::OPTIONS, "/livez").header(ORIGIN, APP)).await.status, 405);
}

#[tokio::test]
async fn named_origins_may_read_every_response() {
    let world = world().await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    insta::assert_snapshot!(world.send(Call::post("/api/token/").header(ORIGIN, APP).json(&body)).await, @r#"
    200
    content-type: application/json
    cache-control: no-store
    vary: Accept
    vary: Origin
    allow: POST, OPTIONS
    access-control-allow-origin: https://app.example
    access-control-expose-headers: X-Request-Id, Retry-After, WWW-Authenticate, Quash-Device, RateLimit, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset

    {"refresh":"<refresh>","access":"<access>"}
    "#);
    for (call, status) in [
        (Call::get("/v1/me"), 401),
        (Call::get("/nowhere"), 404),
        (Call::get("/api/token/"), 405),
        (Call::post("/api/token/").header(ACCEPT, "image/png"), 406),
        (Call::post("/api/token/").body("application/json", vec![b' '; 65_537]), 413),
        (Call::post("/api/token/").body("text/plain", "x"), 415),
        (Call::of(Method::HEAD, "/livez"), 200),
    ] {
        let answer = world.send(call.header(ORIGIN, LOCAL)).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, Some(LOCAL)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a75_other_origins_may_read_nothing() {
    let world = world().await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    for origin in [
        "null",
        "*",
        "",
        "https://evil.example",
        "https://app.example.evil",
        "https://app.example.",
        "https://evil.app.example",
        "https://app.example:443",
        "https://app.example:8443",
        "https://App.example",
        "https://APP.EXAMPLE",
        "http://app.example",
        "https://app.example/",
        "https://app.example, https://evil.example",
        "https://app.example https://evil.example",
        "https://app.example@evil.example",
        " https://app.example\u{e9}",
        "app.example",
        "http://localhost",
        "http://localhost:30000",
    ] {
        let answer = world.send(Call::post("/api/token/").header(ORIGIN, origin).json(&body)).await;
        assert_eq!((answer.status, cors_headers(&answer)), (200, vec![]), "{origin:?}");
        assert!(answer.headers.get_all("vary").iter().any(|value| value == "Origin"), "{origin:?}");
        let asked = world.send(preflight("/api/token/", origin)).await;
        assert_eq!((asked.status, cors_headers(&asked)), (200, vec![]), "as any OPTIONS: {origin:?}");
        assert_eq!(world.send(preflight("/v1/me", origin)).await.status, 401, "{origin:?}");
    }
    let two = Call::get("/livez").header(ORIGIN, APP).header(ORIGIN, "https://evil.example");
    assert!(cors_headers(&world.send(two).await).is_empty());
    let none = world.send(Call::get("/livez")).await;
    assert_eq!((cors_headers(&none), none.header("vary")), (vec![], Some("Origin")));
}

#[tokio::test]
async fn a75_no_origin_is_named_by_default() {
    let world = World::open().await;
    for origin in ["null", "*", APP, LOCAL] {
        for call in [preflight("/api/token/", origin), Call::get("/livez").header(ORIGIN, origin)] {
            let answer = world.send(call).await;
            assert_eq!((answer.status, cors_headers(&answer)), (200, vec![]), "{origin}");
            assert!(answer.headers.get_all("vary").iter().all(|value| value == "Accept"), "{origin}");
        }
    }
}

#[tokio::test]
async fn a75_credentials_and_wildcards_are_never_allowed() {
    let world = world().await;
    for call in [
        preflight("/api/token/", APP),
        Call::get("/livez").header(ORIGIN, APP),
        Call::post("/api/token/").header(ORIGIN, APP),
    ] {
        let answer = world.send(call).await;
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(
            cors_headers(&answer)
                .iter()
                .all(|name| answer.header(name).is_some_and(|value| !value.contains('*'))),
            "{answer}"
        );
    }
}
