//! A verifier of a namespace's tokens. `quash-core/tests/namespaces.rs` tests each rule.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{Clock, Invalid, Kid, Refusal, ScopeKind};
use quash_core::token::{Algorithm, Expected, ForeignKey, Issuer as OfKeys, SigningKey, VerifyingKey};
use quash_verify::{StartError, Verifier, VerifierState, VerifyError, WhenStale};
use serde_json::json;

use super::support::wait::until;
use super::support::{Issuer, OtherAnswer, TERM, hasher, shop};
use super::{INTROSPECT, KEYS, LEASE};

const QUERY: &str = "/v1/revocations/query";
const SECRET: &[u8] = b"a secret of Django, with more than 32 bytes";

fn key(key: VerifyingKey, token_kid: Option<Kid>) -> ForeignKey {
    let issuer = OfKeys {
        name: "django".into(),
        scopes: hasher().in_namespace("shop"),
        max_lifetime: shop().max_lifetime,
        iss: Expected::Anything,
        aud: Expected::Anything,
        namespace: Some(shop()),
        dropped: Vec::new(),
    };
    ForeignKey { key, token_kid, issuer: Arc::new(issuer) }
}

/// An issuer that has the site's secret.
async fn issuer() -> Issuer {
    let issuer = Issuer::open().await;
    let id = Kid::parse("made-by-quash").expect("a kid");
    let secret = VerifyingKey::hmac(Algorithm::Hs256, SECRET, id).expect("a secret");
    issuer.state().shop = vec![key(secret, None)];
    issuer
}

async fn verifier(issuer: &Issuer) -> Verifier {
    let verifier = issuer.builder().namespace("shop").secret(SECRET).start().await.expect("a verifier");
    until("the stream is open", || issuer.streams() == 1).await;
    verifier
}

/// The claims of an access token, with the newest number that the verifier knows.
fn claims(issuer: &Issuer, verifier: &Verifier) -> serde_json::Value {
    let now = issuer.clock.now().as_secs();
    json!({
        "token_type": "access", "exp": now + 300, "iat": now, "jti": "9a7e", "user_id": "17", "qsid": "f0c1",
        "qsq": verifier.head(), "role": "clerk"
    })
}

fn signed(claims: &serde_json::Value) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes())))
}

fn refused(verifier: &Verifier, token: &str) -> Option<Refusal> {
    match verifier.check_now(token) {
        Some(Err(VerifyError::Refused(refusal))) => Some(refusal),
        Some(Ok(_)) => None,
        other => panic!("undecided: {other:?}"),
    }
}

#[tokio::test]
async fn namespace_verifiers_accept_its_tokens_alone() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer).await;
    let token = signed(&claims(&issuer, &verifier));
    let accepted = verifier.check_now(&token).expect("decided").expect("a valid token");
    let named = accepted.named().expect("names");
    assert_eq!((accepted.user_id(), named.namespace, named.session), ("17", Some("shop"), Some("f0c1")));
    assert!(accepted.session().is_none() && accepted.has_claim("role", &json!("clerk")));
    assert!(accepted.has_claim("user_id", &json!("17")));
    let said: quash_verify::Claims = accepted.claims().expect("claims");
    assert_eq!((said.jti.as_str(), &said.others["qsid"]), ("9a7e", &json!("f0c1")));
    let (own, _) = issuer.token();
    assert_eq!(refused(&verifier, &own), Some(Invalid::Key.into()), "its users may be others");
    assert_eq!(issuer.asked(KEYS), 1, "unknown keys cause no request");
    let other = issuer.builder().start().await.expect("a verifier");
    assert!(other.check(&token).await.is_err());
    issuer.revoke(ScopeKind::Session, hasher().key_in("shop", ScopeKind::Session, "f0c1"));
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert_eq!(refused(&verifier, &token), Some(Refusal::TokenRevoked(None)));
    assert_eq!(issuer.asked(INTROSPECT), 0);
}

#[tokio::test]
async fn accept_now_counts_only_accepted_tokens() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer).await;
    let token = signed(&claims(&issuer, &verifier));
    assert!(verifier.accept_now(&token, WhenStale::Deny).is_some());
    for bad in ["", &token[1..], &issuer.token().0] {
        assert!(verifier.accept_now(bad, WhenStale::Deny).is_none());
    }
    let metrics = verifier.metrics();
    assert_eq!((metrics.accepted, metrics.refused, metrics.stale), (1, 0, 0));
}

