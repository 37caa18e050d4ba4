//! Nodes with other settings: which of them may differ, who changes the others, and what becomes of the nodes that
//! didn't.

use crate::support;

use quash_core::decide::ChangeAuthor;
use quash_core::model::{Actor, EndCause, Right, UserIdField, UserIdType};
use quash_core::token::Algorithm;
use quash_service::{ChangeFault, Failure, StartError};
use quash_store::Store;
use serde_json::json;
use support::{Call, Pair, Plan, World, secs, subject};

const DAY: u64 = 86_400;

/// The first node, with the accounts dana and noor.
async fn first_node(plan: Plan) -> World {
    World::planned(Plan { node: Some(std::sync::Arc::default()), ..plan }).await
}

/// Changes a setting.
type ChangePlan = fn(&mut Plan);

/// Changes a default plan.
fn plan(change: ChangePlan) -> Plan {
    let mut plan = Plan::default();
    change(&mut plan);
    plan
}

/// The key that signed a pair.
fn kid(pair: &Pair) -> String {
    crate::nodes::kid(&pair.access)
}

#[tokio::test]
async fn nodes_accept_longer_lifetimes_of_another_node() {
    let one = first_node(Plan::default()).await;
    let longer = plan(|plan| {
        plan.policy.tokens.access_lifetime = secs(2 * DAY);
        plan.policy.tokens.refresh_lifetime = secs(30 * DAY);
    });
    let other = one.another_node(longer).await.expect("a node");
    let rights = [Right::Introspect, Right::Revoke].into_iter().collect();
    let (_, secret) = one.service.add_client("shop", rights, None).await.expect("a client");
    let secret = secret.into_text().to_string();
    let at_client = |path: &str, token: &str| {
        let body = format!("token={token}");
        one.send(Call::post(path).body("application/x-www-form-urlencoded", body).bearer(&secret))
    };

    let pair = other.sign_in("dana").await;
    one.assert_live(&pair).await;
    for token in [&pair.access, &pair.refresh] {
        let introspected = at_client("/oauth2/introspect", token).await;
        assert_eq!(introspected.json()["active"], json!(true), "{introspected}");
    }
    assert_eq!(one.refresh(&pair.refresh).await.status, 200);

    // Each way to end it.
    let pair = other.sign_in("dana").await;
    assert_eq!(one.log_out(&pair.access, &pair.refresh).await.status, 200);
    other.assert_dead(&pair).await;
    let pair = other.sign_in("dana").await;
    assert_eq!(one.blacklist(&pair.refresh).await.status, 200);
    other.assert_dead(&pair).await;
    for is_refresh in [false, true] {
        let pair = other.sign_in("dana").await;
        let token = if is_refresh { &pair.refresh } else { &pair.access };
        assert_eq!(at_client("/oauth2/revoke", token).await.status, 200);
        assert_eq!(other.me(&pair.access).await.status, 401, "{is_refresh}");
    }
}

#[tokio::test]
async fn settings_that_define_tokens_are_equal_at_all_nodes() {
    let cases: [(&str, ChangePlan); 6] = [
        ("tokens.user_id_field", |plan| plan.policy.tokens.names.user_id_field = UserIdField::Username),
        ("tokens.user_id_type", |plan| plan.policy.tokens.names.user_id_type = UserIdType::Integer),
        ("tokens.issuer", |plan| plan.policy.tokens.issuer = Some("https://id.example.org".into())),
        ("tokens.token_type_claim", |plan| plan.policy.tokens.names.token_type = "typ".into()),
        ("tokens.jti_claim", |plan| plan.policy.tokens.names.jti = "id".into()),
        ("tokens.user_id_claim", |plan| plan.policy.tokens.names.user_id = "uid".into()),
    ];
    let one = first_node(Plan::default()).await;
    for (setting, change) in cases {
        let refused = one.another_node(plan(change)).await.err();
        assert!(
            matches!(&refused, Some(StartError::OtherSettings { name, .. }) if *name == setting),
            "{setting}: {refused:?}"
        );
    }
    // No refused start has changed anything.
    one.assert_live(&one.sign_in("dana").await).await;
}

