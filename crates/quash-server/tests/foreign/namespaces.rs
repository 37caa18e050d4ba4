//! Tokens of a namespace: the server checks them as verifiers do, and announces their keys.

use std::sync::Arc;

use quash_core::model::Right;
use quash_service::{FetchKeys, ForeignKeys, ForeignSetup};
use serde_json::json;

use super::support::{Call, Plan, START, World, claims, secs};
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

/// Blacklisting a refresh token, and a client's revocation of any token, end the session that the token names.
#[tokio::test]
async fn ended_tokens_end_their_session_in_the_namespace() {
    let world = World::planned(planned(shared())).await;
    let rights = [Right::Introspect, Right::Revoke].into_iter().collect();
    let (_, secret) = world.service.add_client("partner", rights, None).await.expect("a client");
    let secret = secret.into_text();
    let of = |token_type: &str, jti: &str, session: Option<&str>| {
        let mut said = said(token_type, "dana", jti);
        if let Some(session) = session {
            said["qsid"] = json!(session);
        }
        minted(&said)
    };
    let refresh = of("refresh", "a", Some("one"));
    let (access, second) = (of("access", "b", Some("one")), of("refresh", "c", Some("one")));
    assert_eq!(world.verify(&access).await.status, 200);
    assert_eq!(world.post("/api/token/blacklist/", &json!({ "refresh": refresh })).await.status, 200);
    for token in [&refresh, &access, &second] {
        assert_eq!(world.verify(token).await.status, 401);
    }
    for token in [&refresh, &second] {
        let repeated = world.post("/api/token/blacklist/", &json!({ "refresh": token })).await;
        assert_eq!(repeated.status, 401, "its session has ended");
    }
    let names =
        json!({ "namespace": "partner", "session": "one", "issued_at": START, "expires_at": START + 300 });
    let known = world.send(Call::post("/v1/revocations/query").json(&names).bearer(&secret)).await;
    assert_eq!(known.json()["revoked"], json!(true), "{known}");
    let (access, refresh) = (of("access", "d", Some("two")), of("refresh", "e", Some("two")));
    assert_eq!(ask(&world, &secret, "revoke", &access).await, "200 {}");
    assert_eq!(ask(&world, &secret, "revoke", &access).await, "200 {}", "again");
    assert_eq!(world.verify(&refresh).await.status, 401);
    // Without the claim, only the token ends.
    let (access, refresh) = (of("access", "f", None), of("refresh", "g", None));
    assert_eq!(world.post("/api/token/blacklist/", &json!({ "refresh": refresh })).await.status, 200);
    assert_eq!((world.verify(&refresh).await.status, world.verify(&access).await.status), (401, 200));
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
        let found = world.service.feed_policy().expect("a policy").namespace_keys("partner", &none, &[]);
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
