//! A verifier and a misbehaving issuer, over real sockets.

mod support;

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::Kid;
use quash_core::token::{Algorithm, SigningKey};
use quash_verify::{Denied, Fault, StartError, SystemClock, Verifier, VerifierState, WhenStale};
use support::wait::until;
use support::{Instead, Issuer, TERM};

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

#[tokio::test]
async fn an_ended_session_is_refused_without_asking() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    assert_eq!(verifier.state(), VerifierState::Fresh);
    let ((ended, session), (other, _)) = (issuer.token(), issuer.token());
    assert!(is_let_in(&verifier, &ended).await);
    issuer.end(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert!(matches!(verifier.check(&ended).await, Err(Denied::Refused(_))));
    assert!(is_let_in(&verifier, &other).await);
    assert_eq!((issuer.asked(SNAPSHOT), issuer.asked(INTROSPECT)), (1, 0));
    let target = issuer.last_target(LEASE);
    let instance =
        target.split("instance=").nth(1).and_then(|rest| rest.split('&').next()).expect("an instance");
    assert!(instance.len() == 32 && instance.bytes().all(|byte| byte.is_ascii_hexdigit()), "{target}");
    assert!(target.ends_with("&policy=deny"), "{target}");
}

#[tokio::test]
async fn a_token_that_proves_an_entry_is_waited_for() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (ended, session) = issuer.token();
    issuer.end_untold(session);
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
    assert!(matches!(checked, Ok(_) | Err(Denied::Stale)), "{checked:?}");
    until("the entry has come", || verifier.metrics().lag == 0).await;
    assert!(verifier.check_when_stale(&newer, WhenStale::Deny).await.is_ok());
    assert!(!is_let_in(&verifier, &ended).await);
}

#[tokio::test]
async fn a_dead_stream_is_replaced_as_soon_as_somebody_waits_for_what_it_owes() {
    let issuer = Issuer::open().await;
    issuer.answer_instead(STREAM, Some(Instead::DeafStream));
    let verifier = issuer.builder().when_stale(WhenStale::Deny).start().await.expect("a verifier");
    until("the stream is asked for", || issuer.asked(STREAM) == 1).await;
    issuer.answer_instead(STREAM, None);
    let (ended, session) = issuer.token();
    issuer.end_untold(session);
    let (newer, _) = issuer.token();
    // A new connection is given some time before it counts as dead.
    issuer.clock.go_on(Duration::from_secs(2));
    let checked = verifier.check(&newer).await;
    until("another stream is open", || issuer.streams() == 1).await;
    until("the entry has come", || verifier.metrics().lag == 0).await;
    assert!(!is_let_in(&verifier, &ended).await);
    assert!(is_let_in(&verifier, &newer).await, "{checked:?}");
    assert_eq!(issuer.asked(SNAPSHOT), 1);
}

#[tokio::test]
async fn what_was_asked_while_the_issuer_was_away_is_not_waited_for_when_it_is_back() {
    let issuer = Issuer::open().await;
    issuer.answer_instead(LEASE, Some(Instead::Status(503)));
    issuer.answer_instead(STREAM, Some(Instead::Nothing));
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    // The limit starts at 400 ms and doubles with each request: the fourth waits for two seconds.
    until("a stream is asked for again and again", || issuer.asked(STREAM) == 4).await;
    issuer.answer_instead(STREAM, None);
    issuer.answer_instead(LEASE, None);
    let another = until("another stream is open", || issuer.streams() == 1);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), another).await.is_ok(),
        "it still waits for an older request"
    );
    until("a lease was granted", || verifier.state() == VerifierState::Fresh).await;
}

#[tokio::test]
async fn a_distant_issuer_is_waited_for_as_long_as_its_answers_take() {
    let issuer = Issuer::open().await;
    issuer.answer_instead(STREAM, Some(Instead::Late(Duration::from_millis(450))));
    let _verifier = issuer.builder().clock(Arc::new(SystemClock)).start_in_background().expect("a verifier");
    until("a stream is open", || issuer.streams() == 1).await;
    let asked = issuer.asked(STREAM);
    assert!(asked > 1, "the first limit is 400 ms");
    issuer.cut();
    until("another stream is open", || issuer.asked(STREAM) > asked && issuer.streams() == 1).await;
    assert_eq!(issuer.asked(STREAM), asked + 1, "the limit has been adapted");
}

#[tokio::test]
async fn an_answer_from_a_place_that_is_none_of_the_log_is_not_waited_for() {
    let issuer = Issuer::open().await;
    issuer.answer_instead(STREAM, Some(Instead::Nothing));
    // The issuer was never away: lease requests require a snapshot, while the stream sends nothing.
    issuer.answer_instead(LEASE, Some(Instead::StatusOnce(409)));
    let verifier = issuer.builder().start_in_background().expect("a verifier");
    until("another snapshot is asked for, not the same place again", || issuer.asked(SNAPSHOT) == 2).await;
    issuer.answer_instead(STREAM, None);
    until("another stream is open", || issuer.streams() == 1).await;
    until("a lease was granted", || verifier.state() == VerifierState::Fresh).await;
}

