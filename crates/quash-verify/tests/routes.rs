//! Guarded routes of an axum application: which requests pass, how others are answered, and what extractors
//! return.

use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::get;
use axum::{Json, Router};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use quash_verify::test::TestIssuer;
use quash_verify::{Auth, Claims, OptionalAuth, TokenGuard, VerifierState, VerifyError, WhenStale};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

#[derive(Deserialize)]
struct Clerk {
    user_id: String,
    role: String,
}

async fn clerk(Auth(clerk): Auth<Clerk>) -> String {
    format!("{} is {}", clerk.user_id, clerk.role)
}

async fn anybody(OptionalAuth(claims): OptionalAuth) -> String {
    claims.map_or_else(|| "nobody".to_owned(), |claims| claims.user_id.to_string())
}

async fn all(Auth(claims): Auth<Claims>) -> Json<Value> {
    Json(
        json!({ "user_id": claims.user_id.to_string(), "lives_for": claims.exp - claims.iat, "others": claims.others }),
    )
}

async fn ask(app: &Router, path: &str, authorization: Option<&str>) -> Response<Body> {
    let mut request = Request::get(path);
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer")
}

/// Returns the status, the relevant headers and the body.
async fn shown(answer: Response<Body>) -> String {
    let (parts, body) = answer.into_parts();
    let mut shown = parts.status.as_u16().to_string();
    for name in ["content-type", "www-authenticate", "retry-after", "cache-control"] {
        if let Some(value) = parts.headers.get(name) {
            shown.push_str(&format!("\n{name}: {}", value.to_str().expect("text")));
        }
    }
    let body = body.collect().await.expect("a body").to_bytes();
    format!("{shown}\n\n{}", String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn live_tokens_pass_and_revoked_ones_do_not() {
    let issuer = TestIssuer::new();
    let app = Router::new().route("/", get(clerk)).layer(issuer.verifier().layer());
    let (dana, lee) = (
        issuer.token("dana").claim("role", "clerk").mint(),
        issuer.token("lee").claim("role", "cook").mint(),
    );
    insta::assert_snapshot!(shown(ask(&app, "/", Some(&dana.bearer())).await).await, @r"
    200
    content-type: text/plain; charset=utf-8

    dana is clerk
    ");
    issuer.revoke_session(dana.session());
    insta::assert_snapshot!(shown(ask(&app, "/", Some(&dana.bearer())).await).await, @r#"
    401
    content-type: application/problem+json
    www-authenticate: Bearer realm="api"
    cache-control: no-store

    {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is blacklisted","code":"token_not_valid"}
    "#);
    assert_eq!(ask(&app, "/", Some(&lee.bearer())).await.status(), 200);
    issuer.revoke_subject("lee");
    assert_eq!(ask(&app, "/", Some(&lee.bearer())).await.status(), 401);
    let again = issuer.token("lee").claim("role", "cook").mint();
    assert_eq!(
        ask(&app, "/", Some(&again.bearer())).await.status(),
        200,
        "tokens issued afterwards are valid"
    );
    issuer.revoke_everything();
    assert_eq!(ask(&app, "/", Some(&again.bearer())).await.status(), 401);
}

#[tokio::test]
async fn missing_and_invalid_tokens_are_answered_like_quash() {
    let issuer = TestIssuer::new();
    let app = Router::new().route("/", get(clerk)).layer(issuer.verifier().layer());
    insta::assert_snapshot!(shown(ask(&app, "/", None).await).await, @r#"
    401
    content-type: application/problem+json
    www-authenticate: Bearer realm="api"
    cache-control: no-store

    {"type":"/docs/errors/not_authenticated","title":"Not authenticated","status":401,"detail":"Authentication credentials were not provided.","code":"not_authenticated"}
    "#);
    insta::assert_snapshot!(shown(ask(&app, "/", Some("Bearer a b")).await).await, @r#"
    401
    content-type: application/problem+json
    www-authenticate: Bearer realm="api"
    cache-control: no-store

    {"type":"/docs/errors/bad_authorization_header","title":"Bad Authorization header","status":401,"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}
    "#);
    insta::assert_snapshot!(shown(ask(&app, "/", Some("Bearer a.b.c")).await).await, @r#"
    401
    content-type: application/problem+json
    www-authenticate: Bearer realm="api"
    cache-control: no-store

    {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is invalid","code":"token_not_valid"}
    "#);
    let token = issuer.token("dana").claim("role", "clerk").lifetime(Duration::from_secs(60)).mint();
    issuer.advance(Duration::from_secs(59));
    assert_eq!(ask(&app, "/", Some(&token.bearer())).await.status(), 200);
    issuer.advance(Duration::from_secs(1));
    assert!(shown(ask(&app, "/", Some(&token.bearer())).await).await.contains("Token is expired"));
}

#[tokio::test]
async fn tokens_without_required_claims_are_forbidden() {
    let issuer = TestIssuer::new();
    let layer = issuer.verifier().layer();
    let app = Router::new()
        .route("/role", get(all).layer(layer.clone().require("role", "clerk")))
        .route("/both", get(all).layer(layer.clone().require("role", "clerk").require("floor", 3)))
        .route("/self", get(all).layer(layer.clone().require("user_id", "dana")))
        .route("/type", get(clerk).layer(layer));
    let status = async |path: &str, token: &quash_verify::test::TestToken| {
        ask(&app, path, Some(&token.bearer())).await.status().as_u16()
    };
    let of = |claims: &[(&str, Value)]| {
        claims
            .iter()
            .fold(issuer.token("dana"), |draft, (name, value)| draft.claim(name, value.clone()))
            .mint()
    };
    let (plain, clerk, cook) = (
        of(&[]),
        of(&[("role", json!("clerk"))]),
        of(&[("role", json!(["cook", "clerk"])), ("floor", json!(3))]),
    );
    assert_eq!(
        [status("/role", &plain).await, status("/role", &clerk).await, status("/role", &cook).await],
        [403, 200, 200]
    );
    assert_eq!(
        [status("/both", &plain).await, status("/both", &clerk).await, status("/both", &cook).await],
        [403, 403, 200]
    );
    assert_eq!(
        [status("/self", &plain).await, status("/self", &issuer.token("lee").mint()).await],
        [200, 403]
    );
    assert_eq!(
        [status("/type", &clerk).await, status("/type", &cook).await],
        [200, 403],
        "a list isn't a string"
    );
    insta::assert_snapshot!(shown(ask(&app, "/role", Some(&plain.bearer())).await).await, @r#"
    403
    content-type: application/problem+json
    www-authenticate: Bearer realm="api", error="insufficient_scope"
    cache-control: no-store

    {"type":"/docs/errors/claim_missing","title":"Claim missing","status":403,"detail":"The token lacks a claim that is required here.","code":"claim_missing"}
    "#);
}

#[tokio::test]
async fn optional_tokens_may_be_missing_but_not_invalid() {
    let issuer = TestIssuer::new();
    let app = Router::new()
        .route("/", get(anybody))
        .route("/clerk", get(clerk))
        .layer(issuer.verifier().layer().optional());
    let token = issuer.token("dana").mint();
    assert!(shown(ask(&app, "/", None).await).await.ends_with("nobody"));
    assert!(shown(ask(&app, "/", Some(&token.bearer())).await).await.ends_with("dana"));
    issuer.revoke_session(token.session());
    assert_eq!(ask(&app, "/", Some(&token.bearer())).await.status(), 401);
    assert_eq!(ask(&app, "/", Some("Bearer")).await.status(), 401);
    let answer = shown(ask(&app, "/clerk", None).await).await;
    assert!(
        answer.starts_with("401") && answer.contains("not_authenticated"),
        "the extractor still requires a token: {answer}"
    );
}

#[tokio::test]
async fn standard_claims_are_extracted_by_default() {
    let issuer = TestIssuer::new();
    let app = Router::new().route("/", get(all)).layer(issuer.verifier().layer());
    let token = issuer.token("7").claim("role", "clerk").mint();
    insta::assert_snapshot!(
        shown(ask(&app, "/", Some(&token.bearer())).await).await.split("\n\n").nth(1).expect("a body").replace(
            char::is_whitespace, ""), @r#"{"user_id":"7","lives_for":300,"others":{"token_type":"access","rsq":17179869184,"role":"clerk"}}"#);
}

#[tokio::test]
async fn extractors_without_a_layer_answer_500() {
    let app = Router::new().route("/", get(clerk)).route("/anybody", get(anybody));
    for path in ["/", "/anybody"] {
        assert_eq!(ask(&app, path, None).await.status(), 500, "{path}");
    }
}

#[tokio::test]
async fn each_route_applies_its_own_stale_policy() {
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier();
    let young = WhenStale::AllowYoung(Duration::from_secs(60));
    let of = |when_stale| get(anybody).layer(verifier.layer().when_stale(when_stale));
    let app = Router::new()
        .route("/introspect", get(anybody).layer(verifier.layer()))
        .route("/deny", of(WhenStale::Deny))
        .route("/allow", of(WhenStale::Allow))
        .route("/young", of(young));
    let (old, revoked) = (issuer.token("dana").mint(), issuer.token("dana").mint());
    issuer.revoke_session(revoked.session());
    issuer.advance(Duration::from_secs(55));
    let new = issuer.token("lee").mint();
    let statuses = async |token: &quash_verify::test::TestToken| {
        let mut statuses = Vec::new();
        for path in ["/introspect", "/deny", "/allow", "/young"] {
            statuses.push(ask(&app, path, Some(&token.bearer())).await.status().as_u16());
        }
        statuses
    };
    assert_eq!(statuses(&old).await, [200; 4]);
    issuer.stop_leases();
    assert_eq!(verifier.state(), VerifierState::Stale);
    assert_eq!(statuses(&old).await, [503, 503, 200, 503]);
    assert_eq!(statuses(&new).await, [503, 503, 200, 200]);
    assert_eq!(statuses(&revoked).await, [401; 4], "known revocations apply in every state");
    insta::assert_snapshot!(shown(ask(&app, "/deny", Some(&new.bearer())).await).await, @r#"
    503
    content-type: application/problem+json
    retry-after: 1
    cache-control: no-store

    {"type":"/docs/errors/unavailable","title":"Unavailable","status":503,"detail":"The service cannot tell now whether the token has been revoked.","code":"unavailable"}
    "#);
    issuer.grant_lease();
    assert_eq!(statuses(&old).await, [200; 4]);
    let metrics = verifier.metrics();
    assert_eq!((metrics.state, metrics.entries, metrics.lag), (VerifierState::Fresh, 1, 0));
    assert_eq!((metrics.accepted, metrics.refused, metrics.stale), (8 + 1 + 2, 4, 3 + 2 + 1));
}

#[tokio::test]
async fn watched_tokens_report_revocation_expiry_and_staleness() {
    let issuer = TestIssuer::new();
    let verifier = issuer.verifier();
    let watch = async |token: &quash_verify::test::TestToken| -> TokenGuard {
        verifier.watch(token.as_str()).await.expect("a live token")
    };
    let (ended, expiring, staling) = (
        issuer.token("dana").mint(),
        issuer.token("dana").lifetime(Duration::from_secs(60)).mint(),
        issuer.token("lee").mint(),
    );
    let guards = [watch(&ended).await, watch(&expiring).await, watch(&staling).await];
    let [first, second, third] = guards.map(|guard| tokio::spawn(async move { guard.revoked().await }));
    tokio::task::yield_now().await;
    issuer.revoke_session(ended.session());
    assert!(matches!(first.await.expect("an end"), VerifyError::Refused(_)));
    issuer.advance(Duration::from_secs(60));
    // Another user's revocation wakes it; otherwise its own timer would, within ten seconds.
    issuer.revoke_subject("nobody");
    assert!(matches!(
        second.await.expect("an end"),
        VerifyError::Refused(quash_core::model::Refusal::TokenExpired)
    ));
    assert!(!third.is_finished());
    issuer.stop_leases();
    issuer.revoke_subject("nobody");
    assert_eq!(third.await.expect("an end"), VerifyError::Stale);
}

#[tokio::test]
async fn a_plain_tower_service_can_be_guarded() {
    let issuer = TestIssuer::new();
    let inner = tower::service_fn(async |request: Request<()>| {
        let user =
            request.extensions().get::<TokenGuard>().map(|guard| guard.accepted().user_id().to_owned());
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(user.expect("a guard"))))
    });
    let service = tower::Layer::layer(&issuer.verifier().layer(), inner);
    let token = issuer.token("dana").mint();
    let request = || Request::get("/").header("Authorization", token.bearer()).body(()).expect("a request");
    let body =
        async |answer: Response<Full<Bytes>>| answer.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body(service.clone().oneshot(request()).await.expect("an answer")).await, "dana");
    issuer.revoke_session(token.session());
    assert_eq!(service.oneshot(request()).await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn watched_tokens_follow_their_own_stale_policy() {
    let issuer = TestIssuer::new();
    let (verifier, token) = (issuer.verifier_when_stale(WhenStale::Deny), issuer.token("dana").mint());
    let allowed = verifier.watch_when_stale(token.as_str(), WhenStale::Allow).await.expect("a live token");
    let denied = verifier.watch(token.as_str()).await.expect("a live token");
    issuer.stop_leases();
    assert_eq!(denied.revoked().await, VerifyError::Stale);
    assert!(verifier.watch_when_stale(token.as_str(), WhenStale::Allow).await.is_ok());
    assert_eq!(verifier.watch(token.as_str()).await.err(), Some(VerifyError::Stale));
    let mut allowed = std::pin::pin!(allowed.revoked());
    let is_pending = std::future::poll_fn(|context| Poll::Ready(allowed.as_mut().poll(context).is_pending()));
    assert!(is_pending.await);
    issuer.revoke_session(token.session());
    assert!(matches!(allowed.await, VerifyError::Refused(_)));
}
