//! An account's custom claims: the claims in tokens, and the fate of older tokens after a change.

use crate::support;

use quash_core::decide::{ChangeAuthor, edit_account};
use quash_core::model::{
    AccountBy, AccountEdit, AccountFields, Actor, Change, ClaimsChange, Clock, CustomClaims, EndCause,
    RotationPolicy,
};
use quash_store::Store;
use serde_json::json;

use support::{Pair, Plan, World, claims, secs, subject};

/// The change that gives dana this role, as an operator's command makes it.
async fn role(world: &World, role: &str) -> AccountEdit {
    let loaded =
        world.store.account(&AccountBy::Subject(subject("dana")), world.clock.now()).await.expect("a read");
    let claims = CustomClaims::parse(&json!({ "role": role }).to_string()).expect("claims");
    let fields = AccountFields { claims: Some(claims), ..AccountFields::default() };
    let (account, policy, scopes) =
        (loaded.account.expect("dana"), world.service.policy(), world.service.guard().scopes());
    edit_account(
        &account,
        EndCause::ClaimsChanged,
        fields,
        ChangeAuthor::from(Actor::Operator),
        policy,
        scopes,
        world.clock.now(),
    )
}

async fn give(world: &World, name: &str) {
    let edit = role(world, name).await;
    if let Some(seq) = world.store.commit(Change::EditAccount(Box::new(edit))).await.expect("a receipt").seq {
        world.service.guard().caught_up(seq, secs(5)).await.expect("a guard that follows");
    }
}

fn said(pair: &Pair) -> [serde_json::Value; 2] {
    [claims(&pair.access)["role"].clone(), claims(&pair.refresh)["role"].clone()]
}

#[tokio::test]
async fn new_roles_end_access_tokens_until_refresh() {
    let world = World::open().await;
    give(&world, "editor").await;
    let pair = world.sign_in("dana").await;
    assert_eq!(said(&pair), ["editor", "editor"]);
    let names =
        claims(&pair.access).as_object().expect("claims").keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names, "token_type exp iat jti user_id sid rsq role");
    give(&world, "reader").await;
    assert_eq!(world.me(&pair.access).await.status, 401);
    let next = world.refresh(&pair.refresh).await.pair();
    assert_eq!(said(&next), ["reader", "reader"]);
    assert_eq!(
        (claims(&next.access)["sid"].clone(), claims(&next.refresh)["gen"].clone()),
        (claims(&pair.access)["sid"].clone(), json!(1))
    );
    world.assert_live(&next).await;
}

#[tokio::test]
async fn with_wait_access_tokens_stay_valid_until_expiry() {
    let mut plan = Plan::default();
    plan.policy.accounts.claims_change = ClaimsChange::Wait;
    let world = World::planned(plan).await;
    let pair = world.sign_in("dana").await;
    let head = world.head().await;
    give(&world, "reader").await;
    assert_eq!(world.head().await, head);
    world.assert_live(&pair).await;
    assert_eq!(said(&world.refresh(&pair.refresh).await.pair()), ["reader", "reader"]);
}

#[tokio::test]
async fn refreshes_concurrent_with_role_changes_yield_valid_tokens() {
    for (rotate, blacklist) in [(true, true), (true, false), (false, false)] {
        let mut plan = Plan::rotating(rotate, blacklist);
        // Retrying with the parent would end the session.
        plan.policy.rotation = RotationPolicy { grace: secs(0), ..plan.policy.rotation };
        let world = World::planned(plan).await;
        give(&world, "admin").await;
        let pair = world.sign_in("dana").await;
        let taken_away = role(&world, "reader").await;
        world.store.meanwhile(Change::EditAccount(Box::new(taken_away)), world.service.guard().clone());
        let answer = world.refresh(&pair.refresh).await;
        assert_eq!(answer.status, 200, "{answer}");
        let access = answer.json()["access"].as_str().expect("a token").to_owned();
        assert_eq!(claims(&access)["role"], "reader");
        assert_eq!(world.me(&access).await.status, 200);
        if rotate {
            assert_eq!(claims(&answer.pair().refresh)["gen"], 1);
            world.assert_live(&world.refresh(&answer.pair().refresh).await.pair()).await;
        }
    }
}

#[tokio::test]
async fn grace_retries_during_role_changes_yield_valid_tokens() {
    let world = World::open().await;
    give(&world, "admin").await;
    let pair = world.sign_in("dana").await;
    let first = world.refresh(&pair.refresh).await.pair();
    let taken_away = role(&world, "reader").await;
    world.store.meanwhile(Change::EditAccount(Box::new(taken_away)), world.service.guard().clone());
    let again = world.refresh(&pair.refresh).await.pair();
    assert_eq!(
        (said(&again), claims(&again.refresh)["jti"].clone()),
        (["reader".into(), "reader".into()], claims(&first.refresh)["jti"].clone())
    );
    world.assert_live(&again).await;
}

#[tokio::test]
async fn refreshes_of_sessions_ended_meanwhile_fail() {
    for (rotate, blacklist) in [(true, true), (false, false)] {
        let world = World::planned(Plan::rotating(rotate, blacklist)).await;
        let pair = world.sign_in("dana").await;
        let loaded = world
            .store
            .account(&AccountBy::Subject(subject("dana")), world.clock.now())
            .await
            .expect("a read");
        let (account, policy, scopes) =
            (loaded.account.expect("dana"), world.service.policy(), world.service.guard().scopes());
        let ends = edit_account(
            &account,
            EndCause::PasswordReset,
            AccountFields::default(),
            Actor::Owner.into(),
            policy,
            scopes,
            world.clock.now(),
        );
        world.store.meanwhile(Change::EditAccount(Box::new(ends)), world.service.guard().clone());
        let answer = world.refresh(&pair.refresh).await;
        assert_eq!((answer.status, answer.reason().as_deref()), (401, Some("password_reset")), "{answer}");
    }
}
