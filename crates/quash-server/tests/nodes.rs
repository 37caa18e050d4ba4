//! Two nodes over one store: what one of them has answered holds at the other, and at verifiers that follow
//! the other.

use crate::support;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, Response};
use http_body_util::BodyExt;
use quash_core::model::{Rights, Seeded};
use quash_verify::{BodyStream, BoxFuture, Connection, IssuerError, Transport, Verifier};
use tower::ServiceExt;

use crate::end_cause_triggers::{own_causes, plan, take, ways};
use support::{Ticking, World};

/// Carries a verifier's requests to a router.
struct Direct(Router);

struct DirectBody(Body);

impl Transport for Direct {
    fn send(
        &self,
        request: Request<String>,
        _: Connection,
    ) -> BoxFuture<'_, Result<Response<Box<dyn BodyStream>>, IssuerError>> {
        let router = self.0.clone();
        Box::pin(async move {
            let answer = router.oneshot(request.map(Body::from)).await.expect("a router never fails");
            Ok(answer.map(|body| Box::new(DirectBody(body)) as Box<dyn BodyStream>))
        })
    }
}

impl BodyStream for DirectBody {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, IssuerError>> {
        Box::pin(async {
            if self.0.is_end_stream() {
                return Ok(None);
            }
            let frame = self.0.frame().await.map(|frame| frame.expect("a body").into_data().expect("bytes"));
            Ok(frame)
        })
    }
}

/// A verifier that follows a node.
async fn verifier_of(node: &World) -> Verifier {
    let (_, secret) = node.service.add_client("api", Rights::VERIFIER, None).await.expect("a client");
    let builder = Verifier::builder("https://issuer.test").credential(&*secret.into_text());
    let builder = builder.transport(Arc::new(Direct(node.router()))).entropy(Seeded::new(3));
    builder.clock(Arc::new(Ticking::new(Arc::clone(&node.clock)))).start().await.expect("a verifier")
}

#[tokio::test]
async fn every_end_cause_is_in_force_at_other_nodes_and_their_verifiers() {
    for cause in own_causes() {
        for way in ways(cause) {
            let [one, other] = World::two_nodes(|| plan(cause)).await;
            let verifier = verifier_of(&other).await;
            let pair = one.sign_in("dana").await;
            assert_eq!(other.me(&pair.access).await.status, 200, "{way:?}");
            assert_eq!(verifier.check(&pair.access).await.map(drop), Ok(()), "{way:?}");
            let taken = take(*way, &one, pair).await;
            let refused = other.me(&taken.pair().access).await;
            assert_eq!(
                (refused.status, refused.json()["code"].as_str()),
                (401, Some("token_not_valid")),
                "{way:?}"
            );
            one.service.effective_now().await.expect("a barrier");
            assert!(verifier.check_now(&taken.pair().access).is_none_or(|said| said.is_err()), "{way:?}");
        }
    }
}

#[tokio::test]
async fn rotations_at_two_nodes_have_one_winner() {
    let [one, other] = World::two_nodes(support::Plan::default).await;
    let pair = one.sign_in("dana").await;
    let (here, there) = tokio::join!(one.refresh(&pair.refresh), other.refresh(&pair.refresh));
    // The other one gets the same token again, within the grace.
    assert_eq!(here.pair().refresh, there.pair().refresh);
    one.assert_live(&there.pair()).await;
    other.assert_live(&here.pair()).await;
}

/// The key that a token's header names.
pub(crate) fn kid(token: &str) -> String {
    let header = token.split('.').next().expect("a header");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

#[tokio::test]
async fn keys_of_one_node_sign_at_the_other() {
    let [one, other] = World::two_nodes(support::Plan::default).await;
    let before = one.sign_in("dana").await;
    let rotated = one.service.rotate_key(quash_service::Takeover::Now, quash_core::model::Actor::Operator);
    let rotated = rotated.await.expect("another key");
    let after = other.sign_in("dana").await;
    assert_eq!(kid(&after.access), rotated.kid.as_str(), "at the very next request");
    assert_ne!(kid(&before.access), kid(&after.access));
    one.assert_live(&after).await;
    other.assert_live(&before).await;
}
