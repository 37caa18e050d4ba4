//! A verifier and a misbehaving issuer, over real sockets.

mod names;
mod namespace;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Kid, Refusal};
use quash_core::token::{Algorithm, SigningKey};
use quash_core::watch::frame::FrameFault;
use quash_verify::{IssuerError, StartError, SystemClock, Verifier, VerifierState, VerifyError, WhenStale};
use support::wait::until;
use support::{GIVE_BACK, Issuer, OtherAnswer, TERM};

const STREAM: &str = "/v1/feed";
const SNAPSHOT: &str = "/v1/feed/snapshot";
const LEASE: &str = "/v1/feed/lease";
const KEYS: &str = "/.well-known/jwks.json";
const INTROSPECT: &str = "/oauth2/introspect";

async fn started(issuer: &Issuer) -> Verifier {
    let verifier = issuer.builder().start().await.expect("a verifier");
    until("the stream is open", || issuer.streams() == 1).await;
    verifier
}

async fn is_let_in(verifier: &Verifier, token: &str) -> bool {
    verifier.check(token).await.is_ok()
}

async fn until_accepted(verifier: &Verifier, token: &str) {
    until("the token is accepted", || matches!(verifier.check_now(token), Some(Ok(_)))).await;
}

#[tokio::test]
async fn ended_sessions_are_refused_without_introspection() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    assert_eq!(verifier.state(), VerifierState::Fresh);
    let ((ended, session), (other, _)) = (issuer.token(), issuer.token());
    assert!(is_let_in(&verifier, &ended).await);
    issuer.end(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert!(matches!(verifier.check(&ended).await, Err(VerifyError::Refused(_))));
    assert!(is_let_in(&verifier, &other).await);
    assert_eq!((issuer.asked(SNAPSHOT), issuer.asked(INTROSPECT)), (1, 0));
    let target = issuer.last_target(LEASE);
    let instance =
        target.split("instance=").nth(1).and_then(|rest| rest.split('&').next()).expect("an instance");
    assert!(instance.len() == 32 && instance.bytes().all(|byte| byte.is_ascii_hexdigit()), "{target}");
    assert!(target.ends_with("&policy=deny"), "{target}");
    assert!(target.contains(&format!("&pid={}&", std::process::id())), "{target}");
}

#[tokio::test]
async fn checks_wait_for_entries_that_tokens_prove() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (ended, session) = issuer.token();
    issuer.end_without_sending(session);
    let (newer, _) = issuer.token();
    let ((), checked) = tokio::join!(
        async {
            until("the verifier knows that it is behind", || verifier.state() == VerifierState::Behind).await;
            let frame = issuer.frame_from(0);
            issuer.say("entries", &frame);
        },
        verifier.check_when_stale(&newer, WhenStale::Deny)
    );
    // On a busy machine the entry may arrive too late for this check, which then fails as stale.
    assert!(matches!(checked, Ok(_) | Err(VerifyError::Stale)), "{checked:?}");
    until("the entry has come", || verifier.metrics().lag == 0).await;
    assert!(verifier.check_when_stale(&newer, WhenStale::Deny).await.is_ok());
    assert!(!is_let_in(&verifier, &ended).await);
}

#[tokio::test]
async fn an_overdue_entry_replaces_a_dead_stream() {
    let issuer = Issuer::open().await;
    issuer.set_answer(STREAM, Some(OtherAnswer::DeafStream));
    let verifier = issuer.builder().when_stale(WhenStale::Deny).start().await.expect("a verifier");
    until("the stream is asked for", || issuer.asked(STREAM) == 1).await;
    issuer.set_answer(STREAM, None);
    let (ended, session) = issuer.token();
    issuer.end_without_sending(session);
    let (newer, _) = issuer.token();
    // A new connection is given some time before it counts as dead.
    issuer.clock.advance(Duration::from_secs(2));
    let checked = verifier.check(&newer).await;
    until("another stream is open", || issuer.streams() == 1).await;
    until("the entry has come", || verifier.metrics().lag == 0).await;
    assert!(!is_let_in(&verifier, &ended).await);
    assert!(is_let_in(&verifier, &newer).await, "{checked:?}");
    assert_eq!(issuer.asked(SNAPSHOT), 1);
}

