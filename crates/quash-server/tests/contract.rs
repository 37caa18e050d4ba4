//! The HTTP contract as a whole: the main flow, the formats of bodies, the headers of every response, and the
//! effects of settings.

use crate::support;

use http::header::{ACCEPT, HOST};
use http::{HeaderName, Method};
use quash_core::token::Algorithm;
use quash_server::{Code, Compat, HttpSettings, Paths};
use quash_verify::TokenHeader;
use serde_json::json;

use support::{Call, PASSWORD, Plan, READ_PATHS, TOKEN_PATHS, World, claims, secs};

#[tokio::test]
async fn main_flow_works() {
    let world = World::open().await;
    let signed_in = world.attempt("dana", PASSWORD).await;
    insta::assert_snapshot!(signed_in, @r#"
    200
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"refresh":"<refresh>","access":"<access>"}
    "#);
    let pair = signed_in.pair();
    insta::assert_snapshot!(world.me(&pair.access).await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"subject":"dana","username":"dana","email":"dana@example.org","email_verified":true,"session":"<id>"}
    "#);
    insta::assert_snapshot!(world.log_out(&pair.access, &pair.refresh).await, @r#"
    200
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {}
    "#);
    insta::assert_snapshot!(world.me(&pair.access).await, @r#"
    401
    content-type: application/problem+json
    cache-control: no-store
    www-authenticate: Bearer realm="api"

    {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is blacklisted","code":"token_not_valid"}
    "#);
    insta::assert_snapshot!(world.refresh(&pair.refresh).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Token is blacklisted","code":"token_not_valid","reason":"log_out"}
    "#);
}

#[tokio::test]
async fn token_claims_and_order_follow_the_design() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let rsq = world.head().await.as_u64();
    let names = |token: &str| {
        claims(token).as_object().expect("claims").keys().cloned().collect::<Vec<_>>().join(" ")
    };
    insta::assert_snapshot!(names(&pair.access), @"token_type exp iat jti user_id sid rsq");
    insta::assert_snapshot!(names(&pair.refresh), @"token_type exp iat jti user_id sid rsq gen");
    let (access, refresh) = (claims(&pair.access), claims(&pair.refresh));
    assert_eq!((access["user_id"].as_str(), access["rsq"].as_u64()), (Some("dana"), Some(rsq)));
    assert_eq!(access["exp"].as_i64(), Some(support::START + 300));
    assert_eq!(refresh["exp"].as_i64(), Some(support::START + 86_400));
    assert_eq!((&access["sid"], &refresh["gen"]), (&refresh["sid"], &json!(0)));
    assert_ne!(access["jti"], refresh["jti"]);
}

#[tokio::test]
async fn published_keys_contain_no_private_parts() {
    let world = World::open().await;
    let answer = world.send(Call::get("/.well-known/jwks.json")).await;
    insta::assert_snapshot!(answer, @r#"
    200
    content-type: application/json
    cache-control: public, max-age=300

    {"keys":[{"kty":"OKP","use":"sig","alg":"EdDSA","kid":"<key>","crv":"Ed25519","x":"<key>"}]}
    "#);
    let private = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];
    assert!(private.iter().all(|member| answer.json()["keys"][0].get(member).is_none()));
}

#[tokio::test]
async fn hmac_secrets_are_never_published() {
    let world = World::planned(Plan { algorithm: Algorithm::Hs256, ..Plan::default() }).await;
    insta::assert_snapshot!(world.send(Call::get("/.well-known/jwks.json")).await.brief(), @r#"200 {"keys":[]}"#);
}

#[tokio::test]
async fn main_flow_works_with_hmac() {
    let world = World::planned(Plan { algorithm: Algorithm::Hs256, ..Plan::default() }).await;
    let first = world.sign_in("dana").await;
    world.assert_live(&first).await;
    let second = world.refresh(&first.refresh).await.pair();
    assert_eq!(world.refresh(&first.refresh).await.pair().refresh, second.refresh);
    assert_eq!(world.log_out(&second.access, &second.refresh).await.status, 200);
    world.assert_dead(&second).await;
    assert_eq!(world.me(&first.access).await.status, 401);
}

#[tokio::test]
async fn issuer_and_audience_are_set_and_required() {
    let mut plan = Plan::default();
    plan.policy.tokens.issuer = Some("https://id.example.org".into());
    plan.policy.tokens.audience = vec!["shop".into(), "api".into()];
    let world = World::planned(plan).await;
    let pair = world.sign_in("dana").await;
    for token in [&pair.access, &pair.refresh] {
        assert_eq!(claims(token)["iss"], "https://id.example.org");
        assert_eq!(claims(token)["aud"], json!(["shop", "api"]));
    }
    world.assert_live(&pair).await;
    assert_eq!(world.me(&world.forge(&pair.access, &json!({ "aud": "api" }))).await.status, 200);
    for wrong in [
        json!({ "iss": "https://id.example.org/" }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": [] }),
    ] {
        assert_eq!(world.me(&world.forge(&pair.access, &wrong)).await.status, 401, "{wrong}");
        assert_eq!(world.refresh(&world.forge(&pair.refresh, &wrong)).await.status, 401, "{wrong}");
    }
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn health_endpoints_report_liveness_and_readiness() {
    let world = World::open().await;
    insta::assert_snapshot!(world.send(Call::get("/livez")).await.brief(), @r#"200 {"status":"ok"}"#);
    insta::assert_snapshot!(world.send(Call::get("/readyz")).await.brief(), @r#"200 {"status":"ok"}"#);
    insta::assert_snapshot!(world.send(Call::get("/readyz?verbose=1")).await.brief(), @r#"200 {"status":"ok","checks":{"store":"ok","log_seq":17179869184,"mail":"ok"}}"#);
}

#[tokio::test]
async fn every_error_code_has_an_indexed_page() {
    let world = World::open().await;
    let index = world.send(Call::get("/docs/errors/")).await;
    assert_eq!((index.status, index.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for code in Code::ALL {
        let page = world.send(Call::get(&format!("/docs/errors/{}", code.as_str()))).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(
            page.header("content-security-policy")
                .is_some_and(|policy| policy.contains("frame-ancestors 'none'"))
        );
        assert!(page.text().contains(code.title()) && page.text().contains(code.as_str()), "{page}");
        assert!(
            page.text().contains("name=\"viewport\"") && page.text().contains("href=\"../../pages.css\""),
            "{page}"
        );
        assert!(index.text().contains(&format!("<a href=\"{}\">", code.as_str())), "{index}");
    }
    insta::assert_snapshot!(world.send(Call::get("/docs/errors/nothing")).await, @r#"
    404
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/not_found","title":"Not found","status":404,"detail":"Not found.","code":"not_found"}
    "#);
    for target in ["/docs/errors/%ff", "/docs/errors/%00", "/docs/errors/a%2fb", "/docs/errors//"] {
        assert_eq!(world.send(Call::get(target)).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn home_page_states_purpose_readiness_and_next_steps() {
    let world = World::open().await;
    let page = world.send(Call::get("/")).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for text in [
        "issues JSON Web Tokens",
        "It is ready.",
        "quash account add NAME",
        "POST /api/token/",
        "href=\"docs/errors/\"",
    ] {
        assert!(page.text().contains(text), "{text}: {page}");
    }
    assert_eq!(world.send(Call::post("/")).await.status, 405);
    let paths = Paths::parse(&[("token".into(), "/auth/jwt/create/".into())], "/api").expect("paths");
    let settings = HttpSettings { username_field: "email".into(), paths, ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let page = world.send(Call::get("/")).await;
    for text in ["POST /auth/jwt/create/", "send <code>email</code>"] {
        assert!(page.text().contains(text), "{text}: {page}");
    }
}

#[tokio::test]
async fn unknown_paths_return_a_problem_document() {
    let world = World::open().await;
    insta::assert_snapshot!(world.send(Call::get("/nowhere")).await, @r#"
    404
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/not_found","title":"Not found","status":404,"detail":"Not found.","code":"not_found"}
    "#);
    for target in [
        "*",
        "/api",
        "/api/",
        "//api/token/",
        "/api//token/",
        "/API/token/",
        "/api/token//",
        "/v1/me/",
        "/v1",
    ] {
        assert_eq!(world.send(Call::post(target)).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn trailing_slashes_make_no_difference() {
    let world = World::open().await;
    for (path, _) in TOKEN_PATHS {
        for method in [Method::POST, Method::OPTIONS, Method::GET] {
            let without = world.send(Call::of(method.clone(), path)).await;
            let with = world.send(Call::of(method, &format!("{path}/"))).await;
            assert_eq!(without.to_string(), with.to_string());
        }
    }
}

#[tokio::test]
async fn bodies_may_be_json_a_form_or_multipart() {
    let world = World::open().await;
    let boundary = "multipart/form-data; boundary=X";
    let part = |name: &str, value: &str| {
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    for (media_type, body) in [
        (
            "application/json; charset=utf-8",
            json!({ "username": "dana", "password": PASSWORD, "other": [1] }).to_string(),
        ),
        ("Application/JSON", json!({ "username": " dana ", "password": PASSWORD }).to_string()),
        (
            "application/x-www-form-urlencoded",
            format!("username=dana&password={}", PASSWORD.replace(' ', "+")),
        ),
        (boundary, format!("{}{}--X--\r\n", part("username", "dana"), part("password", PASSWORD))),
    ] {
        let answer = world.send(Call::post("/api/token/").body(media_type, body)).await;
        assert_eq!(answer.status, 200, "{media_type}: {answer}");
    }
}

#[tokio::test]
async fn unsupported_media_types_are_refused() {
    let world = World::open().await;
    let body = json!({ "username": "dana", "password": PASSWORD }).to_string();
    insta::assert_snapshot!(world.send(Call::post("/api/token/").body("text/plain", body.clone())).await, @r#"
    415
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"detail":"Unsupported media type \"text/plain\" in request."}
    "#);
    for (path, _) in TOKEN_PATHS.into_iter().filter(|(path, _)| *path != "/api/logout") {
        for media_type in [
            "text/plain",
            "application/xml",
            "application/vnd.api+json",
            "application/jsonp",
            "",
            ";",
            "\u{e9}",
        ] {
            assert_eq!(
                world.send(Call::post(path).body(media_type, body.clone())).await.status,
                415,
                "{path} {media_type:?}"
            );
        }
    }
    assert_eq!(world.hashes(), 2, "only the two accounts were hashed");
}

#[tokio::test]
async fn body_size_is_limited() {
    let world = World::open().await;
    let of =
        |length: usize| format!("{}{}", json!({ "refresh": "x", "token": "x" }), " ".repeat(length - 27));
    let pair = world.sign_in("dana").await;
    assert_eq!(of(32_768).len(), 32_768);
    // A sign-in counts as a failed attempt, so the sign-in endpoints come last.
    for (path, _) in TOKEN_PATHS.iter().filter(|(_, field)| *field != "password") {
        let call = |length: usize| Call::post(path).bearer(&pair.access).body("application/json", of(length));
        assert_eq!(world.send(call(32_768)).await.status, 401, "{path}");
        assert_eq!(world.send(call(32_769)).await.status, 413, "{path}");
    }
    let over = Call::post("/api/token/").body("application/json", of(32_769));
    insta::assert_snapshot!(world.send(over).await, @r#"
    413
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"detail":"The request body is larger than 32 KiB.","code":"body_too_large"}
    "#);
}

#[tokio::test]
async fn empty_bodies_report_required_fields() {
    let world = World::open().await;
    insta::assert_snapshot!(world.send(Call::post("/api/token/")).await, @r#"
    400
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"username":["This field is required."],"password":["This field is required."]}
    "#);
    insta::assert_snapshot!(world.send(Call::post("/api/token/refresh/")).await.brief(), @r#"400 {"refresh":["This field is required."]}"#);
    insta::assert_snapshot!(world.send(Call::post("/api/token/verify/")).await.brief(), @r#"400 {"token":["This field is required."]}"#);
    insta::assert_snapshot!(world.send(Call::post("/api/token/blacklist/")).await.brief(), @r#"400 {"refresh":["This field is required."]}"#);
    insta::assert_snapshot!(world.send(Call::post("/api/logout/")).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Authentication credentials were not provided."}
    "#);
}

#[tokio::test]
async fn a76_responses_with_tokens_or_users_are_uncacheable() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let answers = [
        world.attempt("dana", PASSWORD).await,
        world.refresh(&pair.refresh).await,
        world.verify(&pair.access).await,
        world.me(&pair.access).await,
        world.log_out(&pair.access, &pair.refresh).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert_eq!(
            (answer.header("cache-control"), answer.header("pragma")),
            (Some("no-store"), Some("no-cache")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn every_request_has_a_unique_id() {
    let world = World::open().await;
    let mut ids = std::collections::BTreeSet::new();
    let name = HeaderName::from_static("x-request-id");
    for target in READ_PATHS.into_iter().chain(["/nowhere", "/api/token/"]) {
        for _ in 0..3 {
            let sent = "0123456789abcdef0123456789abcdef";
            let answer = world.send(Call::get(target).header(name.clone(), sent)).await;
            let id = answer.header("x-request-id").expect("an id").to_owned();
            assert_ne!(id, sent, "a client doesn't choose what stands in the log");
            assert!(ids.insert(id), "{target}");
        }
    }
}

#[tokio::test]
async fn strict_compatibility_omits_the_reason() {
    let settings = HttpSettings { compat: Compat::Strict, ..HttpSettings::default() };
    let (standard, strict) =
        (World::open().await, World::planned(Plan { settings, ..Plan::default() }).await);
    let mut told = Vec::new();
    for world in [&standard, &strict] {
        let first = world.sign_in("dana").await;
        world.refresh(&first.refresh).await.pair();
        world.wait(secs(31));
        told.push(world.refresh(&first.refresh).await.brief());
        told.push(world.verify(&first.access).await.brief());
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"reuse"}
    401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"reuse"}
    401 {"detail":"Token is blacklisted","code":"token_not_valid"}
    401 {"detail":"Token is blacklisted","code":"token_not_valid"}
    "#);
}

#[tokio::test]
async fn prefix_and_schemes_are_configurable() {
    let settings = HttpSettings {
        prefix: "/auth/jwt".into(),
        token_header: TokenHeader { schemes: vec!["JWT".into(), "Bearer".into()], ..TokenHeader::default() },
        ..HttpSettings::default()
    };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 404);
    let body = json!({ "username": "dana", "password": PASSWORD });
    let pair = world.send(Call::post("/auth/jwt/token").json(&body)).await.pair();
    for scheme in ["JWT", "jwt", "Bearer"] {
        let call =
            Call::get("/v1/me").header(http::header::AUTHORIZATION, format!("{scheme} {}", pair.access));
        assert_eq!(world.send(call).await.status, 200, "{scheme}");
    }
    insta::assert_snapshot!(world.send(Call::get("/v1/me")).await.header("www-authenticate").unwrap_or_default(), @r#"JWT realm="api""#);
}

#[tokio::test]
async fn endpoint_paths_are_configurable() {
    let chosen = [
        ("token", "/auth/jwt/create/"),
        ("logout", "/auth/logout"),
        ("me", "/auth/users/me/"),
        ("me_password", "/auth/users/set_password/"),
    ];
    let chosen = chosen.map(|(name, path)| (name.to_owned(), path.to_owned()));
    let settings =
        HttpSettings { paths: Paths::parse(&chosen, "/api").expect("paths"), ..HttpSettings::default() };
    let world = World::planned(Plan { settings, ..Plan::default() }).await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    let mut told = Vec::new();
    for (method, path) in [
        ("POST", "/auth/jwt/create"),
        ("POST", "/auth/jwt/create/"),
        ("POST", "/api/token/"),
        ("OPTIONS", "/auth/jwt/create/"),
        ("GET", "/auth/jwt/create/"),
        ("GET", "/auth/users/me"),
        ("GET", "/auth/users/me/"),
        ("GET", "/v1/me"),
        ("GET", "/auth/users/set_password/"),
    ] {
        let answer = world.send(Call::of(method.parse().expect("a method"), path).json(&body)).await;
        told.push(format!("{method} {path}: {}", answer.status));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    POST /auth/jwt/create: 200
    POST /auth/jwt/create/: 200
    POST /api/token/: 404
    OPTIONS /auth/jwt/create/: 200
    GET /auth/jwt/create/: 405
    GET /auth/users/me: 401
    GET /auth/users/me/: 401
    GET /v1/me: 404
    GET /auth/users/set_password/: 401
    ");
    let pair = world.send(Call::post("/auth/jwt/create/").json(&body)).await.pair();
    let pair = world.refresh(&pair.refresh).await.pair();
    let change = json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" });
    let pair =
        world.send(Call::post("/auth/users/set_password/").bearer(&pair.access).json(&change)).await.pair();
    assert_eq!(
        world.send(Call::get("/auth/users/me/").bearer(&pair.access)).await.json()["username"],
        "dana"
    );
    let out = world
        .send(Call::post("/auth/logout/").bearer(&pair.access).json(&json!({ "refresh": pair.refresh })))
        .await;
    assert_eq!((out.status, out.text()), (200, "{}"));
    assert_eq!(world.send(Call::get("/auth/users/me/").bearer(&pair.access)).await.status, 401);
}

#[tokio::test]
async fn language_and_encoding_headers_change_nothing() {
    let world = World::open().await;
    let plain = world.send(Call::post("/api/token/")).await.to_string();
    for (name, value) in [
        (ACCEPT, "text/html"),
        (HOST, "evil.example"),
        (HeaderName::from_static("x-forwarded-host"), "evil.example"),
        (HeaderName::from_static("x-original-url"), "/v1/me"),
        (HeaderName::from_static("accept-language"), "de"),
    ] {
        assert_eq!(
            world.send(Call::post("/api/token/").header(name.clone(), value)).await.to_string(),
            plain,
            "{name}: {value}"
        );
    }
}

#[test]
fn codes_are_a_closed_list() {
    let told: Vec<_> =
        Code::ALL.iter().map(|code| format!("{} {}", code.status().as_u16(), code.as_str())).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    401 token_not_valid
    401 not_authenticated
    401 bad_authorization_header
    401 bad_credentials
    401 password_change_required
    401 email_not_verified
    401 no_active_account
    401 user_not_found
    401 user_inactive
    403 wrong_password
    401 password_changed
    403 session_required
    400 tokens_of_two_accounts
    409 name_taken
    400 password_refused
    409 password_mark_differs
    409 conflict
    403 change_not_allowed
    400 two_tokens
    400 link_not_valid
    409 registration_taken
    403 cross_site
    400 invalid_request
    415 unsupported_media_type
    413 body_too_large
    408 body_timeout
    404 not_found
    405 method_not_allowed
    406 not_acceptable
    401 credential_not_valid
    403 right_required
    409 client_taken
    409 key_not_changed
    412 version_differs
    409 snapshot_required
    400 feed_version
    403 claim_missing
    429 throttled
    503 unavailable
    503 no_signing_key
    503 settings_changed
    500 internal_error
    ");
    assert!(Code::ALL.iter().all(|code| !code.page().is_empty()));
}

#[test]
fn reference_lists_every_error_code_once() {
    let reference = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/http.md");
    let reference = std::fs::read_to_string(reference).expect("the reference");
    let codes =
        reference.split("## Codes").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("its codes");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        Some(format!("{} {}", cells.nth(1)?, line.strip_prefix("| `")?.split('`').next()?))
    };
    let mut told: Vec<_> = codes.lines().filter_map(row).collect();
    let mut known: Vec<_> =
        Code::ALL.iter().map(|code| format!("{} {}", code.status().as_u16(), code.as_str())).collect();
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known);
}
