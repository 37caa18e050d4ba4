//! A verifier that is asked about names and revokes them.

use std::time::Duration;

use quash_core::model::Clock;
use quash_verify::{
    AskError, IssuerError, Named, Receipt, Revocation, RevokeError, VerifierState, VerifyError, WhenStale,
};

use super::support::wait::until;
use super::support::{Issuer, OtherAnswer, TERM};
use super::{LEASE, started};

const REVOKE: &str = "/v1/revocations";
const QUERY: &str = "/v1/revocations/query";

/// A session in the namespace shop.
fn of_shop(issuer: &Issuer) -> Named<'static> {
    let now = issuer.clock.now().as_secs();
    let (issued_at, expires_at) = (now, now + 300);
    Named { namespace: Some("shop"), session: Some("a"), issued_at, expires_at, ..Named::default() }
}

#[tokio::test]
async fn stale_verifiers_ask_about_names() {
    const INTROSPECTING: WhenStale = WhenStale::IntrospectThenDeny;
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let named = of_shop(&issuer);
    assert_eq!(verifier.ask_now(&named, INTROSPECTING), Some(Ok(())));
    issuer.set_answer(LEASE, Some(OtherAnswer::Status(503)));
    issuer.clock.advance(TERM);
    assert_eq!(verifier.ask_now(&named, INTROSPECTING), None);
    let stale = Err(AskError::Denied(VerifyError::Stale));
    assert_eq!(verifier.ask(&named, WhenStale::Deny).await, stale);
    assert_eq!(verifier.ask(&named, WhenStale::Allow).await, Ok(()));
    assert_eq!(verifier.ask(&named, WhenStale::AllowYoung(Duration::from_secs(5))).await, stale);
    issuer.set_answer(QUERY, Some(OtherAnswer::Text(r#"{"revoked":false}"#)));
    assert_eq!(verifier.ask(&named, INTROSPECTING).await, Ok(()));
    issuer.set_answer(QUERY, Some(OtherAnswer::Text(r#"{"revoked":true}"#)));
    let denied = verifier.ask(&named, INTROSPECTING).await;
    assert!(matches!(denied, Err(AskError::Denied(VerifyError::Refused(_)))), "{denied:?}");
    issuer.set_answer(QUERY, Some(OtherAnswer::Status(403)));
    assert_eq!(verifier.ask(&named, INTROSPECTING).await, stale, "never a refusal");
}

#[tokio::test]
async fn names_wait_for_positions_that_are_not_known() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (_, session) = issuer.token();
    let position = verifier.head().map(|head| head + 1);
    let named = Named { position, ..of_shop(&issuer) };
    assert_eq!(verifier.ask_now(&named, WhenStale::Deny), None);
    let denied = verifier.ask(&named, WhenStale::Deny).await;
    assert_eq!(denied, Err(AskError::Denied(VerifyError::Stale)));
    // The number may be wrong, and says nothing about other tokens.
    assert_eq!((verifier.state(), verifier.metrics().lag), (VerifierState::Fresh, 0));
    assert_eq!(verifier.ask_now(&of_shop(&issuer), WhenStale::Deny), Some(Ok(())));
    issuer.end(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert_eq!(verifier.ask(&named, WhenStale::Deny).await, Ok(()));
}

#[tokio::test]
async fn revocations_are_sent_and_their_errors_name_the_remedy() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let items = [Revocation::session("a")];
    let revoke = || verifier.revoke(Some("shop"), &items, Some("key"), true);
    issuer.set_answer(REVOKE, Some(OtherAnswer::Text(r#"{"seq":7,"written":1}"#)));
    let mut receipt = Receipt::default();
    (receipt.seq, receipt.written) = (7, 1);
    assert_eq!(revoke().await, Ok(receipt));
    issuer.set_answer(
        REVOKE,
        Some(OtherAnswer::Text(
            r#"{"seq":7,"written":1,"effective":{"seq":7,"effective_at":"","verifiers":{"confirmed":2,"stale":1,"not_bound":0},"ms":13}}"#,
        )),
    );
    (receipt.confirmed, receipt.stale, receipt.not_bound) = (Some(2), Some(1), Some(0));
    receipt.ms = Some(13);
    assert_eq!(revoke().await, Ok(receipt));
    issuer.set_answer(
        REVOKE,
        Some(OtherAnswer::Refusal(r#"{"detail":"A field is wrong.","errors":{"revocations":{"0":{}}}}"#)),
    );
    let invalid = RevokeError::Invalid(r#"A field is wrong. {"revocations":{"0":{}}}"#.into());
    assert_eq!(revoke().await, Err(invalid));
    issuer.set_answer(REVOKE, Some(OtherAnswer::Status(403)));
    let refused = revoke().await.expect_err("another namespace");
    assert_eq!(
        refused.to_string(),
        r#"the credential may not revoke in the namespace "shop": create another with `quash client add NAME --namespace shop`"#
    );
    for status in [302, 408, 409, 425, 429, 500, 502, 503, 504] {
        issuer.set_answer(REVOKE, Some(OtherAnswer::Status(status)));
        assert_eq!(revoke().await, Err(RevokeError::Unavailable(IssuerError::Status(status))));
    }
    for status in [402, 404, 405, 410, 421, 422, 431, 451, 499] {
        issuer.set_answer(REVOKE, Some(OtherAnswer::Status(status)));
        assert_eq!(revoke().await, Err(RevokeError::WrongAddress(status)));
    }
    let wrong = RevokeError::WrongAddress(404).to_string();
    assert!(wrong.contains("status 404: check the address"), "{wrong}");
}

#[tokio::test]
async fn an_address_that_is_not_quashs_hides_no_other() {
    let (wrong, issuer) = (Issuer::open().await, Issuer::open().await);
    wrong.set_answer(REVOKE, Some(OtherAnswer::Status(404)));
    let verifier = wrong.builder().also_at(&*issuer.address).start().await.expect("a verifier");
    let items = [Revocation::session("a")];
    let revoke = || verifier.revoke(Some("shop"), &items, Some("key"), false);
    issuer.set_answer(REVOKE, Some(OtherAnswer::Status(503)));
    assert_eq!(revoke().await, Err(RevokeError::Unavailable(IssuerError::Status(503))));
    issuer.set_answer(REVOKE, Some(OtherAnswer::Status(404)));
    assert_eq!(revoke().await, Err(RevokeError::WrongAddress(404)));
    issuer.set_answer(REVOKE, Some(OtherAnswer::Text(r#"{"seq":7,"written":1}"#)));
    assert!(revoke().await.is_ok());
}