#[tokio::test]
async fn stale_requests_are_dropped_when_the_issuer_returns() {
    let issuer = Issuer::open().await;
    issuer.set_answer(LEASE, Some(OtherAnswer::Status(503)));
    issuer.set_answer(STREAM, Some(OtherAnswer::Nothing));
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    // The limit starts at 400 ms and doubles with each request: the fourth waits for two seconds.
    until("a stream is asked for again and again", || issuer.asked(STREAM) == 4).await;
    issuer.set_answer(STREAM, None);
    issuer.set_answer(LEASE, None);
    let another = until("another stream is open", || issuer.streams() == 1);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), another).await.is_ok(),
        "it still waits for an older request"
    );
    until("a lease was granted", || verifier.state() == VerifierState::Fresh).await;
}

#[tokio::test]
async fn timeouts_adapt_to_a_slow_issuer() {
    let issuer = Issuer::open().await;
    issuer.set_answer(STREAM, Some(OtherAnswer::Late(Duration::from_millis(450))));
    let _verifier = issuer.builder().clock(Arc::new(SystemClock)).start_in_background().expect("a verifier");
    until("a stream is open", || issuer.streams() == 1).await;
    let asked = issuer.asked(STREAM);
    assert!(asked > 1, "the first limit is 400 ms");
    issuer.cut();
    until("another stream is open", || issuer.asked(STREAM) > asked && issuer.streams() == 1).await;
    assert_eq!(issuer.asked(STREAM), asked + 1, "the limit has been adapted");
}

#[tokio::test]
async fn an_invalid_cursor_leads_to_a_new_snapshot() {
    let issuer = Issuer::open().await;
    issuer.set_answer(STREAM, Some(OtherAnswer::Nothing));
    // The issuer was never away: lease requests require a snapshot, while the stream sends nothing.
    issuer.set_answer(LEASE, Some(OtherAnswer::StatusOnce(409)));
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    until("another snapshot is asked for, not the same place again", || issuer.asked(SNAPSHOT) == 2).await;
    issuer.set_answer(STREAM, None);
    until("another stream is open", || issuer.streams() == 1).await;
    until("a lease was granted", || verifier.state() == VerifierState::Fresh).await;
}

#[tokio::test]
async fn missing_entries_are_fetched_with_a_snapshot() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let tokens: Vec<_> = (0..2).map(|_| issuer.token()).collect();
    issuer.end_without_sending(tokens[0].1);
    issuer.end(tokens[1].1);
    until("both entries have come", || verifier.metrics().entries == 2).await;
    for (token, _) in &tokens {
        assert!(!is_let_in(&verifier, token).await);
    }
    assert_eq!(issuer.asked(SNAPSHOT), 2);
}

#[tokio::test]
async fn resync_and_409_lead_to_a_snapshot() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    issuer.say("resync", "{}");
    until("a snapshot after `resync`", || issuer.asked(SNAPSHOT) == 2 && issuer.streams() == 1).await;
    issuer.set_answer(STREAM, Some(OtherAnswer::StatusOnce(409)));
    issuer.cut();
    until("a snapshot after 409 to the stream", || issuer.asked(SNAPSHOT) == 3 && issuer.streams() == 1)
        .await;
    issuer.set_answer(LEASE, Some(OtherAnswer::StatusOnce(409)));
    issuer.want();
    until("a snapshot after 409 to a lease", || issuer.asked(SNAPSHOT) == 4 && issuer.streams() == 1).await;
    assert_eq!(verifier.state(), VerifierState::Fresh);
}

#[tokio::test]
async fn a_closed_stream_resumes_at_its_cursor() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, session) = issuer.token();
    issuer.cut();
    issuer.end_without_sending(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert!(!is_let_in(&verifier, &token).await);
    assert_eq!(issuer.asked(SNAPSHOT), 1);
}

