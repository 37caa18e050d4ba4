//! Content negotiation on the paths that follow Simple JWT: the formats, the order of the checks, and the
//! response to OPTIONS. The bodies are those recorded from Simple JWT.

use crate::support;

use http::Method;
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::json;

use support::{Call, PASSWORD, READ_PATHS, TOKEN_PATHS, World};

fn bad_sign_in(target: &str) -> Call {
    Call::post(target).json(&json!({ "username": "alice", "password": "bad" }))
}

#[tokio::test]
async fn clients_excluding_json_get_406() {
    let world = World::open().await;
    let call = Call::post("/api/token/").json(&json!({ "username": "dana", "password": PASSWORD }));
    insta::assert_snapshot!(world.send(call.header(ACCEPT, "application/xml")).await, @r#"
    406
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"detail":"Could not satisfy the request Accept header."}
    "#);
    assert_eq!(world.sessions("dana").await.len(), 0, "nothing was done");
}

#[tokio::test]
async fn responses_are_indented_as_requested() {
    let world = World::open().await;
    let accepting = |range: &str| bad_sign_in("/api/token/").header(ACCEPT, range);
    insta::assert_snapshot!(world.send(accepting("application/json; indent=4")).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {
        "detail": "No active account found with the given credentials"
    }
    "#);
    for (indent, blanks) in [(1, 1), (8, 8), (9, 8), (2_000_000_000, 8)] {
        let answer = world.send(accepting(&format!("application/json; indent={indent}"))).await;
        let blanks = " ".repeat(blanks);
        assert_eq!(
            answer.text(),
            format!("{{\n{blanks}\"detail\": \"No active account found with the given credentials\"\n}}")
        );
        assert_eq!(answer.header("content-length"), Some(answer.text().len().to_string().as_str()));
    }
    let compact = world.send(bad_sign_in("/api/token/")).await.to_string();
    for indent in ["0", "-4", "four"] {
        assert_eq!(
            world.send(accepting(&format!("application/json; indent={indent}"))).await.to_string(),
            compact,
            "{indent}"
        );
    }
    let pair = world.sign_in("dana").await;
    let call = Call::post("/api/token/verify/")
        .header(ACCEPT, "application/json;indent=2")
        .json(&json!({ "token": pair.access }));
    assert_eq!(world.send(call).await.text(), "{}");
    let call = Call::of(Method::OPTIONS, "/api/token/refresh/").header(ACCEPT, "application/json;indent=1");
    assert!(
        world
            .send(call)
            .await
            .text()
            .contains("\n \"actions\": {\n  \"POST\": {\n   \"refresh\": {\n    \"type\": \"string\",\n")
    );
}

#[tokio::test]
async fn format_parameters_are_honored() {
    let world = World::open().await;
    let plain = world.send(bad_sign_in("/api/token/")).await.to_string();
    for query in ["format=json", "format=api", "format=", "format=xyz&format=json", "other=xyz"] {
        assert_eq!(
            world.send(bad_sign_in(&format!("/api/token/?{query}"))).await.to_string(),
            plain,
            "{query}"
        );
    }
    insta::assert_snapshot!(world.send(bad_sign_in("/api/token/?format=xyz")).await, @r#"
    404
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"detail":"Not found."}
    "#);
    assert_eq!(world.hashes(), 2 + 6, "two accounts, and the attempts that were let in");
}

#[tokio::test]
async fn browsers_and_careless_clients_get_json() {
    let world = World::open().await;
    let plain = world.send(bad_sign_in("/api/token/")).await.to_string();
    for range in [
        "text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "*/*",
        "application/*",
        "",
        ", ,",
    ] {
        assert_eq!(
            world.send(bad_sign_in("/api/token/").header(ACCEPT, range)).await.to_string(),
            plain,
            "{range:?}"
        );
    }
    let both =
        bad_sign_in("/api/token/").header(ACCEPT, "application/xml").header(ACCEPT, "application/json");
    assert_eq!(world.send(both).await.to_string(), plain);
}

/// 404 for the format, 406, 401, 405, 415, 400: the first error that applies is reported.
#[tokio::test]
async fn checks_follow_the_frameworks_order() {
    let world = World::open().await;
    for (path, _) in TOKEN_PATHS {
        for method in [Method::POST, Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
            let call = |query: &str| {
                Call::of(method.clone(), &format!("{path}/{query}"))
                    .body("text/plain", "x")
                    .header(ACCEPT, "image/png")
            };
            assert_eq!(world.send(call("?format=png")).await.status, 404, "{method} {path}");
            assert_eq!(world.send(call("")).await.status, 406, "{method} {path}");
        }
        let get = Call::of(Method::GET, path).body("text/plain", "x");
        assert_eq!(world.send(get).await.status, 405, "{path}");
        let post = world.send(Call::post(path).body("text/plain", "x")).await.status;
        assert_eq!(post, if path == "/api/logout" { 401 } else { 415 }, "{path}");
    }
}

#[tokio::test]
async fn other_paths_ignore_the_accept_header() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    for path in READ_PATHS {
        let call = Call::get(&format!("{path}?format=xyz")).bearer(&pair.access).header(ACCEPT, "image/png");
        let wanted = if path == "/v1/forward-auth" { 204 } else { 200 };
        assert_eq!(world.send(call).await.status, wanted, "{path}");
    }
    assert_eq!(world.send(Call::post("/nowhere").header(ACCEPT, "image/png")).await.status, 404);
}

#[tokio::test]
async fn malformed_accept_headers_are_handled() {
    let world = World::open().await;
    let long = format!("{}application/json", "application/xml;q=0.1, ".repeat(600));
    let parameters = format!("application/json{}", ";a=b".repeat(3000));
    for range in [
        &long[..],
        &parameters,
        "application/json;indent=\u{661}",
        "\u{e9}/\u{ff}, */*",
        "application/json;=",
        "*/*;;q;=;\"",
        "a/b/c, text/html",
    ] {
        assert_eq!(
            world.send(bad_sign_in("/api/token/").header(ACCEPT, range)).await.status,
            401,
            "{:.60}",
            range
        );
    }
    for range in [
        "*/*;q=0",
        "application/json;q=0",
        "application/json;q=0, */*",
        "json",
        "*",
        ";;;q=1",
        "\u{e9}",
        "application/jso",
    ] {
        assert_eq!(
            world.send(bad_sign_in("/api/token/").header(ACCEPT, range)).await.status,
            406,
            "{range:?}"
        );
    }
}

#[tokio::test]
async fn options_describes_each_path() {
    let world = World::open().await;
    let told = async |path: &str| world.send(Call::of(Method::OPTIONS, path)).await;
    insta::assert_snapshot!(told("/api/token/").await, @r#"
    200
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"name":"Token Obtain Pair","description":"Takes a set of user credentials and returns an access and refresh JSON web\ntoken pair to prove the authentication of those credentials.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"username":{"type":"string","required":true,"read_only":false,"label":"Username"},"password":{"type":"string","required":true,"read_only":false,"label":"Password"}}}}
    "#);
    insta::assert_snapshot!(told("/api/token/refresh/").await.brief(), @r#"200 {"name":"Token Refresh","description":"Takes a refresh type JSON web token and returns an access type JSON web\ntoken if the refresh token is valid.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"refresh":{"type":"string","required":true,"read_only":false,"label":"Refresh"},"access":{"type":"string","required":false,"read_only":true,"label":"Access"}}}}"#);
    insta::assert_snapshot!(told("/api/token/verify/").await.brief(), @r#"200 {"name":"Token Verify","description":"Takes a token and indicates if it is valid.  This view provides no\ninformation about a token's fitness for a particular use.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"token":{"type":"string","required":true,"read_only":false,"label":"Token"}}}}"#);
    insta::assert_snapshot!(told("/api/token/blacklist/").await.brief(), @r#"200 {"name":"Token Blacklist","description":"Takes a token and blacklists it.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"refresh":{"type":"string","required":true,"read_only":false,"label":"Refresh"}}}}"#);
    insta::assert_snapshot!(told("/api/logout/").await.brief(), @r#"200 {"name":"Logout","description":"Takes an access token in the Authorization header and a refresh token in the\nbody, and ends their session.","renders":["application/json"],"parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"actions":{"POST":{"refresh":{"type":"string","required":true,"read_only":false,"label":"Refresh"}}}}"#);
    for (path, _) in TOKEN_PATHS {
        let with_headers =
            Call::of(Method::OPTIONS, path).header(AUTHORIZATION, "Bearer a.b.c").body("text/plain", "x");
        let answer = world.send(with_headers).await;
        assert_eq!((answer.status, answer.to_string()), (200, told(path).await.to_string()), "{path}");
        let named: Vec<_> =
            answer.json()["actions"]["POST"].as_object().expect("fields").keys().cloned().collect();
        let required = world.send(Call::post(path).bearer(&world.sign_in("dana").await.access)).await.json();
        let missing: Vec<_> = required.as_object().expect("fields").keys().cloned().collect();
        assert!(named.starts_with(&missing), "{path}: {named:?} {missing:?}");
    }
    insta::assert_snapshot!(told("/livez").await, @r#"
    405
    content-type: application/problem+json
    cache-control: no-store
    allow: GET, HEAD

    {"type":"/docs/errors/method_not_allowed","title":"Method not allowed","status":405,"detail":"Method \"OPTIONS\" not allowed.","code":"method_not_allowed"}
    "#);
}

#[tokio::test]
async fn custom_prefixes_keep_their_descriptions() {
    let settings =
        quash_server::HttpSettings { prefix: "/auth/jwt".into(), ..quash_server::HttpSettings::default() };
    let world = World::planned(support::Plan { settings, ..support::Plan::default() }).await;
    for path in ["/auth/jwt/token", "/auth/jwt/token/verify/", "/auth/jwt/logout/"] {
        assert_eq!(world.send(Call::of(Method::OPTIONS, path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn lone_surrogates_are_reported_at_their_field() {
    let world = World::open().await;
    let sent = |path: &str, body: &str| Call::post(path).body("application/json", body);
    insta::assert_snapshot!(world.send(sent("/api/token/", r#"{"username":"\ud800","password":"x"}"#)).await, @r#"
    400
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"username":["Surrogate characters are not allowed: U+D800."]}
    "#);
    insta::assert_snapshot!(world.send(sent("/api/token/", r#"{"username":"\ud800"}"#)).await.brief(), @r#"400 {"username":["Surrogate characters are not allowed: U+D800."],"password":["This field is required."]}"#);
    insta::assert_snapshot!(world.send(sent("/api/token/", r#"{"username":null,"password":"a\udeadb"}"#)).await.brief(), @r#"400 {"username":["This field may not be null."],"password":["Surrogate characters are not allowed: U+DEAD."]}"#);
    insta::assert_snapshot!(world.send(sent("/api/token/refresh/", r#"{"refresh":"\udfff"}"#)).await.brief(), @r#"400 {"refresh":["Surrogate characters are not allowed: U+DFFF."]}"#);
    insta::assert_snapshot!(world.send(sent("/api/token/", r#"{"username":"\ud800","password":}"#)).await.brief(), @r#"400 {"detail":"JSON parse error - Unexpected input: line 1 column 20"}"#);
    let elsewhere = format!(r#"{{"username":"dana","password":"{PASSWORD}","note":"\ud800"}}"#);
    assert_eq!(world.send(sent("/api/token/", &elsewhere)).await.status, 200);
    assert_eq!(world.hashes(), 3, "two accounts and one sign-in");
}
