//! The endpoints for other services: authentication, introspection and revocation.

mod introspection;
mod revocation;

use crate::support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use quash_core::model::{
    Change, ClientName, Generation, Right, Rights, Seeded, Session, SessionId, SessionOpening, draw,
};
use quash_core::token::RefreshKey;
use quash_server::{HttpSettings, PublicUrl};
use quash_store::Store;
use serde_json::{Value, json};
use support::{Answer, CLIENT_PATHS, Call, FaultyStore, PASSWORD, Pair, Part, Plan, World, claims};

const FORM: &str = "application/x-www-form-urlencoded";
const INACTIVE: &str = r#"{"active":false}"#;

/// A client of a world.
struct Service<'a> {
    world: &'a World,
    name: String,
    secret: String,
}

impl<'a> Service<'a> {
    async fn with(world: &'a World, name: &str, rights: &[Right]) -> Self {
        let rights = rights.iter().copied().collect();
        let (_, secret) = world.service.add_client(name, rights, None).await.expect("a client");
        Self { world, name: name.to_owned(), secret: secret.into_text().to_string() }
    }

    /// A client with every right.
    async fn full(world: &'a World, name: &str) -> Self {
        Self::with(world, name, &[Right::Introspect, Right::Revoke]).await
    }

    async fn introspect(&self, token: &str) -> Answer {
        self.world.send(form("/oauth2/introspect", &[("token", token)]).bearer(&self.secret)).await
    }

    async fn revoke(&self, token: &str) -> Answer {
        self.world.send(form("/oauth2/revoke", &[("token", token)]).bearer(&self.secret)).await
    }

    async fn assert_inactive(&self, token: &str) {
        let answer = self.introspect(token).await;
        assert_eq!((answer.status, answer.text()), (200, INACTIVE), "{answer}");
    }

    async fn assert_active(&self, token: &str) -> Value {
        let answer = self.introspect(token).await;
        assert_eq!((answer.status, &answer.json()["active"]), (200, &json!(true)), "{answer}");
        answer.json()
    }
}

fn form(path: &str, parameters: &[(&str, &str)]) -> Call {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    Call::post(path).body(FORM, body)
}

fn basic(call: Call, name: &str, secret: &str) -> Call {
    call.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{name}:{secret}"))))
}

/// The tokens of a session of dana's that a client opened: her pair, rewritten for another row.
async fn opened_by(world: &World, client: &str) -> Pair {
    let pair = world.sign_in("dana").await;
    let id: SessionId = claims(&pair.access)["sid"].as_str().expect("a session").parse().expect("an id");
    let (row, account) = world.store.session(id).await.expect("a read").found.expect("a session");
    let other = SessionId::from_bytes(id.as_bytes().map(|byte| !byte));
    let session = Session { id: other, client: Some(ClientName::parse(client).expect("a name")), ..row };
    let jti = RefreshKey::new(&draw(&Seeded::new(support::SEED)))
        .jti(other, &session.seed, Generation(0))
        .to_string();
    let version = account.version;
    let opening = SessionOpening {
        session,
        version,
        rehash: None,
        evict: None,
        most_live: u32::MAX,
        last_login: None,
        known_device: None,
        locks: None,
        adopts: None,
        claims: None,
    };
    world.store.commit(Change::OpenSession(Box::new(opening))).await.expect("a session");
    let sid = other.to_string();
    Pair {
        access: world.forge(&pair.access, &json!({ "sid": sid })),
        refresh: world.forge(&pair.refresh, &json!({ "sid": sid, "jti": jti })),
    }
}