#[tokio::test]
async fn stale_verifiers_introspect_and_otherwise_deny() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, session) = issuer.token();
    issuer.set_answer(LEASE, Some(OtherAnswer::Status(503)));
    issuer.clock.advance(TERM);
    assert_eq!(verifier.state(), VerifierState::Stale);
    assert!(is_let_in(&verifier, &token).await);
    assert_eq!(issuer.asked(INTROSPECT), 1);
    issuer.state().introspected = "false";
    assert!(matches!(verifier.check(&token).await, Err(VerifyError::Refused(_))));
    issuer.set_answer(INTROSPECT, Some(OtherAnswer::Status(500)));
    assert_eq!(verifier.check(&token).await.err(), Some(VerifyError::Stale));
    assert_eq!(verifier.check_when_stale(&token, WhenStale::Deny).await.err(), Some(VerifyError::Stale));
    assert!(verifier.check_when_stale(&token, WhenStale::Allow).await.is_ok());
    issuer.end(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert!(
        matches!(verifier.check_when_stale(&token, WhenStale::Allow).await, Err(VerifyError::Refused(_))),
        "a known revocation applies"
    );
    issuer.set_answer(LEASE, None);
    until("a lease was granted", || verifier.state() == VerifierState::Fresh).await;
}

#[tokio::test]
async fn unanswered_lease_requests_make_the_verifier_stale() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let leases = issuer.asked(LEASE);
    issuer.set_answer(LEASE, Some(OtherAnswer::Nothing));
    issuer.want();
    until("a lease is asked for", || issuer.asked(LEASE) > leases).await;
    assert_eq!(verifier.state(), VerifierState::Fresh);
    issuer.clock.advance(TERM);
    assert_eq!(verifier.state(), VerifierState::Stale);
}

#[tokio::test]
async fn an_unknown_entry_kind_makes_the_verifier_stale() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (_, session) = issuer.token();
    issuer.set_answer(SNAPSHOT, Some(OtherAnswer::Status(503)));
    issuer.set_answer(LEASE, Some(OtherAnswer::Nothing));
    issuer.end_without_sending(session);
    let frame = issuer.frame_from(0).replace("\"kind\":5", "\"kind\":8");
    issuer.say("entries", &frame);
    until("it is stale", || verifier.state() == VerifierState::Stale).await;
}

#[tokio::test]
async fn wanted_entries_are_confirmed_at_once() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (_, session) = issuer.token();
    issuer.end(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    let leases = issuer.asked(LEASE);
    issuer.want();
    until("another lease is asked for", || issuer.asked(LEASE) > leases).await;
    let cursor = format!("cursor={}.", verifier.metrics().cursor);
    assert!(issuer.last_target(LEASE).contains(&cursor), "with the wanted cursor");
}

#[tokio::test]
async fn revocations_survive_a_restored_issuer() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, session) = issuer.token();
    issuer.end(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    let snapshots = issuer.asked(SNAPSHOT);
    issuer.go_back();
    issuer.want();
    issuer.cut();
    until("snapshots are taken", || issuer.asked(SNAPSHOT) > snapshots + 1).await;
    assert!(matches!(
        verifier.check_when_stale(&token, WhenStale::Allow).await,
        Err(VerifyError::Refused(_))
    ));
    issuer.clock.advance(TERM);
    assert_eq!(verifier.state(), VerifierState::Stale, "another log proves nothing");
}

#[tokio::test]
async fn new_keys_are_fetched_and_unknown_kids_throttled() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let next = SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key");
    issuer.publish(next);
    issuer.clock.advance(Duration::from_secs(2));
    assert!(is_let_in(&verifier, &issuer.token().0).await);
    let asked = issuer.asked(KEYS);
    let stranger = Issuer::with_key(SigningKey::new(Algorithm::EdDsa, &[9; 32], None).expect("a key")).await;
    for _ in 0..20 {
        assert!(matches!(verifier.check(&stranger.token().0).await, Err(VerifyError::Refused(_))));
    }
    assert!(issuer.asked(KEYS) <= asked + 1);
    issuer.set_answer(KEYS, Some(OtherAnswer::Status(503)));
    issuer.clock.advance(Duration::from_secs(2));
    assert_eq!(
        verifier.check(&stranger.token().0).await.err(),
        Some(VerifyError::KeysUnavailable),
        "the token may be the issuer's"
    );
}

#[tokio::test]
async fn a_key_that_signs_immediately_is_found() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let next = SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key");
    issuer.publish(next);
    issuer.clock.advance(Duration::from_millis(1));
    let asked = issuer.asked(KEYS);
    let (first, second) = (issuer.token().0, issuer.token().0);
    let both = tokio::join!(is_let_in(&verifier, &first), is_let_in(&verifier, &second));
    assert_eq!((both, issuer.asked(KEYS)), ((true, true), asked + 1), "one fetch serves both checks");
}