#[tokio::test]
async fn what_is_missing_is_had_with_a_snapshot() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let tokens: Vec<_> = (0..2).map(|_| issuer.token()).collect();
    issuer.end_untold(tokens[0].1);
    issuer.end(tokens[1].1);
    until("both entries have come", || verifier.metrics().entries == 2).await;
    for (token, _) in &tokens {
        assert!(!is_let_in(&verifier, token).await);
    }
    assert_eq!(issuer.asked(SNAPSHOT), 2);
}

#[tokio::test]
async fn an_issuer_may_ask_for_a_snapshot_on_every_way() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    issuer.say("resync", "{}");
    until("a snapshot after `resync`", || issuer.asked(SNAPSHOT) == 2 && issuer.streams() == 1).await;
    issuer.answer_instead(STREAM, Some(Instead::StatusOnce(409)));
    issuer.cut();
    until("a snapshot after 409 to the stream", || issuer.asked(SNAPSHOT) == 3 && issuer.streams() == 1)
        .await;
    issuer.answer_instead(LEASE, Some(Instead::StatusOnce(409)));
    issuer.want();
    until("a snapshot after 409 to a lease", || issuer.asked(SNAPSHOT) == 4 && issuer.streams() == 1).await;
    assert_eq!(verifier.state(), VerifierState::Fresh);
}

#[tokio::test]
async fn a_cut_stream_goes_on_where_it_ended() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, session) = issuer.token();
    issuer.cut();
    issuer.end_untold(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert!(!is_let_in(&verifier, &token).await);
    assert_eq!(issuer.asked(SNAPSHOT), 1);
}

#[tokio::test]
async fn without_a_lease_the_issuer_is_asked_about_each_token_and_then_denied() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (token, session) = issuer.token();
    issuer.answer_instead(LEASE, Some(Instead::Status(503)));
    issuer.clock.go_on(TERM);
    assert_eq!(verifier.state(), VerifierState::Stale);
    assert!(is_let_in(&verifier, &token).await);
    assert_eq!(issuer.asked(INTROSPECT), 1);
    issuer.desk().introspected = "false";
    assert!(matches!(verifier.check(&token).await, Err(Denied::Refused(_))));
    issuer.answer_instead(INTROSPECT, Some(Instead::Status(500)));
    assert_eq!(verifier.check(&token).await.err(), Some(Denied::Stale));
    assert_eq!(verifier.check_when_stale(&token, WhenStale::Deny).await.err(), Some(Denied::Stale));
    assert!(verifier.check_when_stale(&token, WhenStale::Allow).await.is_ok());
    issuer.end(session);
    until("the entry has come", || verifier.metrics().entries == 1).await;
    assert!(
        matches!(verifier.check_when_stale(&token, WhenStale::Allow).await, Err(Denied::Refused(_))),
        "a known revocation applies"
    );
    issuer.answer_instead(LEASE, None);
    until("a lease was granted", || verifier.state() == VerifierState::Fresh).await;
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_leaves_its_verifier_stale() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let leases = issuer.asked(LEASE);
    issuer.answer_instead(LEASE, Some(Instead::Nothing));
    issuer.want();
    until("a lease is asked for", || issuer.asked(LEASE) > leases).await;
    assert_eq!(verifier.state(), VerifierState::Fresh);
    issuer.clock.go_on(TERM);
    assert_eq!(verifier.state(), VerifierState::Stale);
}

#[tokio::test]
async fn an_entry_of_unknown_kind_makes_the_verifier_stale_at_once() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let (_, session) = issuer.token();
    issuer.answer_instead(SNAPSHOT, Some(Instead::Status(503)));
    issuer.answer_instead(LEASE, Some(Instead::Nothing));
    issuer.end_untold(session);
    let frame = issuer.frame_from(0).replace("\"kind\":5", "\"kind\":8");
    issuer.say("entries", &frame);
    until("it is stale", || verifier.state() == VerifierState::Stale).await;
}