#[tokio::test]
async fn missing_secrets_leave_names_to_ask_about() {
    let issuer = issuer().await;
    for secrets in [vec![], vec![vec![5; 32]], vec![Vec::new()]] {
        let builder = issuer.builder().namespace("shop");
        let builder = secrets.into_iter().fold(builder, |builder, secret| builder.secret(secret));
        let verifier = builder.start().await.expect("a verifier");
        let claims = claims(&issuer, &verifier);
        assert_eq!(refused(&verifier, &signed(&claims)), Some(Invalid::Key.into()));
        let (issued_at, expires_at) = (issuer.clock.now().as_secs(), issuer.clock.now().as_secs() + 300);
        let named =
            quash_verify::Named { namespace: Some("shop"), issued_at, expires_at, ..Default::default() };
        assert_eq!(verifier.ask(&named, WhenStale::Deny).await, Ok(()));
    }
    let unknown = issuer.builder().namespace("shpo").start().await;
    assert_eq!(unknown.err(), Some(StartError::UnknownNamespace));
}

#[tokio::test]
async fn new_public_keys_arrive_on_the_stream() {
    let issuer = Issuer::open().await;
    let verifier = issuer.builder().namespace("shop").start().await.expect("a verifier");
    until("the stream is open", || issuer.streams() == 1).await;
    let signing = SigningKey::new(Algorithm::EdDsa, &[3; 32], None).expect("a key");
    let token = signing.sign(claims(&issuer, &verifier).to_string().as_bytes()).expect("a signature");
    assert_eq!(refused(&verifier, &token), Some(Invalid::Key.into()));
    let kid = signing.verifying().kid().clone();
    issuer.state().shop = vec![key(signing.verifying().clone(), Some(kid))];
    issuer.announce();
    until("the key has come", || refused(&verifier, &token).is_none()).await;
    issuer.state().shop.clear();
    issuer.announce();
    until("the key is gone", || refused(&verifier, &token) == Some(Invalid::Key.into())).await;
    assert_eq!(verifier.state(), VerifierState::Fresh);
}

#[tokio::test]
async fn stale_verifiers_ask_about_the_names_in_a_token() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer).await;
    let token = signed(&claims(&issuer, &verifier));
    issuer.set_answer(LEASE, Some(OtherAnswer::Status(503)));
    issuer.clock.advance(TERM);
    assert!(verifier.check_now(&token).is_none());
    issuer.set_answer(QUERY, Some(OtherAnswer::Text(r#"{"revoked":false}"#)));
    assert!(verifier.check(&token).await.is_ok());
    issuer.set_answer(QUERY, Some(OtherAnswer::Text(r#"{"revoked":true}"#)));
    assert!(matches!(verifier.check(&token).await, Err(VerifyError::Refused(_))));
    issuer.set_answer(QUERY, Some(OtherAnswer::Status(403)));
    assert_eq!(verifier.check(&token).await.err(), Some(VerifyError::Stale), "never a refusal");
    assert_eq!(issuer.asked(INTROSPECT), 0, "the credential may have no right to it");
    assert!(verifier.check_when_stale(&token, WhenStale::Allow).await.is_ok());
    let young = |secs| WhenStale::AllowYoung(Duration::from_secs(secs));
    assert!(verifier.check_when_stale(&token, young(60)).await.is_ok());
    assert!(verifier.check_when_stale(&token, young(5)).await.is_err());
}

/// The site writes the number, so it may be wrong, and says nothing about other tokens.
#[tokio::test]
async fn positions_that_are_not_known_hold_back_that_token_alone() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer).await;
    let (token, other) = {
        let mut claims = claims(&issuer, &verifier);
        let other = signed(&claims);
        claims["qsq"] = json!(verifier.head().map(|head| head + 1));
        (signed(&claims), other)
    };
    let mut bogus = claims(&issuer, &verifier);
    bogus["qsq"] = json!(1_u64 << 52);
    issuer.set_answer(QUERY, Some(OtherAnswer::Status(503)));
    for ahead in [&signed(&bogus), &token] {
        assert!(verifier.check_now(ahead).is_none());
        assert_eq!(verifier.check_when_stale(ahead, WhenStale::Deny).await.err(), Some(VerifyError::Stale));
        assert_eq!(verifier.check(ahead).await.err(), Some(VerifyError::Stale));
        let metrics = verifier.metrics();
        assert_eq!((metrics.state, metrics.lag, issuer.streams()), (VerifierState::Fresh, 0, 1));
        assert!(verifier.check_now(&other).is_some_and(|checked| checked.is_ok()));
    }
    issuer.set_answer(QUERY, Some(OtherAnswer::Text(r#"{"revoked":true}"#)));
    assert!(matches!(verifier.check(&signed(&bogus)).await, Err(VerifyError::Refused(_))));
    issuer.revoke(ScopeKind::Session, hasher().key_in("shop", ScopeKind::Session, "another"));
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert!(verifier.check(&token).await.is_ok());
}

#[tokio::test]
async fn watched_tokens_end_with_their_session() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer).await;
    let guard = verifier.watch(&signed(&claims(&issuer, &verifier))).await.expect("a valid token");
    issuer.revoke(ScopeKind::Subject, hasher().user_id_in("shop", "17"));
    assert_eq!(guard.revoked().await, VerifyError::Refused(Refusal::TokenRevoked(None)));
}
