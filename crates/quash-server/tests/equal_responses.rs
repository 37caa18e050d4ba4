//! This server and an application with `quash-verify` answer a rejected request identically: each token and
//! each header is sent to both.

use crate::support;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::HeaderName;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use quash_core::model::{ForeignTokens, Rights, Seeded, draw};
use quash_core::token::{Algorithm, Expected, SigningKey};
use quash_server::Listener;
use quash_service::{ForeignKeys, ForeignSetup};
use quash_verify::{SchemeCase, TokenHeader, Verifier, WhenStale};
use serde_json::json;
use support::{Answer, Call, Plan, START, World, claims, secs};
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// A server, and an application whose verifier follows it.
struct Site {
    world: World,
    verifier: Verifier,
    application: Router,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Site {
    async fn open(plan: Plan) -> Self {
        let header = plan.settings.token_header.clone();
        let world = World::planned(plan).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(quash_server::serve(
            Listener::tcp(listener),
            world.router(),
            std::future::pending(),
        ));
        let (_, secret) =
            world.service.add_client("orders", Rights::VERIFIER, None).await.expect("a verifier");
        let builder = Verifier::builder(address).credential(secret.into_text().to_string());
        let verifier = builder
            .clock(Arc::clone(&world.clock) as _)
            .when_stale(WhenStale::Deny)
            .start()
            .await
            .expect("a verifier");
        let application =
            Router::new().route("/v1/me", get(async || "let in")).layer(verifier.layer().header(header));
        Self { world, verifier, application, serving }
    }

    /// The response of both, which is the same.
    async fn answer(&self, what: &str, call: Call) -> Answer {
        let here = self.world.send(call.clone()).await;
        let there =
            self.application.clone().oneshot(call.into_request()).await.expect("a router never fails");
        let there = Answer::read(there).await;
        assert_eq!(told(&here), told(&there), "{what}");
        here
    }

    /// The status and the text, if both responses are the same.
    async fn brief(&self, what: &str, call: Call) -> String {
        let answer = self.answer(what, call).await;
        let said = answer.json();
        format!(
            "{what}: {} {} {}",
            answer.status,
            said["code"].as_str().expect("a code"),
            said["detail"].as_str().expect("a detail")
        )
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The relevant parts of a response. The rest is the same for every response of this server.
fn told(answer: &Answer) -> (u16, Vec<Option<&str>>, &str) {
    let names = [CONTENT_TYPE, CACHE_CONTROL, PRAGMA, WWW_AUTHENTICATE, RETRY_AFTER];
    (answer.status, names.iter().map(|name| answer.header(name.as_str())).collect(), answer.text())
}

fn me() -> Call {
    Call::get("/v1/me")
}

fn other_key() -> SigningKey {
    SigningKey::new(Algorithm::EdDsa, &draw::<32>(&Seeded::new(99)), None).expect("a key")
}

#[tokio::test]
async fn rejected_tokens_get_equal_responses_in_applications() {
    let site = Site::open(Plan::default()).await;
    let world = &site.world;
    let (pair, revoked, old) =
        (world.sign_in("dana").await, world.sign_in("dana").await, world.sign_in("dana").await);
    world.log_out(&revoked.access, &revoked.refresh).await;
    let head = world.head().await;
    // A token minted after the end is accepted once the verifier knows of the end.
    let later = world.sign_in("noor").await.access;
    while site.verifier.check(&later).await.is_err() {}
    let said = claims(&pair.access).to_string();
    let forged = |replaced| world.forge(&pair.access, &replaced);
    let mut answers = Vec::new();
    for (what, token) in [
        ("revoked", revoked.access.clone()),
        ("of a wrong type", forged(json!({ "token_type": "refresh" }))),
        ("without exp", world.forge_without(&pair.access, "exp")),
        ("without an id", world.forge_without(&pair.access, "jti")),
        ("without a type", world.forge_without(&pair.access, "token_type")),
        ("without a user", world.forge_without(&pair.access, "user_id")),
        ("without a session", world.forge_without(&pair.access, "sid")),
        ("expired", forged(json!({ "exp": START }))),
        ("not yet", forged(json!({ "iat": START + 61 }))),
        ("of another form", forged(json!({ "user_id": ["dana"] }))),
        ("for too long", forged(json!({ "exp": START + 400 * 86_400 }))),
        ("minted after what nobody has written", forged(json!({ "rsq": head.as_u64() + 9 }))),
        ("garbage", "a.b.c".to_owned()),
        ("no token at all", "x".to_owned()),
        ("too long", "x".repeat(9000)),
        ("signed with another key", other_key().sign(said.as_bytes()).expect("a signature")),
    ] {
        answers.push(site.brief(what, me().bearer(&token)).await);
    }
    world.wait(secs(300));
    answers.push(site.brief("expired by itself", me().bearer(&old.access)).await);
    insta::assert_snapshot!(answers.join("\n"), @r"
    revoked: 401 token_not_valid Token is blacklisted
    of a wrong type: 401 token_not_valid Token has wrong type
    without exp: 401 token_not_valid Token has no 'exp' claim
    without an id: 401 token_not_valid Token has no id
    without a type: 401 token_not_valid Token has no type
    without a user: 401 token_not_valid Token contained no recognizable user identification
    without a session: 401 token_not_valid Token is invalid
    expired: 401 token_not_valid Token is expired
    not yet: 401 token_not_valid Token is invalid
    of another form: 401 token_not_valid Token is invalid
    for too long: 401 token_not_valid Token is invalid
    minted after what nobody has written: 503 unavailable The service cannot tell now whether the token has been revoked.
    garbage: 401 token_not_valid Token is invalid
    no token at all: 401 token_not_valid Token is invalid
    too long: 401 token_not_valid Token is invalid
    signed with another key: 401 token_not_valid Token is invalid
    expired by itself: 401 token_not_valid Token is expired
    ");
}

#[tokio::test]
async fn rejected_headers_get_equal_responses_in_applications() {
    let site = Site::open(Plan::default()).await;
    let access = site.world.sign_in("dana").await.access;
    let mut answers = Vec::new();
    for (what, values) in [
        ("none", vec![]),
        ("empty", vec![b"".to_vec()]),
        ("another scheme", vec![b"Basic abc".to_vec()]),
        ("no token", vec![b"Bearer".to_vec()]),
        ("two tokens", vec![format!("Bearer {access} {access}").into_bytes()]),
        (
            "two headers",
            vec![format!("Bearer {access}").into_bytes(), format!("Bearer {access}").into_bytes()],
        ),
        ("not text", vec![b"Bearer \xff\xfe".to_vec()]),
    ] {
        let call = values.iter().fold(me(), |call, value| call.header(AUTHORIZATION, value));
        answers.push(site.brief(what, call).await);
    }
    insta::assert_snapshot!(answers.join("\n"), @r"
    none: 401 not_authenticated Authentication credentials were not provided.
    empty: 401 not_authenticated Authentication credentials were not provided.
    another scheme: 401 not_authenticated Authentication credentials were not provided.
    no token: 401 bad_authorization_header Authorization header must contain two space-delimited values
    two tokens: 401 bad_authorization_header Authorization header must contain two space-delimited values
    two headers: 401 bad_authorization_header Authorization header must contain two space-delimited values
    not text: 401 token_not_valid Token is invalid
    ");
}

#[tokio::test]
async fn challenges_use_the_configured_header() {
    let name = HeaderName::from_static("x-access-token");
    let mut plan = Plan::default();
    plan.settings.token_header =
        TokenHeader { name: name.clone(), schemes: vec!["JWT".into()], case: SchemeCase::Exact };
    let site = Site::open(plan).await;
    for (what, call) in [
        ("none", me()),
        ("no token", me().header(name.clone(), "JWT")),
        ("garbage", me().header(name, "JWT a.b.c")),
    ] {
        let answer = site.answer(what, call).await;
        assert_eq!(answer.header("www-authenticate"), Some("JWT realm=\"api\""), "{what}");
    }
}

#[tokio::test]
async fn unavailable_issuer_keys_get_equal_responses() {
    // The address of the other issuer's keys is unreachable; the application can't fetch its own.
    let other = ForeignSetup {
        name: "other".into(),
        keys: ForeignKeys::Address("https://other.example/jwks".into()),
        max_lifetime: secs(86_400),
        namespace: None,
        dropped: Vec::new(),
        iss: Expected::Anything,
        aud: Expected::Anything,
    };
    let mut plan = Plan { foreign: vec![other], ..Plan::default() };
    plan.policy.tokens.foreign = ForeignTokens::Accept;
    let site = Site::open(plan).await;
    let access = site.world.sign_in("dana").await.access;
    site.serving.abort();
    site.world.wait(secs(2));
    let token = other_key().sign(claims(&access).to_string().as_bytes()).expect("a signature");
    let answer = site.brief("keys away", me().bearer(&token)).await;
    insta::assert_snapshot!(answer, @"keys away: 503 unavailable The keys of the token's issuer are unavailable now.");
}

#[tokio::test]
async fn missing_claims_link_to_an_error_page() {
    let site = Site::open(Plan::default()).await;
    let access = site.world.sign_in("dana").await.access;
    let application = Router::<()>::new()
        .route("/v1/me", get(async || "let in"))
        .layer(site.verifier.layer().require("role", "clerk"));
    let barred =
        application.oneshot(me().bearer(&access).into_request()).await.expect("a router never fails");
    let barred = Answer::read(barred).await;
    insta::assert_snapshot!(barred, @r#"
    403
    content-type: application/problem+json
    cache-control: no-store
    www-authenticate: Bearer realm="api", error="insufficient_scope"

    {"type":"/docs/errors/claim_missing","title":"Claim missing","status":403,"detail":"The token lacks a claim that is required here.","code":"claim_missing"}
    "#);
    let page = site.world.send(Call::get(barred.json()["type"].as_str().expect("a reference"))).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("--claims-stdin"), "{page}");
}