#[tokio::test]
async fn whoever_waits_for_a_number_gets_a_lease_at_once() {
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
async fn what_is_revoked_stays_revoked_when_the_issuer_went_back() {
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
    assert!(matches!(verifier.check_when_stale(&token, WhenStale::Allow).await, Err(Denied::Refused(_))));
    issuer.clock.go_on(TERM);
    assert_eq!(verifier.state(), VerifierState::Stale, "another log proves nothing");
}

#[tokio::test]
async fn a_new_key_is_looked_for_and_made_up_ones_are_not_looked_for_again_and_again() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let next = SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key");
    issuer.publish(next);
    issuer.clock.go_on(Duration::from_secs(2));
    assert!(is_let_in(&verifier, &issuer.token().0).await);
    let asked = issuer.asked(KEYS);
    let stranger = Issuer::with_key(SigningKey::new(Algorithm::EdDsa, &[9; 32], None).expect("a key")).await;
    for _ in 0..20 {
        assert!(matches!(verifier.check(&stranger.token().0).await, Err(Denied::Refused(_))));
    }
    assert!(issuer.asked(KEYS) <= asked + 1);
    issuer.answer_instead(KEYS, Some(Instead::Status(503)));
    issuer.clock.go_on(Duration::from_secs(2));
    assert_eq!(
        verifier.check(&stranger.token().0).await.err(),
        Some(Denied::KeysAway),
        "the token may be the issuer's"
    );
}

#[tokio::test]
async fn a_key_that_signs_at_once_is_found_however_shortly_ago_the_keys_were_read() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let next = SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key");
    issuer.publish(next);
    issuer.clock.go_on(Duration::from_millis(1));
    let asked = issuer.asked(KEYS);
    let (first, second) = (issuer.token().0, issuer.token().0);
    let both = tokio::join!(is_let_in(&verifier, &first), is_let_in(&verifier, &second));
    assert_eq!((both, issuer.asked(KEYS)), ((true, true), asked + 1), "one fetch serves both checks");
}

#[tokio::test]
async fn published_keys_are_read_when_the_feed_names_them() {
    let issuer = Issuer::open().await;
    let _verifier = started(&issuer).await;
    let asked = issuer.asked(KEYS);
    issuer.publish(SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key"));
    until("the keys are read", || issuer.asked(KEYS) == asked + 1).await;
    assert!(issuer.last_target(KEYS).contains("?sha256="), "the query bypasses caches");
}

#[tokio::test]
async fn damaged_key_sets_are_not_taken() {
    let issuer = Issuer::open().await;
    let verifier = started(&issuer).await;
    let before = issuer.token().0;
    issuer.answer_instead(KEYS, Some(Instead::Text(r#"{"keys":[]}"#)));
    issuer.publish(SigningKey::new(Algorithm::EdDsa, &[8; 32], None).expect("a key"));
    issuer.clock.go_on(Duration::from_secs(2));
    let newer = issuer.token().0;
    assert_eq!(verifier.check(&newer).await.err(), Some(Denied::KeysAway), "a refusal would be wrong");
    assert!(is_let_in(&verifier, &before).await, "the cached keys are kept");
    issuer.answer_instead(KEYS, None);
    issuer.clock.go_on(Duration::from_secs(2));
    assert!(is_let_in(&verifier, &newer).await);
}

#[tokio::test]
async fn a_verifier_does_not_start_with_a_damaged_key_set() {
    let issuer = Issuer::open().await;
    issuer.answer_instead(KEYS, Some(Instead::Text(r#"{"keys":[]}"#)));
    let patient = issuer.builder().start_within(Duration::from_millis(200));
    assert_eq!(patient.start().await.err(), Some(StartError::Away(Fault::OtherKeys)));
}

#[tokio::test]
async fn a_secret_must_be_the_issuers() {
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
async fn what_waiting_will_not_mend_is_told_at_once() {
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
    issuer.answer_instead(SNAPSHOT, Some(Instead::Status(500)));
    let patient = issuer.builder().start_within(Duration::from_millis(200));
    assert_eq!(patient.start().await.err(), Some(StartError::Away(Fault::Status(500))));
}

#[tokio::test]
async fn a_verifier_begun_in_the_background_lets_nobody_in_until_it_knows() {
    let issuer = Issuer::open().await;
    issuer.answer_instead(SNAPSHOT, Some(Instead::Status(503)));
    let verifier = issuer.builder().when_stale(WhenStale::Allow).start_in_background().expect("a verifier");
    let (token, _) = issuer.token();
    assert_eq!(verifier.state(), VerifierState::Boot);
    assert_eq!(verifier.check(&token).await.err(), Some(Denied::Stale));
    issuer.answer_instead(SNAPSHOT, None);
    until("it is fresh", || verifier.state() == VerifierState::Fresh).await;
    assert!(is_let_in(&verifier, &token).await);
    assert!(issuer.last_target(LEASE).ends_with("&policy=allow"));
}

#[tokio::test]
async fn another_address_is_asked_when_one_does_not_answer() {
    for instead in [Instead::Status(502), Instead::Nothing] {
        let (away, issuer) = (Issuer::open().await, Issuer::open().await);
        for path in [STREAM, SNAPSHOT, LEASE, KEYS] {
            away.answer_instead(path, Some(instead));
        }
        let verifier = away.builder().also_at(&*issuer.address).start().await.expect("a verifier");
        assert!(is_let_in(&verifier, &issuer.token().0).await);
    }
}

#[tokio::test]
async fn what_feeds_a_verifier_ends_with_its_last_clone() {
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
