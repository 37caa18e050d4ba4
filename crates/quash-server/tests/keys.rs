//! Key rotation in a running server: scheduled, by an operator, and in an emergency. Valid tokens stay valid;
//! tokens signed with a revoked key are refused.

use crate::support;

use quash_core::decide::{KeyRefusal, RevokedKeySessions};
use quash_core::model::{Actor, ForeignTokens, Invalid, KeyState, Kid};
use quash_core::token::{Algorithm, Expected, KeyRing, TokenType, Unverified};
use quash_service::{ForeignKeys, ForeignSetup, KeyChangeFault, RefreshSigning, StartError, Takeover};
use serde_json::{Value, json};
use support::{Call, FaultyStore, PASSWORD, Part, Plan, START, World, secs};
use zeroize::Zeroizing;

const DAY: u64 = 86_400;
const SECRET: &[u8] = b"a secret of a Django that nobody else has, and of many bytes too";

fn every_30_days() -> Plan {
    Plan { rotate_every: Some(secs(30 * DAY)), ..Plan::default() }
}

/// A site whose settings name the secret that it shares with its Django.
fn shared() -> Plan {
    let foreign = ForeignSetup {
        name: "django".into(),
        keys: ForeignKeys::Secret {
            algorithm: Algorithm::Hs512,
            secret: Zeroizing::new(SECRET.to_vec()),
            kid: None,
        },
        max_lifetime: secs(30 * DAY),
        namespace: None,
        dropped: Vec::new(),
        iss: Expected::Anything,
        aud: Expected::Anything,
    };
    let mut plan = Plan {
        algorithm: Algorithm::Hs256,
        signing: Some(SECRET.to_vec()),
        foreign: vec![foreign],
        ..Plan::default()
    };
    plan.policy.tokens.foreign = ForeignTokens::Accept;
    plan
}

/// Django's access token for dana.
fn djangos() -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let said =
        json!({ "token_type": "access", "exp": START + 300, "iat": START, "jti": "one", "user_id": "dana" });
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"HS512","typ":"JWT"}"#), part(&said.to_string()));
    let signature = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, SECRET),
        signed.as_bytes(),
    );
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn kid_of(token: &str) -> Kid {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header")).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    Kid::parse(header["kid"].as_str().expect("a kid")).expect("a key id")
}