#[tokio::test]
async fn clients_introspect_and_revoke_live_tokens() {
    let mut plan = Plan::default();
    plan.policy.tokens.issuer = Some("https://id.example.org".into());
    plan.policy.tokens.audience = vec!["shop".into(), "api".into()];
    let world = World::planned(plan).await;
    let shop = Service::full(&world, "shop").await;
    let pair = world.sign_in("dana").await;
    insta::assert_snapshot!(shop.introspect(&pair.access).await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"active":true,"token_type":"Bearer","token_use":"access","exp":1800000300,"iat":1800000000,"sub":"dana","user_id":"dana","username":"dana","jti":"<id>","sid":"<id>","rsq":17179869184,"iss":"https://id.example.org","aud":["shop","api"]}
    "#);
    insta::assert_snapshot!(shop.introspect(&pair.refresh).await.brief(), @r#"200 {"active":true,"token_use":"refresh","exp":1800086400,"iat":1800000000,"sub":"dana","user_id":"dana","username":"dana","jti":"<id>","sid":"<id>","rsq":17179869184,"iss":"https://id.example.org","aud":["shop","api"]}"#);
    insta::assert_snapshot!(shop.revoke(&pair.access).await, @r"
    200
    content-type: application/json
    cache-control: no-store

    {}
    ");
    insta::assert_snapshot!(shop.introspect(&pair.access).await, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"active":false}
    "#);
    world.assert_dead(&pair).await;
    let noted = world.store.audit(0, None, u32::MAX).await.expect("entries");
    let ended =
        noted.iter().find(|audit| audit.new.session.is_some() && audit.new.reason.is_some()).expect("an end");
    assert_eq!(ended.new.actor.as_str(), "client:shop");
    let listed = world.sign_in("dana").await;
    let over = &world.listed(&listed.access, "?ended=true").await[0]["ended"];
    assert_eq!(
        (&over["reason"], &over["by"]),
        (&json!("log_out"), &json!("client")),
        "users aren't told the names of services"
    );
}

#[tokio::test]
async fn clients_authenticate_by_basic_bearer_or_body() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop.2").await;
    let token = world.sign_in("dana").await.access;
    for path in CLIENT_PATHS {
        let plain = || form(path, &[("token", "garbage")]);
        let with = |more: &[(&str, &str)]| form(path, &[&[("token", "garbage")], more].concat());
        let (name, secret) = (&shop.name[..], &shop.secret[..]);
        for call in [
            basic(plain(), name, secret),
            basic(plain(), "shop%2E2", secret),
            plain().bearer(secret),
            plain().header(AUTHORIZATION, format!("bearer {secret}")),
            with(&[("client_id", name), ("client_secret", secret)]),
            with(&[("client_secret", secret)]),
            basic(with(&[("client_id", name)]), name, secret),
        ] {
            assert_eq!(world.send(call.clone()).await.status, 200, "{call:?}");
        }
        for call in [
            plain(),
            with(&[("client_id", name)]),
            with(&[("client_id", "other"), ("client_secret", secret)]),
            with(&[("client_id", name), ("client_secret", "qc_")]),
            basic(plain(), "other", secret),
            basic(plain(), name, ""),
            basic(plain(), "", secret),
            basic(plain(), secret, name),
            basic(with(&[("client_id", "other")]), name, secret),
            plain().header(AUTHORIZATION, "Basic ?"),
            plain().header(AUTHORIZATION, format!("Digest {secret}")),
            plain().header(AUTHORIZATION, secret),
            plain().header(AUTHORIZATION, b"Bearer \xff"),
            plain().bearer(secret).bearer(secret),
            Call::post(&format!("{path}?client_secret={secret}&client_id={name}"))
                .body(FORM, "token=garbage"),
        ] {
            let answer = world.send(call.clone()).await;
            assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")), "{call:?}");
        }
        let twice = basic(with(&[("client_secret", secret)]), name, secret);
        assert_eq!(world.send(twice).await.json()["error"], "invalid_request");
    }
    world.service.remove_client("shop.2", |_| true, None).await.expect("it was there");
    assert_eq!(shop.introspect(&token).await.status, 401, "a secret dies with its client");
}

#[tokio::test]
async fn request_errors_have_oauth_format() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    let (verifier, ender) = (
        Service::with(&world, "feed", &[Right::Feed]).await,
        Service::with(&world, "ender", &[Right::Revoke]).await,
    );
    let told = async |call: Call| world.send(call).await.brief();
    let introspect = |body: &str| Call::post("/oauth2/introspect").body(FORM, body).bearer(&shop.secret);
    insta::assert_snapshot!(world.send(Call::post("/oauth2/introspect").body(FORM, "token=x")).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    www-authenticate: Basic realm="api", charset="UTF-8"
    www-authenticate: Bearer realm="api"

    {"error":"invalid_client","error_description":"The client is not known, or its secret is wrong."}
    "#);
    insta::assert_snapshot!(told(introspect("")).await, @r#"400 {"error":"invalid_request","error_description":"The parameter token is missing."}"#);
    insta::assert_snapshot!(told(introspect("token=")).await, @r#"400 {"error":"invalid_request","error_description":"The parameter token is missing."}"#);
    insta::assert_snapshot!(told(introspect("token=a&token=b")).await, @r#"400 {"error":"invalid_request","error_description":"The parameter token occurs twice in the form."}"#);
    insta::assert_snapshot!(told(introspect(&"x".repeat(32_769))).await, @r#"413 {"error":"invalid_request","error_description":"The request body is larger than 32 KiB."}"#);
    insta::assert_snapshot!(told(Call::post("/oauth2/revoke").json(&json!({ "token": "x" })).bearer(&shop.secret)).await, @r#"415 {"error":"invalid_request","error_description":"The body must be application/x-www-form-urlencoded."}"#);
    insta::assert_snapshot!(verifier.introspect("x").await.brief(), @r#"403 {"error":"unauthorized_client","error_description":"The client does not have the right introspect."}"#);
    insta::assert_snapshot!(verifier.revoke("x").await.brief(), @r#"403 {"error":"unauthorized_client","error_description":"The client does not have the right revoke."}"#);
    insta::assert_snapshot!(told(Call::get("/oauth2/revoke").bearer(&shop.secret)).await, @r#"405 {"type":"/docs/errors/method_not_allowed","title":"Method not allowed","status":405,"detail":"Method \"GET\" not allowed.","code":"method_not_allowed"}"#);
    assert_eq!((ender.introspect("x").await.status, ender.revoke("x").await.status), (403, 200));
    assert_eq!(
        told(introspect(&format!("token=x{}", "&a=".repeat(1000)))).await,
        format!("200 {INACTIVE}"),
        "others are let by"
    );
}

#[tokio::test]
async fn a48_log_out_refuses_the_next_request_and_introspection() {
    let world = World::open().await;
    let shop = Service::full(&world, "shop").await;
    for way in 0..4 {
        let pair = world.sign_in("dana").await;
        shop.assert_active(&pair.access).await;
        let ended = match way {
            0 => world.log_out(&pair.access, &pair.refresh).await,
            1 => world.blacklist(&pair.refresh).await,
            2 => shop.revoke(&pair.access).await,
            _ => shop.revoke(&pair.refresh).await,
        };
        assert_eq!(ended.status, 200, "{ended}");
        assert_eq!(world.me(&pair.access).await.status, 401);
        for token in [&pair.access, &pair.refresh] {
            shop.assert_inactive(token).await;
        }
        world.assert_dead(&pair).await;
    }
}

#[tokio::test]
async fn a99_other_credentials_do_not_authenticate_clients() {
    let world = World::open().await;
    let (_, secret) = world.service.add_client("guard", Rights::VERIFIER, None).await.expect("a verifier");
    let secret = secret.into_text().to_string();
    let pair = world.sign_in("dana").await;
    let wrong = format!("{}{}", &secret[..secret.len() - 1], if secret.ends_with('A') { 'B' } else { 'A' });
    let none = [
        "",
        "qv_",
        "garbage",
        PASSWORD,
        &pair.access,
        &pair.refresh,
        &wrong,
        &secret.replace("qv_", "qc_"),
        &secret[3..],
    ];
    for text in none {
        assert_eq!(world.service.client(text).await, Ok(None), "{text}");
        for path in CLIENT_PATHS {
            for call in [
                form(path, &[("token", "x")]).bearer(text),
                basic(form(path, &[("token", "x")]), "guard", text),
            ] {
                let answer = world.send(call).await;
                assert_eq!(
                    (answer.status, &answer.json()["error"]),
                    (401, &json!("invalid_client")),
                    "{path} {text}: {answer}"
                );
                assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 2);
            }
        }
    }
    let verifier = world.service.client(&secret).await.expect("a read").expect("a client");
    let may = [Right::Feed, Right::Introspect, Right::Revoke].map(|right| verifier.may(right));
    assert_eq!((verifier.name.as_str(), may), ("guard", [true, true, false]));
    world.store.break_part(Part::Rows, FaultyStore::away());
    assert!(
        world.service.client(&secret).await.is_err(),
        "a failed lookup is an error, not an unknown client"
    );
}

#[tokio::test]
async fn metadata_needs_a_public_url() {
    let world = World::open().await;
    insta::assert_snapshot!(world.send(Call::get("/.well-known/oauth-authorization-server")).await, @r#"
    404
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/not_found","title":"Not found","status":404,"detail":"There is no metadata while the setting http.public_url is missing.","code":"not_found"}
    "#);
    let settings = HttpSettings {
        public_url: PublicUrl::parse("https://id.example.org/auth").ok(),
        ..HttpSettings::default()
    };
    let mut plan = Plan { settings: settings.clone(), ..Plan::default() };
    let world = World::planned(plan).await;
    insta::assert_snapshot!(world.send(Call::get("/.well-known/oauth-authorization-server")).await, @r#"
    200
    content-type: application/json
    cache-control: public, max-age=300

    {"issuer":"https://id.example.org/auth","jwks_uri":"https://id.example.org/auth/.well-known/jwks.json","response_types_supported":[],"grant_types_supported":[],"introspection_endpoint":"https://id.example.org/auth/oauth2/introspect","introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],"revocation_endpoint":"https://id.example.org/auth/oauth2/revoke","revocation_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post","none"]}
    "#);
    // RFC 8414 3.1: the issuer's path follows the well-known one.
    let status = async |world: &World, path: &str| {
        world.send(Call::get(&format!("/.well-known/oauth-authorization-server{path}"))).await.status
    };
    for (path, expected) in
        [("/auth", 200), ("/auth/", 404), ("/other", 404), ("/auth/more", 404), ("/", 404)]
    {
        assert_eq!(status(&world, path).await, expected, "{path}");
    }
    let mut of_issuer = Plan { settings: settings.clone(), ..Plan::default() };
    of_issuer.policy.tokens.issuer = Some("https://login.example.org/tenants/1/".into());
    let world = World::planned(of_issuer).await;
    assert_eq!((status(&world, "/tenants/1").await, status(&world, "/auth").await), (200, 404));
    plan = Plan { settings, ..Plan::default() };
    plan.policy.tokens.issuer = Some("https://id.example.org".into());
    let world = World::planned(plan).await;
    assert_eq!(status(&world, "/auth").await, 404);
    let metadata = world.send(Call::get("/.well-known/oauth-authorization-server")).await.json();
    assert_eq!(metadata["issuer"], "https://id.example.org");
    for endpoint in ["jwks_uri", "introspection_endpoint", "revocation_endpoint"] {
        let path = metadata[endpoint]
            .as_str()
            .and_then(|url| url.strip_prefix("https://id.example.org/auth"))
            .expect("an address");
        assert_ne!(world.send(Call::get(path)).await.status, 404, "{endpoint}");
    }
}
