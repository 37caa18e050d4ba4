//! Tokens of a namespace: the server checks them as verifiers do, and announces their keys.

use std::sync::Arc;

use quash_core::model::Right;
use quash_service::{FetchKeys, ForeignKeys, ForeignSetup};
use serde_json::json;

use super::support::{Call, Plan, World, claims, secs};
use super::{Address, ask, django, key, minted, namespace, plan, published, said, shared};

fn planned(keys: ForeignKeys) -> Plan {
    let mut plan = plan(ForeignSetup { namespace: Some(namespace()), ..django(keys) });
    plan.policy.tokens.namespaces = vec![namespace()];
    plan
}

#[tokio::test]
async fn named_revocations_cover_every_type_of_token() {
    const GONE: &str = r#"200 {"active":false}"#;
    let world = World::planned(planned(shared())).await;
    let rights = [Right::Introspect, Right::Revoke].into_iter().collect();
    let (_, secret) = world.service.add_client("partner", rights, None).await.expect("a client");
    let secret = secret.into_text();
    let of = |token_type: &str, jti: &str, session: &str| {
        let mut said = said(token_type, "dana", jti);
        said["qsid"] = json!(session);
        minted(&said)
    };
    let ended = [of("access", "a", "one"), of("refresh", "b", "one")];
    let others = [of("access", "c", "two"), of("refresh", "d", "two")];
    for token in ended.iter().chain(&others) {
        assert_eq!(world.verify(token).await.status, 200);
        assert!(ask(&world, &secret, "introspect", token).await.starts_with(r#"200 {"active":true"#));
    }
    let revoke = json!({ "namespace": "partner", "revocations": [{ "session": "one" }] });
    assert_eq!(world.send(Call::post("/v1/revocations").json(&revoke).bearer(&secret)).await.status, 200);
    for token in &ended {
        assert_eq!(world.verify(token).await.status, 401);
        assert_eq!(ask(&world, &secret, "introspect", token).await, GONE);
    }
    for token in &others {
        assert_eq!(world.verify(token).await.status, 200);
        assert!(ask(&world, &secret, "introspect", token).await.starts_with(r#"200 {"active":true"#));
    }
    for name in ["sid", "rsq", "gen"] {
        let mut said = said("access", "dana", "e");
        said[name] = json!(1);
        assert_eq!(world.verify(&minted(&said)).await.status, 401, "{name}");
    }
}

#[tokio::test]
async fn fetched_keys_are_announced_to_verifiers() {
    let (one, two) = (key(1), key(2));
    let address = Arc::new(Address::default());
    address.tell(published(&[&one]));
    let keys = ForeignKeys::Address("https://auth.example/jwks".into());
    let fetch = Arc::clone(&address) as Arc<dyn FetchKeys>;
    let world = World::planned(Plan { fetch, ..planned(keys) }).await;
    let signed =
        |jti: &str| two.sign(said("access", "dana", jti).to_string().as_bytes()).expect("a signature");
    let announced = || {
        let none: [Vec<u8>; 0] = [];
        let found = world.service.feed_policy().namespace_keys("partner", &none, &[]);
        found.expect("readable").expect("the namespace").keys.len()
    };
    assert_eq!(world.verify(&signed("a")).await.status, 401);
    assert_eq!(announced(), 1);
    let before = world.service.feed_policy();
    address.tell(published(&[&one, &two]));
    world.wait(secs(10));
    assert_eq!(world.verify(&signed("b")).await.status, 200);
    assert_eq!(announced(), 2);
    assert!(world.service.feed_policy() != before, "readers of the feed get it again");
}

#[tokio::test]
async fn adoption_drops_claims_of_the_issuers_sessions() {
    let dropped = vec!["qsid".to_owned(), "qsq".to_owned()];
    let world = World::planned(plan(ForeignSetup { dropped, ..django(shared()) })).await;
    let mut old = said("refresh", "dana", "one");
    (old["qsid"], old["qsq"], old["plan"]) = (json!("f0c1"), json!(5), json!("gold"));
    let adopted = world.refresh(&minted(&old)).await.pair();
    for token in [&adopted.access, &adopted.refresh] {
        let said = claims(token);
        assert_eq!(
            (&said["qsid"], &said["qsq"], &said["plan"]),
            (&json!(null), &json!(null), &json!("gold"))
        );
    }
}