#[tokio::test]
async fn keys_are_fetched_when_the_feed_names_them() {
    let issuer = Issuer::open().await;
    let _verifier = started(&issuer).await;
    let asked = issuer.asked(KEYS);
    issuer.publish(SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key"));
    until("the keys are read", || issuer.asked(KEYS) == asked + 1).await;
    assert!(issuer.last_target(KEYS).contains("?sha256="), "the query bypasses caches");
}

#[tokio::test]
async fn tokens_of_a_revoked_unpublished_key_are_revoked() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let before = issuer.token().0;
    assert!(is_let_in(&verifier, &before).await);
    let asked = issuer.asked(KEYS);
    issuer.revoke_first_key(SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key"));
    until("the keys are read", || issuer.asked(KEYS) > asked).await;
    let after = issuer.token().0;
    until_accepted(&verifier, &after).await;
    let revoked = VerifyError::Refused(Refusal::TokenRevoked(None));
    assert_eq!(verifier.check(&before).await.err(), Some(revoked));
    // Also after another change of the keys.
    issuer.publish(SigningKey::new(Algorithm::EdDsa, &[9; 32], None).expect("a key"));
    until_accepted(&verifier, &issuer.token().0).await;
    assert_eq!(verifier.check(&before).await.err(), Some(revoked));
    issuer.clock.advance(TERM);
    assert_eq!(verifier.check_when_stale(&before, WhenStale::Allow).await.err(), Some(revoked));
}

#[tokio::test]
async fn damaged_key_sets_are_rejected() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let before = issuer.token().0;
    issuer.set_answer(KEYS, Some(OtherAnswer::Text(r#"{"keys":[]}"#)));
    issuer.publish(SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key"));
    issuer.clock.advance(Duration::from_secs(2));
    let newer = issuer.token().0;
    assert_eq!(
        verifier.check(&newer).await.err(),
        Some(VerifyError::KeysUnavailable),
        "a refusal would be wrong"
    );
    assert!(is_let_in(&verifier, &before).await, "the cached keys are kept");
    issuer.set_answer(KEYS, None);
    issuer.clock.advance(Duration::from_secs(2));
    assert!(is_let_in(&verifier, &newer).await);
}

#[tokio::test]
async fn a_damaged_key_set_prevents_the_start() {
    let issuer = Issuer::open().await;
    issuer.set_answer(KEYS, Some(OtherAnswer::Text(r#"{"keys":[]}"#)));
    let patient = issuer.builder().start_within(Duration::from_millis(200));
    assert_eq!(patient.start().await.err(), Some(StartError::Unavailable(IssuerError::OtherKeys)));
}

#[tokio::test]
async fn the_secret_must_match_the_issuers() {
    let secret = [3_u8; 32];
    let key =
        SigningKey::new(Algorithm::Hs256, &secret, Some(Kid::parse("one").expect("a kid"))).expect("a key");
    let issuer = Issuer::with_key(key).await;
    assert_eq!(issuer.builder().start().await.err(), Some(StartError::SecretNeeded));
    assert_eq!(issuer.builder().secret([4; 32]).start().await.err(), Some(StartError::SecretUnknown));
    let verifier = issuer.builder().secret(secret).start().await.expect("a verifier");
    assert!(is_let_in(&verifier, &issuer.token().0).await);
}

#[tokio::test]
async fn permanent_start_errors_are_returned_at_once() {
    let issuer = Issuer::open().await;
    assert_eq!(
        issuer.builder().credential("qv_other").start().await.err(),
        Some(StartError::CredentialRefused)
    );
    assert_eq!(issuer.builder().credential("").start().await.err(), Some(StartError::NoCredential));
    assert_eq!(issuer.builder().credential("a\nb").start().await.err(), Some(StartError::NoCredential));
    assert_eq!(
        Verifier::builder("nowhere").credential("qv").start_in_background().err(),
        Some(StartError::Address)
    );
    issuer.set_answer(SNAPSHOT, Some(OtherAnswer::Status(500)));
    let patient = issuer.builder().start_within(Duration::from_millis(200));
    assert_eq!(patient.start().await.err(), Some(StartError::Unavailable(IssuerError::Status(500))));
}

#[tokio::test]
async fn an_issuer_of_another_version_is_reported() {
    let issuer = Issuer::open().await;
    started(&issuer).await;
    for path in [STREAM, SNAPSHOT, LEASE] {
        assert!(issuer.last_target(path).contains("?v=2"), "{path}");
    }
    let problem = r#"{"code":"feed_version","versions":[3,4]}"#;
    issuer.set_answer(SNAPSHOT, Some(OtherAnswer::Refusal(problem)));
    let error = issuer.builder().start().await.err();
    assert_eq!(error, Some(StartError::NotUnderstood(FrameFault::Version(4))));
    issuer.set_answer(SNAPSHOT, Some(OtherAnswer::Refusal(r#"{"code":"invalid_request"}"#)));
    let patient = issuer.builder().start_within(Duration::from_millis(200));
    assert_eq!(patient.start().await.err(), Some(StartError::Unavailable(IssuerError::Status(400))));
}

#[tokio::test]
async fn a_background_start_denies_until_fresh() {
    let issuer = Issuer::open().await;
    issuer.set_answer(SNAPSHOT, Some(OtherAnswer::Status(503)));
    let verifier = issuer.builder().when_stale(WhenStale::Allow).start_in_background().expect("a verifier");
    let (token, _) = issuer.token();
    assert_eq!(verifier.state(), VerifierState::Boot);
    assert_eq!(verifier.check(&token).await.err(), Some(VerifyError::Stale));
    issuer.set_answer(SNAPSHOT, None);
    until("it is fresh", || verifier.state() == VerifierState::Fresh).await;
    assert!(is_let_in(&verifier, &token).await);
    assert!(issuer.last_target(LEASE).ends_with("&policy=allow"));
}

#[tokio::test]
async fn leases_report_a_check_that_may_accept_unvouched_tokens() {
    let issuer = Issuer::open().await;
    let verifier = issuer.builder().start().await.expect("a verifier");
    assert!(issuer.last_target(LEASE).ends_with("&policy=deny"));
    let (token, _) = issuer.token();
    assert!(verifier.check_now_when_stale(&token, WhenStale::Allow).is_some_and(|decided| decided.is_ok()));
    until("the next lease", || issuer.last_target(LEASE).ends_with("&policy=allow")).await;
}

#[tokio::test]
async fn the_next_address_is_tried_after_a_failure() {
    for instead in [OtherAnswer::Status(502), OtherAnswer::Nothing] {
        let (away, issuer) = (Issuer::open().await, Issuer::open().await);
        for path in [STREAM, SNAPSHOT, LEASE, KEYS] {
            away.set_answer(path, Some(instead));
        }
        let verifier = away.builder().also_at(&*issuer.address).start().await.expect("a verifier");
        assert!(is_let_in(&verifier, &issuer.token().0).await);
    }
}

#[tokio::test]
async fn following_ends_with_the_verifiers_last_clone() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let clone = verifier.clone();
    drop(verifier);
    assert!(is_let_in(&clone, &issuer.token().0).await);
    drop(clone);
    until("the stream is closed", || {
        issuer.say("wanted", "{}");
        issuer.streams() == 0
    })
    .await;
}

fn instance(target: &str) -> &str {
    target.split("instance=").nth(1).and_then(|rest| rest.split('&').next()).expect("an instance")
}

#[tokio::test]
async fn verifiers_accept_nothing_before_they_give_their_lease_back() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, _) = issuer.token();
    let guard = verifier.watch(&token).await.expect("a live token");
    let instance_of_lease = instance(&issuer.last_target(LEASE)).to_owned();
    // The issuer gets the request, and its answer is lost.
    issuer.set_answer(GIVE_BACK, Some(OtherAnswer::Nothing));
    let leaving = verifier.clone();
    let leaving = tokio::spawn(async move { leaving.leave().await });
    until("the lease is given back", || issuer.asked(GIVE_BACK) == 1).await;
    assert_eq!(instance(&issuer.last_target(GIVE_BACK)), instance_of_lease);
    assert_eq!(verifier.state(), VerifierState::Left);
    assert_eq!(verifier.metrics().state, VerifierState::Left);
    for when_stale in [WhenStale::Deny, WhenStale::Allow, WhenStale::IntrospectThenDeny] {
        assert_eq!(verifier.check_when_stale(&token, when_stale).await.err(), Some(VerifyError::Stale));
    }
    assert_eq!(guard.revoked().await, VerifyError::Stale);
    tokio::time::timeout(Duration::from_secs(1), leaving).await.expect("soon").expect("no panic");
    until("the stream is closed", || issuer.streams() == 0).await;
    verifier.leave().await;
    assert_eq!(issuer.asked(GIVE_BACK), 1);
}

#[tokio::test]
async fn requests_under_way_do_not_revive_a_verifier_that_left() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, _) = issuer.token();
    let leases = issuer.asked(LEASE);
    issuer.set_answer(LEASE, Some(OtherAnswer::Late(Duration::from_millis(100))));
    issuer.want();
    until("a lease request is under way", || issuer.asked(LEASE) > leases).await;
    issuer.clock.advance(TERM);
    issuer.set_answer(INTROSPECT, Some(OtherAnswer::Late(Duration::from_millis(100))));
    let checking = verifier.clone();
    let asked = token.clone();
    let checking = tokio::spawn(async move { checking.check(&asked).await.err() });
    until("an introspection is under way", || issuer.asked(INTROSPECT) == 1).await;
    verifier.leave().await;
    assert_eq!(checking.await.expect("no panic"), Some(VerifyError::Stale), "its answer came too late");
    let leases = issuer.asked(LEASE);
    issuer.set_answer(LEASE, None);
    issuer.want();
    support::wait::pass(Duration::from_millis(500)).await;
    assert_eq!((issuer.asked(LEASE), verifier.state()), (leases, VerifierState::Left));
    assert_eq!(verifier.check(&token).await.err(), Some(VerifyError::Stale));
}

#[tokio::test]
async fn leases_are_given_back_at_an_address_that_answers() {
    let (away, issuer) = (Issuer::open().await, Issuer::open().await);
    for path in [STREAM, SNAPSHOT, LEASE, KEYS, GIVE_BACK] {
        away.set_answer(path, Some(OtherAnswer::Status(502)));
    }
    let verifier = away.builder().also_at(&*issuer.address).start().await.expect("a verifier");
    verifier.leave().await;
    assert_eq!((away.asked(GIVE_BACK), issuer.asked(GIVE_BACK)), (0, 1), "the one that granted the lease");
    let verifier = issuer.builder().also_at(&*away.address).start().await.expect("a verifier");
    issuer.set_answer(GIVE_BACK, Some(OtherAnswer::Status(502)));
    away.set_answer(GIVE_BACK, None);
    verifier.leave().await;
    assert_eq!((issuer.asked(GIVE_BACK), away.asked(GIVE_BACK)), (2, 1));
}

#[tokio::test]
async fn checks_without_a_future_decide_what_needs_no_wait() {
    let issuer = Issuer::open().await;
    issuer.set_answer(SNAPSHOT, Some(OtherAnswer::Status(503)));
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    let ((token, _), (ended, session)) = (issuer.token(), issuer.token());
    let now = |token: &str| verifier.check_now(token).map(|decided| decided.map(drop));
    assert_eq!((now(&token), verifier.head()), (None, None), "it may start soon");
    issuer.set_answer(SNAPSHOT, None);
    until("it is fresh", || verifier.state() == VerifierState::Fresh).await;
    assert_eq!(now(&token), Some(Ok(())));
    assert!(matches!(now("x"), Some(Err(VerifyError::Refused(_)))));
    issuer.end(session);
    let head = verifier.metrics().cursor + 1;
    assert!(verifier.caught_up(head, Duration::from_secs(5)).await);
    assert_eq!(verifier.head(), Some(head));
    assert!(matches!(now(&ended), Some(Err(VerifyError::Refused(_)))));
    assert!(!verifier.caught_up(head + 1, Duration::from_millis(10)).await);
    let stranger = Issuer::with_key(SigningKey::new(Algorithm::EdDsa, &[9; 32], None).expect("a key")).await;
    assert_eq!(now(&stranger.token().0), None, "the key may be a new one");
    issuer.end_without_sending(issuer.token().1);
    assert_eq!(now(&issuer.token().0), None, "an entry is missing");
    let refused = verifier.metrics();
    assert_eq!((refused.accepted, refused.refused, refused.stale), (1, 2, 0), "undecided ones don't count");
    issuer.set_answer(LEASE, Some(OtherAnswer::Status(503)));
    issuer.clock.advance(TERM);
    assert_eq!((now(&token), verifier.head()), (None, None), "the issuer must be asked");
    assert_eq!(issuer.asked(INTROSPECT), 0);
    let with =
        |when_stale| verifier.check_now_when_stale(&token, when_stale).map(|decided| decided.map(drop));
    assert_eq!(with(WhenStale::Deny), Some(Err(VerifyError::Stale)));
    assert_eq!(with(WhenStale::Allow), Some(Ok(())));
    assert_eq!(with(WhenStale::AllowYoung(TERM * 2)), Some(Ok(())));
    assert_eq!(with(WhenStale::AllowYoung(TERM)), Some(Err(VerifyError::Stale)));
    verifier.leave().await;
    assert_eq!((with(WhenStale::Allow), verifier.head()), (Some(Err(VerifyError::Stale)), None));
}

#[tokio::test]
async fn the_first_check_can_wait_for_the_start() {
    let issuer = Issuer::open().await;
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    let long = Duration::from_secs(60);
    assert_eq!(verifier.settled(long).await, Ok(VerifierState::Fresh));
    assert!(matches!(verifier.check_now(&issuer.token().0), Some(Ok(_))));
    // Revocations are known, and no lease arrives.
    issuer.set_answer(LEASE, Some(OtherAnswer::Nothing));
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    assert_eq!(verifier.settled(long).await, Ok(VerifierState::Stale));
    // The issuer is away: later checks don't wait again.
    issuer.set_answer(SNAPSHOT, Some(OtherAnswer::Status(503)));
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    let within = Duration::from_millis(300);
    assert_eq!(verifier.settled(within).await, Err(StartError::Unavailable(IssuerError::Status(503))));
    issuer.clock.advance(within);
    let at_once = tokio::time::timeout(Duration::from_millis(100), verifier.settled(within));
    assert_eq!(at_once.await, Ok(Err(StartError::Unavailable(IssuerError::Status(503)))));
    // It can't start.
    issuer.set_answer(SNAPSHOT, None);
    let verifier = issuer.builder().credential("qv_other").start_in_background().expect("a verifier");
    assert_eq!(verifier.settled(long).await, Err(StartError::CredentialRefused));
    assert_eq!(verifier.check_now("x").map(|decided| decided.map(drop)), Some(Err(VerifyError::Stale)));
}

#[tokio::test]
async fn an_unanswered_introspection_denies_the_next_ones_at_once() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, _) = issuer.token();
    // The issuer's machine is gone: streams end, and no request is answered.
    for path in [STREAM, SNAPSHOT, LEASE, KEYS, INTROSPECT] {
        issuer.set_answer(path, Some(OtherAnswer::Nothing));
    }
    issuer.cut();
    issuer.clock.advance(TERM);
    assert_eq!(verifier.check(&token).await.err(), Some(VerifyError::Stale));
    for _ in 0..20 {
        let at_once = tokio::time::timeout(Duration::from_millis(500), verifier.check(&token));
        assert_eq!(at_once.await.expect("at once").err(), Some(VerifyError::Stale));
    }
    assert_eq!(issuer.asked(INTROSPECT), 1);
    // Any answer proves that the issuer is back, although the second isn't over.
    issuer.set_answer(INTROSPECT, None);
    let leases = issuer.asked(LEASE);
    issuer.set_answer(LEASE, Some(OtherAnswer::Status(503)));
    until("a lease request is answered", || issuer.asked(LEASE) > leases).await;
    let deadline = tokio::time::timeout(Duration::from_secs(5), async {
        while verifier.check(&token).await.is_err() {
            support::wait::pass(Duration::from_millis(10)).await;
        }
    });
    deadline.await.expect("the issuer is asked again");
    assert_eq!(issuer.asked(INTROSPECT), 2);
}

#[tokio::test]
async fn https_addresses_are_never_used_without_tls() {
    let issuer = Issuer::open().await;
    let address = issuer.address.replace("http:", "https:");
    let verifier = Verifier::builder(address).credential("qv_test").start_within(Duration::from_millis(300));
    assert!(matches!(verifier.start().await.err(), Some(StartError::Unavailable(_))));
    assert_eq!((issuer.asked(SNAPSHOT), issuer.asked(KEYS)), (0, 0));
}