#[tokio::test]
async fn other_settings_may_differ_between_nodes() {
    let cases: [(&str, ChangePlan); 7] = [
        ("access_lifetime", |plan| plan.policy.tokens.access_lifetime = secs(60)),
        ("refresh_lifetime", |plan| plan.policy.tokens.refresh_lifetime = secs(60 * DAY)),
        ("leeway", |plan| plan.policy.tokens.leeway = secs(30)),
        ("rotation", |plan| plan.policy.rotation.rotate = false),
        ("grace", |plan| plan.policy.rotation.grace = secs(1)),
        ("failures", |plan| plan.policy.lockout.failures = 3),
        ("max_per_account", |plan| plan.policy.sessions.max_per_account = 3),
    ];
    for (setting, change) in cases {
        let one = first_node(Plan::default()).await;
        let pair = one.sign_in("dana").await;
        let other = one.another_node(plan(change)).await.unwrap_or_else(|error| panic!("{setting}: {error}"));
        other.assert_live(&pair).await;
        one.assert_live(&other.sign_in("dana").await).await;
    }
}

#[tokio::test]
async fn starts_and_commands_keep_the_key_that_nodes_sign_with() {
    let cases: [fn(&mut Plan); 2] = [
        |plan| plan.algorithm = Algorithm::Es256,
        |plan| {
            plan.algorithm = Algorithm::Hs256;
            plan.signing = Some(vec![7; 32]);
        },
    ];
    for change in cases {
        let one = first_node(Plan::default()).await;
        let before = one.sign_in("dana").await;
        let other = one.another_node(plan(change)).await.expect("a node");
        assert_eq!(kid(&other.sign_in("dana").await), kid(&before));
        assert_eq!(kid(&one.sign_in("dana").await), kid(&before));
        assert_eq!(one.store.keys().await.expect("keys").len(), 1, "it has added none");
        // Only a node that is told to applies its settings.
        let applied = Plan { applies_settings: true, ..plan(change) };
        let other = one.another_node(applied).await.expect("a node");
        let after = other.sign_in("dana").await;
        assert_ne!(kid(&after), kid(&before));
        assert_eq!(kid(&one.sign_in("dana").await), kid(&after), "at the very next request");
        one.assert_live(&after).await;
        other.assert_live(&before).await;
    }
}

#[tokio::test]
async fn nodes_with_earlier_settings_decide_and_write_nothing() {
    let one = first_node(Plan::default()).await;
    let before = one.sign_in("dana").await;
    let ready = async |node: &World| node.send(Call::get("/readyz")).await.status;
    let mut applied = plan(|plan| plan.policy.tokens.issuer = Some("https://id.example.org".into()));
    applied.applies_settings = true;
    let other = one.another_node(applied).await.expect("a node");
    let pair = other.sign_in("dana").await;

    for refused in [
        one.me(&pair.access).await,
        one.me(&before.access).await,
        one.refresh(&pair.refresh).await,
        one.log_out(&pair.access, &pair.refresh).await,
        one.attempt("dana", support::PASSWORD).await,
    ] {
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{refused}");
    }
    // Its entry would name users as no token does any more.
    let (written, head) = (one.store.written(), one.head().await);
    let ended = one.service.end_account(&subject("dana"), EndCause::LogOutEverywhere, Actor::Operator).await;
    assert!(matches!(ended, Err(Failure::Unavailable(_))), "{ended:?}");
    let deleted = one.service.delete(&subject("noor"), ChangeAuthor::from(Actor::Operator)).await;
    assert!(matches!(deleted, Err(ChangeFault::Failed(_))), "{deleted:?}");
    assert_eq!((one.store.written(), one.head().await), (written, head));
    assert_eq!((ready(&one).await, ready(&other).await), (503, 200));
    other.assert_live(&pair).await;
}