async fn published(world: &World) -> Vec<String> {
    let jwks = world.send(Call::get("/.well-known/jwks.json")).await.json();
    let mut kids: Vec<_> = jwks["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| key["kid"].as_str().expect("a kid").to_owned())
        .collect();
    kids.sort_unstable();
    kids
}

async fn states(world: &World) -> Vec<KeyState> {
    world.service.keys().await.expect("keys").own.iter().map(|key| key.state).collect()
}

async fn tend(world: &World) {
    world.service.apply_due_key_changes().await.expect("a store");
}

async fn strike(world: &World, kid: &Kid) -> Option<Kid> {
    world
        .service
        .revoke_key(kid, RevokedKeySessions::Continue, Actor::Operator)
        .await
        .expect("the key is revoked")
        .signs
}

async fn rotate(world: &World, takeover: Takeover) -> Kid {
    world.service.rotate_key(takeover, Actor::Operator).await.expect("another key").kid
}

#[tokio::test]
async fn next_keys_are_published_ten_minutes_early() {
    let world = World::planned(every_30_days()).await;
    tend(&world).await;
    world.wait(secs(30 * DAY - 601));
    tend(&world).await;
    assert_eq!(published(&world).await.len(), 1);
    world.wait(secs(1));
    tend(&world).await;
    let old = world.sign_in("dana").await;
    let both = published(&world).await;
    assert_eq!(
        (both.len(), both.contains(&kid_of(&old.access).to_string())),
        (2, true),
        "published, and not signing"
    );
    world.wait(secs(599));
    tend(&world).await;
    assert_eq!(kid_of(&world.sign_in("dana").await.access), kid_of(&old.access));
    let signed_last = world.sign_in("dana").await;
    world.wait(secs(1));
    tend(&world).await;
    let new = world.sign_in("dana").await;
    assert_ne!(kid_of(&new.access), kid_of(&old.access));
    assert_eq!(published(&world).await, both);
    world.assert_live(&signed_last).await;
    world.assert_live(&new).await;
    let renewed = world.refresh(&old.refresh).await.pair();
    assert_eq!(kid_of(&renewed.refresh), kid_of(&new.refresh));
    // Until the last token signed with the old key has expired.
    world.wait(secs(DAY + 300));
    tend(&world).await;
    assert_eq!(published(&world).await, both);
    world.wait(secs(1));
    tend(&world).await;
    assert_eq!(published(&world).await, [kid_of(&new.access).to_string()]);
    let ring = world.service.guard().ring();
    assert_eq!(
        ring.keys().map(|key| key.kid().clone()).collect::<Vec<_>>(),
        [kid_of(&new.access)],
        "the guard has lost it, too"
    );
}

#[tokio::test]
async fn key_rotation_survives_restarts_in_any_state() {
    let world = World::planned(every_30_days()).await;
    world.wait(secs(30 * DAY));
    tend(&world).await;
    assert!(matches!(states(&world).await[..], [KeyState::Current, KeyState::Next { .. }]));
    world.wait(secs(600));
    let old = world.sign_in("dana").await;
    // The key wasn't published meanwhile.
    let world = world.reopened(every_30_days()).await;
    world.assert_live(&old).await;
    assert_eq!(published(&world).await.len(), 2);
    tend(&world).await;
    assert_eq!(
        kid_of(&world.sign_in("dana").await.access),
        kid_of(&old.access),
        "it begins to be published now"
    );
    world.wait(secs(600));
    tend(&world).await;
    let new = world.sign_in("dana").await;
    assert_ne!(kid_of(&new.access), kid_of(&old.access));
    let world = world.reopened(every_30_days()).await;
    world.assert_live(&new).await;
    assert_eq!(world.verify(&old.refresh).await.status, 200);
    assert_eq!(kid_of(&world.sign_in("dana").await.access), kid_of(&new.access));
    strike(&world, &kid_of(&new.access)).await;
    let world = world.reopened(every_30_days()).await;
    assert_eq!(world.me(&new.access).await.status, 401);
    world.assert_live(&world.refresh(&new.refresh).await.pair()).await;
    assert!(!published(&world).await.contains(&kid_of(&new.access).to_string()));
}

#[tokio::test]
async fn operators_can_switch_the_signing_key() {
    let world = World::open().await;
    let old = world.sign_in("dana").await;
    let next = rotate(&world, Takeover::Announced).await;
    assert_eq!(rotate(&world, Takeover::Announced).await, next, "it is the one that is next");
    assert_eq!(kid_of(&world.sign_in("dana").await.access), kid_of(&old.access));
    assert_eq!(rotate(&world, Takeover::Now).await, next);
    let new = world.sign_in("dana").await;
    assert_eq!(kid_of(&new.access), next);
    world.assert_live(&old).await;
    let newest = rotate(&world, Takeover::Now).await;
    assert_eq!(kid_of(&world.sign_in("dana").await.access), newest);
    world.assert_live(&new).await;
    world.assert_live(&old).await;
    assert_eq!(published(&world).await.len(), 3);
}

#[tokio::test]
async fn keys_still_in_use_cannot_be_retired() {
    let world = World::open().await;
    let retire =
        async |kid: &Kid| world.service.retire_key(kid, Actor::Operator).await.map(|turned| turned.state);
    let old = kid_of(&world.sign_in("dana").await.access);
    assert_eq!(retire(&old).await, Err(KeyChangeFault::Refused(KeyRefusal::Signs)));
    let next = rotate(&world, Takeover::Announced).await;
    assert_eq!(retire(&next).await, Ok(None));
    assert_eq!(published(&world).await, [old.to_string()]);
    rotate(&world, Takeover::Now).await;
    let refused = retire(&old).await;
    assert!(matches!(refused, Err(KeyChangeFault::Refused(KeyRefusal::StillVerifies { .. }))), "{refused:?}");
    assert_eq!(retire(&next).await, Err(KeyChangeFault::Refused(KeyRefusal::Unknown)));
}

#[tokio::test]
async fn revoked_keys_invalidate_tokens_but_not_sessions() {
    // The same with refresh tokens in the old format, which the revoked key also signed.
    let world = World::planned(Plan { refresh_tokens: RefreshSigning::LikeAccess, ..Plan::default() }).await;
    let (pair, ended) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let before = kid_of(&pair.access);
    let signs = strike(&world, &before).await.expect("another one signs");
    insta::assert_snapshot!(world.me(&pair.access).await.brief(), @r#"401 {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.verify(&pair.access).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"key_removed"}"#);
    assert_eq!(published(&world).await, [signs.to_string()]);
    assert_eq!(world.verify(&pair.refresh).await.status, 200);
    let renewed = world.refresh(&pair.refresh).await.pair();
    assert_eq!((kid_of(&renewed.access), kid_of(&renewed.refresh)), (signs.clone(), signs.clone()));
    world.assert_live(&renewed).await;
    assert_eq!(kid_of(&world.sign_in("noor").await.access), signs);
    // Log-out with the refresh token alone.
    assert_eq!(world.blacklist(&ended.refresh).await.status, 200);
    assert_eq!(world.refresh(&ended.refresh).await.status, 401);
    let again = world.service.revoke_key(&before, RevokedKeySessions::Continue, Actor::Operator).await;
    assert!(matches!(again, Err(KeyChangeFault::Refused(KeyRefusal::Revoked { .. }))), "{again:?}");
}

/// A thief of the key can sign any token. None gives access or ends a session.
#[tokio::test]
async fn revoked_keys_can_neither_refresh_nor_log_out() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let forged_refresh = world.forge(&pair.refresh, &json!({ "jti": "00".repeat(16) }));
    let forged_access = world.forge(&pair.access, &json!({ "jti": "00".repeat(16) }));
    strike(&world, &kid_of(&pair.access)).await;
    assert_eq!(world.me(&forged_access).await.status, 401);
    insta::assert_snapshot!(world.refresh(&forged_refresh).await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    assert_eq!(world.blacklist(&forged_refresh).await.status, 401);
    assert_eq!(world.send(Call::post("/api/logout/").bearer(&forged_access)).await.status, 401);
    assert_eq!(world.log_out(&forged_access, &pair.refresh).await.status, 401);
    world.assert_live(&world.refresh(&pair.refresh).await.pair()).await;
}

#[tokio::test]
async fn key_revocation_may_end_earlier_sessions() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let struck = world
        .service
        .revoke_key(&kid_of(&pair.access), RevokedKeySessions::End, Actor::Operator)
        .await
        .expect("the key is revoked");
    assert_eq!(struck.seq, Some(world.head().await));
    let refused = world.refresh(&pair.refresh).await;
    assert_eq!((refused.status, refused.reason().as_deref()), (401, Some("key_removed")));
    world.assert_dead(&pair).await;
    world.assert_live(&world.sign_in("dana").await).await;
}

#[tokio::test]
async fn next_keys_replace_revoked_keys() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let next = rotate(&world, Takeover::Announced).await;
    assert_eq!(strike(&world, &kid_of(&pair.access)).await, Some(next.clone()));
    assert_eq!(kid_of(&world.refresh(&pair.refresh).await.pair().access), next);
}

