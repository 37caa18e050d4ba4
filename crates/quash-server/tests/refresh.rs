//! Refresh: one winner, the same successor for a timely retry, and the end of the session for a replay.

use crate::support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quash_core::decide::Device;
use quash_core::model::{Generation, ScopeKind, Timestamp};
use quash_core::token::{Algorithm, Issued};
use quash_service::DeviceTokenInput;
use serde_json::json;

use support::{Plan, World, claims, kinds, millis, secs};

fn jti(token: &str) -> String {
    claims(token)["jti"].as_str().expect("a jti").to_owned()
}

#[tokio::test]
async fn refreshes_return_pairs_and_keep_access_tokens() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    world.wait(secs(60));
    let answer = world.refresh(&first.refresh).await;
    insta::assert_snapshot!(answer, @r#"
    200
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS

    {"access":"<access>","refresh":"<refresh>"}
    "#);
    let second = answer.pair();
    world.assert_live(&second).await;
    assert_eq!(world.me(&first.access).await.status, 200, "an access token outlives the rotation");
    let (before, after) = (claims(&first.refresh), claims(&second.refresh));
    assert_eq!(
        (&after["sid"], &after["gen"], &after["iat"]),
        (&before["sid"], &json!(1), &json!(support::START + 60))
    );
    assert_eq!(after["exp"], json!(support::START + 60 + 86_400));
    assert_ne!(before["jti"], after["jti"]);
    insta::assert_snapshot!(world.verify(&first.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a33_concurrent_refreshes_get_the_same_successor() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Hs256] {
        let world = Arc::new(World::planned(Plan { algorithm, ..Plan::default() }).await);
        let mut current = world.sign_in("dana").await.refresh;
        for round in 1..=20 {
            let presented: Vec<_> = (0..16)
                .map(|_| {
                    let (world, token) = (Arc::clone(&world), current.clone());
                    tokio::spawn(async move { world.refresh(&token).await.pair() })
                })
                .collect();
            let mut successors = BTreeSet::new();
            for answer in presented {
                successors.insert(answer.await.expect("a refresh").refresh);
            }
            assert_eq!(successors.len(), 1, "byte for byte");
            assert_eq!(world.sessions("dana").await[0].generation, Generation(round));
            current = successors.into_iter().next().expect("a successor");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a33_without_grace_one_refresh_wins() {
    let mut plan = Plan::default();
    plan.policy.rotation.grace = Duration::ZERO;
    let world = Arc::new(World::planned(plan).await);
    let first = world.sign_in("dana").await;
    let presented: Vec<_> = (0..16)
        .map(|_| {
            let (world, token) = (Arc::clone(&world), first.refresh.clone());
            tokio::spawn(async move { world.refresh(&token).await })
        })
        .collect();
    let mut won = Vec::new();
    for answer in presented {
        won.extend(Some(answer.await.expect("a refresh")).filter(|answer| answer.status == 200));
    }
    assert_eq!(won.len(), 1);
    world.assert_dead(&won[0].pair()).await;
    assert_eq!(kinds(&*world.store).await, [ScopeKind::Session]);
}

#[tokio::test]
async fn a34_reuse_after_the_grace_ends_the_session() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let second = world.refresh(&first.refresh).await.pair();
    let other = world.sign_in("dana").await;
    world.wait(secs(30));
    insta::assert_snapshot!(world.refresh(&first.refresh).await, @r#"
    401
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    www-authenticate: Bearer realm="api"

    {"detail":"Token is blacklisted","code":"token_not_valid","reason":"reuse"}
    "#);
    insta::assert_snapshot!(world.refresh(&second.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"reuse"}"#);
    insta::assert_snapshot!(world.verify(&second.access).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"reuse"}"#);
    world.assert_dead(&first).await;
    world.assert_dead(&second).await;
    world.assert_live(&other).await;
    assert_eq!(kinds(&*world.store).await, [ScopeKind::Session], "it ended once");
}

#[tokio::test]
async fn a34_grace_ends_exactly() {
    for (waited, status) in [(millis(29_999), 200), (millis(30_000), 401)] {
        let world = World::open().await;
        let first = world.sign_in("dana").await;
        world.refresh(&first.refresh).await.pair();
        world.wait(waited);
        assert_eq!(world.refresh(&first.refresh).await.status, status, "{waited:?}");
    }
}

#[tokio::test]
async fn a35_grandparent_reuse_ends_the_session() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let second = world.refresh(&first.refresh).await.pair();
    let third = world.refresh(&second.refresh).await.pair();
    insta::assert_snapshot!(world.refresh(&first.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"reuse"}"#);
    for pair in [first, second, third] {
        world.assert_dead(&pair).await;
    }
}

#[tokio::test]
async fn a36_thief_and_owner_lose_the_session_together() {
    let world = World::open().await;
    let shared = world.sign_in("dana").await;
    let thief = world.refresh(&shared.refresh).await.pair();
    let owner = world.refresh(&shared.refresh).await.pair();
    assert_eq!(thief.refresh, owner.refresh, "there is no second branch");
    let thief_next = world.refresh(&thief.refresh).await.pair();
    world.wait(secs(31));
    assert_eq!(world.refresh(&owner.refresh).await.reason().as_deref(), Some("reuse"));
    for pair in [shared, thief, owner, thief_next] {
        world.assert_dead(&pair).await;
    }
}

#[tokio::test]
async fn a37_lost_responses_are_repeated() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let lost = world.refresh(&first.refresh).await.pair();
    world.wait(millis(12_345));
    let before = world.sessions("dana").await;
    let again = world.refresh(&first.refresh).await.pair();
    assert_eq!((&again.refresh, jti(&again.refresh)), (&lost.refresh, jti(&lost.refresh)));
    assert_ne!(again.access, lost.access, "the access token is a fresh one");
    assert_eq!(world.sessions("dana").await, before, "nothing is written");
    world.assert_live(&again).await;
    world.refresh(&again.refresh).await.pair();
}

#[tokio::test]
async fn a37_repeated_successors_keep_their_identity() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let lost = world.refresh(&first.refresh).await.pair();
    world.end_all("noor").await;
    let again = world.refresh(&first.refresh).await.pair();
    let (lost, again) = (claims(&lost.refresh), claims(&again.refresh));
    for name in ["sid", "gen", "jti", "iat", "exp"] {
        assert_eq!(lost[name], again[name], "{name}");
    }
    assert!(again["rsq"].as_u64() > lost["rsq"].as_u64());
}

#[tokio::test]
async fn a38_only_refresh_tokens_refresh() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    insta::assert_snapshot!(world.refresh(&pair.access).await.brief(), @r#"401 {"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.refresh("garbage").await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.refresh("a.b.c").await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.blacklist(&pair.access).await.brief(), @r#"401 {"detail":"Token has wrong type","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.me(&pair.refresh).await.brief(), @r#"401 {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token has wrong type","code":"token_not_valid"}"#);
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn a38_stolen_signing_keys_cannot_forge_refresh_tokens() {
    let world = World::open().await;
    let (dana, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let second = world.refresh(&dana.refresh).await.pair();
    let noors = claims(&noor.refresh);
    for replaced in [
        json!({ "jti": "0123456789abcdef0123456789abcdef" }),
        json!({ "jti": jti(&second.refresh).to_uppercase() }),
        json!({ "jti": "x" }),
        json!({ "sid": noors["sid"] }),
        json!({ "sid": noors["sid"], "jti": noors["jti"], "gen": 1 }),
        json!({ "gen": 0 }),
        json!({ "gen": 2 }),
        json!({ "gen": u32::MAX }),
        json!({ "sid": "00000000000000000000000000000000" }),
        json!({ "rsq": 1_u64 << 50 }),
        json!({ "token_type": "sliding" }),
    ] {
        let forged = world.forge(&second.refresh, &replaced);
        assert_eq!(world.refresh(&forged).await.status, 401, "{replaced}");
        assert_eq!(world.blacklist(&forged).await.status, 401, "{replaced}");
        assert_eq!(world.log_out(&second.access, &forged).await.status, 401, "{replaced}");
        assert_eq!(world.verify(&forged).await.status, 401, "{replaced}");
    }
    world.assert_live(&second).await;
    world.assert_live(&noor).await;
    assert_eq!(kinds(&*world.store).await, []);
}

#[tokio::test]
async fn a54_stolen_signing_keys_end_no_other_session() {
    let world = World::open().await;
    let (thief, noor) = (world.sign_in("dana").await, world.sign_in("noor").await);
    let noors = claims(&noor.access);
    let access = world.forge(&thief.access, &json!({ "sid": noors["sid"] }));
    assert_eq!(world.log_out(&access, &thief.refresh).await.status, 400);
    let access = world.forge(&thief.access, &json!({ "sid": noors["sid"], "user_id": "noor" }));
    let refresh = world.forge(&thief.refresh, &json!({ "user_id": "noor" }));
    assert_eq!(world.log_out(&access, &refresh).await.status, 400);
    world.assert_live(&noor).await;
    world.assert_live(&thief).await;
}

#[tokio::test]
async fn a39_deactivated_accounts_cannot_refresh() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.deactivate("dana").await;
    insta::assert_snapshot!(world.refresh(&pair.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"deactivated"}"#);
    world.assert_dead(&pair).await;
    world.put("dana", quash_core::model::AccountState::Active).await;
    world.assert_dead(&pair).await;
    world.assert_live(&world.sign_in("dana").await).await;
}

#[tokio::test]
async fn a41_rotations_extend_no_session_and_add_no_rows() {
    let (lifetime, step) = (secs(90 * 86_400), secs(12 * 60));
    let world = World::planned(Plan { algorithm: Algorithm::Hs256, ..Plan::default() }).await;
    let mut pair = world.sign_in("dana").await;
    let end = Timestamp::from_secs(support::START) + lifetime;
    // A database takes milliseconds for each.
    let rotations = if support::is_in_memory() { 10_000 } else { 1_000 };
    for _ in 0..rotations {
        world.wait(step);
        let next = world
            .service
            .refresh(&pair.refresh, &Device::default(), &DeviceTokenInput::Unsupported)
            .await
            .expect("a pair");
        let Issued::Both { access, refresh } = next else { panic!("a pair: {next:?}") };
        pair = support::Pair { access, refresh };
    }
    let sessions = world.sessions("dana").await;
    assert_eq!(
        (sessions.len(), sessions[0].generation, sessions[0].ends_at),
        (1, Generation(rotations), Some(end))
    );
    assert_eq!(kinds(&*world.store).await, []);
    let mut left = lifetime - step * rotations - secs(1);
    while left > Duration::ZERO {
        let stride = left.min(secs(80_000));
        world.wait(stride);
        left -= stride;
        pair = world.refresh(&pair.refresh).await.pair();
    }
    for token in [&pair.access, &pair.refresh] {
        assert_eq!(claims(token)["exp"], json!(end.as_secs()), "nothing holds longer than the session");
    }
    world.assert_live(&pair).await;
    world.wait(secs(1));
    insta::assert_snapshot!(world.refresh(&pair.refresh).await.brief(), @r#"401 {"detail":"Token is expired","code":"token_not_valid"}"#);
    world.assert_dead(&pair).await;
}

#[tokio::test]
async fn idle_sessions_expire_exactly() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.wait(millis(86_399_999));
    assert_eq!(world.verify(&pair.refresh).await.status, 200);
    world.wait(millis(1));
    insta::assert_snapshot!(world.refresh(&pair.refresh).await.brief(), @r#"401 {"detail":"Token is expired","code":"token_not_valid"}"#);
}

#[tokio::test]
async fn refreshes_without_rotation_return_only_access_tokens() {
    let mut told = BTreeSet::new();
    for blacklist in [true, false] {
        let world = World::planned(Plan::rotating(false, blacklist)).await;
        let pair = world.sign_in("dana").await;
        let before = world.sessions("dana").await;
        for _ in 0..3 {
            world.wait(secs(60));
            told.insert(world.refresh(&pair.refresh).await.brief());
        }
        assert_eq!(world.sessions("dana").await, before, "nothing is written");
        assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200);
        world.assert_dead(&pair).await;
    }
    insta::assert_snapshot!(told.into_iter().collect::<String>(), @r#"200 {"access":"<access>"}"#);
}

#[tokio::test]
async fn without_blacklisting_reused_tokens_get_the_current_one() {
    let world = World::planned(Plan::rotating(true, false)).await;
    let first = world.sign_in("dana").await;
    let second = world.refresh(&first.refresh).await.pair();
    let third = world.refresh(&second.refresh).await.pair();
    world.wait(secs(3600));
    for spent in [&first, &second] {
        assert_eq!(world.refresh(&spent.refresh).await.pair().refresh, third.refresh, "never a branch");
        assert_eq!(world.verify(&spent.refresh).await.status, 200);
    }
    assert_eq!(world.sessions("dana").await[0].generation, Generation(2));
    assert_eq!(world.blacklist(&first.refresh).await.status, 200, "any genuine generation logs out");
    world.assert_dead(&third).await;
}

#[tokio::test]
async fn tokens_ahead_of_the_store_end_the_session() {
    let world = World::open().await;
    let first = world.sign_in("dana").await;
    let old = world.sessions("dana").await[0].clone();
    let second = world.refresh(&first.refresh).await.pair();
    let third = world.refresh(&second.refresh).await.pair();
    // Another server over a store that holds the session as it was before both rotations.
    let restored = World::open().await;
    restored.sign_in("dana").await;
    assert_eq!(restored.sessions("dana").await, [old]);
    insta::assert_snapshot!(restored.refresh(&third.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"restored"}"#);
    assert_eq!(restored.refresh(&first.refresh).await.status, 401);
}

#[tokio::test]
async fn white_space_around_tokens_is_ignored() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.refresh(&format!(" {}\n", pair.refresh)).await.pair();
    let inside = pair.refresh.replacen('.', ". ", 1);
    assert_eq!(world.refresh(&inside).await.status, 401);
}