#[tokio::test]
async fn revoking_retired_keys_keeps_the_signing_key() {
    let world = World::open().await;
    let old = world.sign_in("dana").await;
    let now = rotate(&world, Takeover::Now).await;
    let new = world.sign_in("dana").await;
    assert_eq!(strike(&world, &kid_of(&old.access)).await, Some(now.clone()));
    assert_eq!(world.me(&old.access).await.status, 401);
    world.assert_live(&new).await;
    assert_eq!(published(&world).await, [now.to_string()]);
}

#[tokio::test]
async fn sliding_tokens_of_revoked_keys_are_only_exchanged() {
    let mut plan = Plan::default();
    plan.policy.tokens.accepted = vec![TokenType::Sliding];
    let world = World::planned(plan).await;
    let body = json!({ "username": "dana", "password": PASSWORD });
    let token = world.send(Call::post("/api/token/sliding/").json(&body)).await.json()["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    assert_eq!(world.me(&token).await.status, 200);
    let signs = strike(&world, &kid_of(&token)).await.expect("another one signs");
    assert_eq!(world.me(&token).await.status, 401);
    let renewed =
        world.send(Call::post("/api/token/sliding/refresh/").json(&json!({ "token": token }))).await.json();
    let renewed = renewed["token"].as_str().expect("a token").to_owned();
    assert_eq!((kid_of(&renewed), world.me(&renewed).await.status), (signs, 200));
}

#[tokio::test]
async fn configured_keys_are_rotated_only_by_settings() {
    let world = World::planned(shared()).await;
    let refused = world.service.rotate_key(Takeover::Now, Actor::Operator).await;
    assert_eq!(refused, Err(KeyChangeFault::Refused(KeyRefusal::NamedBySettings)));
    world.wait(secs(400 * DAY));
    tend(&world).await;
    assert_eq!(states(&world).await, [KeyState::Current]);
}

/// Without a signing key no token is used up.
#[tokio::test]
async fn missing_signing_keys_use_up_no_tokens() {
    let world = World::planned(shared()).await;
    let pair = world.sign_in("dana").await;
    let djangos = djangos();
    assert_eq!(world.me(&djangos).await.status, 200);
    assert_eq!(strike(&world, &kid_of(&pair.access)).await, None);
    let refused = world.attempt("dana", PASSWORD).await;
    insta::assert_snapshot!(refused.brief(), @r#"503 {"detail":"The service has no key to sign with.","code":"no_signing_key"}"#);
    assert_eq!(refused.header("retry-after"), Some("60"));
    insta::assert_snapshot!(world.refresh(&pair.refresh).await.brief(), @r#"503 {"detail":"The service has no key to sign with.","code":"no_signing_key"}"#);
    assert_eq!(world.me(&djangos).await.status, 401, "a revocation ends both uses of a secret");
    assert_eq!(world.me(&pair.access).await.status, 401);
    // A secret is the same key with any algorithm.
    let other_use = Plan { algorithm: Algorithm::Hs384, ..shared() };
    assert!(matches!(world.tried_again(other_use).await, Err(StartError::RevokedKey)));
}

#[tokio::test]
async fn starting_with_a_revoked_key_is_refused() {
    let world = World::planned(shared()).await;
    let pair = world.sign_in("dana").await;
    strike(&world, &kid_of(&pair.access)).await;
    let world = world
        .reopened(Plan {
            signing: Some(b"another secret that nobody has seen, and of many bytes, too".to_vec()),
            ..shared()
        })
        .await;
    world.assert_live(&world.refresh(&pair.refresh).await.pair()).await;
    let world = world.reopened(Plan { algorithm: Algorithm::EdDsa, signing: None, ..shared() }).await;
    assert_eq!(world.me(&djangos()).await.status, 401);
    assert!(matches!(world.tried_again(shared()).await, Err(StartError::RevokedKey)));
}

/// A key that can't be stored isn't activated.
#[tokio::test]
async fn unavailable_stores_rotate_no_keys() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.store.break_part(Part::Writes, FaultyStore::away());
    let failed = world.service.rotate_key(Takeover::Now, Actor::Operator).await;
    assert!(matches!(failed, Err(KeyChangeFault::Failed(_))), "{failed:?}");
    let failed =
        world.service.revoke_key(&kid_of(&pair.access), RevokedKeySessions::Continue, Actor::Operator).await;
    assert!(matches!(failed, Err(KeyChangeFault::Failed(_))), "{failed:?}");
    world.store.mend();
    world.assert_live(&pair).await;
    assert_eq!(kid_of(&world.sign_in("dana").await.access), kid_of(&pair.access));
    assert_eq!(published(&world).await.len(), 1);
}

/// After any failure nothing is signed with a key that may have been revoked.
#[tokio::test]
async fn uncertain_key_state_signs_nothing() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.store.break_after_write();
    let failed =
        world.service.revoke_key(&kid_of(&pair.access), RevokedKeySessions::Continue, Actor::Operator).await;
    assert!(matches!(failed, Err(KeyChangeFault::Failed(_))), "{failed:?}");
    world.store.mend();
    assert_eq!(world.attempt("dana", PASSWORD).await.json()["code"], "no_signing_key");
    tend(&world).await;
    let renewed = world.refresh(&pair.refresh).await.pair();
    assert_ne!(kid_of(&renewed.access), kid_of(&pair.access));
    world.assert_live(&renewed).await;
}

/// The kids of an access token and a refresh token.
async fn kids(world: &World) -> (Kid, Kid) {
    let pair = world.sign_in("dana").await;
    (kid_of(&pair.access), kid_of(&pair.refresh))
}

#[tokio::test]
async fn published_keys_verify_no_refresh_token() {
    let world = World::open().await;
    let (access, refresh) = kids(&world).await;
    assert_eq!(published(&world).await, [access.as_str()]);
    assert_ne!(access, refresh);
    let pair = world.sign_in("dana").await;
    let ring = KeyRing::new(1, world.service.guard().ring().own().cloned().collect());
    let judged = |token: &str| Unverified::parse(token).expect("a JWS").verify(&ring).map(drop);
    assert_eq!((judged(&pair.access), judged(&pair.refresh)), (Ok(()), Err(Invalid::Key)));
    assert_eq!(world.me(&pair.refresh).await.status, 401);
    // Sliding tokens are access tokens, too.
    let sliding = world
        .send(Call::post("/api/token/sliding/").json(&json!({ "username": "dana", "password": PASSWORD })))
        .await;
    assert_eq!(kid_of(sliding.json()["token"].as_str().expect("a token")), access);
    // The key survives a restart, and the rotation of the other key.
    let world = world.reopened(Plan::default()).await;
    world.service.rotate_key(Takeover::Now, Actor::Operator).await.expect("a key");
    let (next, same) = kids(&world).await;
    assert!(next != access && same == refresh);
    let next = world.refresh(&pair.refresh).await.pair();
    world.assert_live(&next).await;
}

#[tokio::test]
async fn refresh_tokens_of_both_formats_are_accepted() {
    let like_access = || Plan { refresh_tokens: RefreshSigning::LikeAccess, ..Plan::default() };
    let shared = || Plan { algorithm: Algorithm::Hs256, ..Plan::default() };
    let plans: [(&dyn Fn() -> Plan, bool); 5] = [
        (&like_access, true),
        (&Plan::default, false),
        (&shared, true),
        (&Plan::default, false),
        (&like_access, true),
    ];
    let mut world = World::planned(like_access()).await;
    let mut pair = world.sign_in("dana").await;
    for (n, (plan, same)) in plans.into_iter().enumerate() {
        world = world.reopened(plan()).await;
        assert_eq!(world.verify(&pair.refresh).await.status, 200, "{n}");
        pair = world.refresh(&pair.refresh).await.pair();
        world.assert_live(&pair).await;
        assert_eq!(kid_of(&pair.access) == kid_of(&pair.refresh), same, "{n}");
    }
}

#[tokio::test]
async fn revoked_signing_keys_keep_refresh_tokens() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world
        .service
        .revoke_key(&kid_of(&pair.access), RevokedKeySessions::Continue, Actor::Operator)
        .await
        .expect("the key is revoked");
    assert_eq!(world.me(&pair.access).await.status, 401);
    let refused =
        world.service.revoke_key(&kid_of(&pair.refresh), RevokedKeySessions::Continue, Actor::Operator).await;
    assert!(matches!(refused, Err(KeyChangeFault::Refused(KeyRefusal::Unknown))));
    let next = world.refresh(&pair.refresh).await.pair();
    world.assert_live(&next).await;
}
