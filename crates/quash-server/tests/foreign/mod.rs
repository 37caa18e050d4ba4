//! Tokens of other issuers over HTTP: those of a Django site that the users come from, with a shared secret
//! and with keys at an address.

mod accounts;
mod namespaces;

use crate::support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quash_core::model::{ForeignTokens, Namespace, NamespaceClaims, Right, Timestamp};
use quash_core::token::{Algorithm, Expected, KeyRing, SigningKey, TokenType};
use quash_service::{FetchFault, FetchKeys, ForeignKeys, ForeignSetup};
use serde_json::{Value, json};
use support::{Call, Plan, START, World, claims, secs};
use zeroize::Zeroizing;

const SECRET: &[u8] = b"a secret of a Django that nobody else has, of bytes";

fn django(keys: ForeignKeys) -> ForeignSetup {
    ForeignSetup {
        name: "django".into(),
        keys,
        max_lifetime: secs(30 * 86_400),
        namespace: None,
        dropped: Vec::new(),
        iss: Expected::Anything,
        aud: Expected::Anything,
    }
}

fn namespace() -> Namespace {
    Namespace {
        name: "partner".into(),
        max_lifetime: secs(30 * 86_400),
        accepted: vec!["access".into()],
        claims: NamespaceClaims { session: Some("qsid".into()), ..NamespaceClaims::default() },
    }
}

fn shared() -> ForeignKeys {
    ForeignKeys::Secret { algorithm: Algorithm::Hs256, secret: Zeroizing::new(SECRET.to_vec()), kid: None }
}

fn plan(foreign: ForeignSetup) -> Plan {
    let mut plan = Plan { foreign: vec![foreign], ..Plan::default() };
    plan.policy.tokens.foreign = ForeignTokens::Accept;
    plan
}

async fn world() -> World {
    World::planned(plan(django(shared()))).await
}

/// A token as Simple JWT mints it: without a kid.
fn minted(said: &Value) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&said.to_string()));
    let signature = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn said(token_type: &str, user: &str, jti: &str) -> Value {
    let lifetime = if token_type == "access" { 300 } else { 86_400 };
    json!({ "token_type": token_type, "exp": START + lifetime, "iat": START, "jti": jti, "user_id": user })
}

fn refresh_of(user: &str, jti: &str) -> String {
    minted(&said("refresh", user, jti))
}

#[tokio::test]
async fn first_refresh_adopts_the_token_and_claims() {
    let world = world().await;
    world.wait(secs(10));
    let mut claimed = said("refresh", "dana", "one");
    claimed["role"] = json!({ "of": ["staff", 7] });
    let old = minted(&claimed);
    assert_eq!(world.verify(&old).await.brief(), "200 {}");
    let adopted = world.refresh(&old).await.pair();
    let (access, refresh) = (claims(&adopted.access), claims(&adopted.refresh));
    assert_eq!(
        (&access["user_id"], &access["role"], &refresh["gen"]),
        (&json!("dana"), &claimed["role"], &json!(1))
    );
    world.assert_live(&adopted).await;
    // A retry after a lost response gets the same successor. Once the successor is used, a retry is reuse.
    let again = world.refresh(&old).await.pair();
    assert_eq!(again.refresh, adopted.refresh);
    let next = world.refresh(&adopted.refresh).await.pair();
    world.wait(secs(31));
    insta::assert_snapshot!(world.refresh(&old).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"reuse"}"#);
    world.assert_dead(&next).await;
    assert_eq!(world.sessions("dana").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refreshes_adopt_once() {
    let world = Arc::new(world().await);
    let old = refresh_of("dana", "one");
    let racing = [(); 16].map(|()| {
        let (world, old) = (Arc::clone(&world), old.clone());
        tokio::spawn(async move { world.refresh(&old).await.pair().refresh })
    });
    let mut successors = Vec::new();
    for race in racing {
        successors.push(race.await.expect("it is answered"));
    }
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(world.sessions("dana").await.len(), 1);
}

#[tokio::test]
async fn foreign_tokens_are_refused_without_a_setting() {
    let mut plan = plan(django(shared()));
    plan.policy.tokens.foreign = ForeignTokens::Reject;
    let world = World::planned(plan).await;
    let (old, access) = (refresh_of("dana", "one"), minted(&said("access", "dana", "two")));
    insta::assert_snapshot!(world.refresh(&old).await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.verify(&old).await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.blacklist(&old).await.brief(), @r#"401 {"detail":"Token is invalid","code":"token_not_valid"}"#);
    assert_eq!(world.me(&access).await.status, 401);
}

#[tokio::test]
async fn foreign_tokens_are_accepted_until_a_deadline() {
    let mut plan = plan(django(shared()));
    plan.policy.tokens.foreign = ForeignTokens::Until(Timestamp::from_secs(START) + secs(100));
    let world = World::planned(plan).await;
    let (one, two) = (refresh_of("dana", "one"), refresh_of("dana", "two"));
    world.wait(secs(99));
    let adopted = world.refresh(&one).await.pair();
    world.wait(secs(1));
    assert_eq!(world.refresh(&two).await.status, 401);
    // The adopted token's session is one of quash's own.
    world.assert_live(&adopted).await;
    assert_eq!(world.refresh(&adopted.refresh).await.status, 200);
}

#[tokio::test]
async fn blacklisted_unadopted_tokens_stay_revoked() {
    let world = world().await;
    let (old, access) = (refresh_of("dana", "one"), minted(&said("access", "dana", "two")));
    assert_eq!(world.blacklist(&old).await.brief(), "200 {}");
    insta::assert_snapshot!(world.refresh(&old).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.verify(&old).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    insta::assert_snapshot!(world.blacklist(&old).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    // That can't affect the access token that was minted with it; logging out with both can.
    assert_eq!(world.me(&access).await.status, 200);
    let other = refresh_of("dana", "three");
    assert_eq!(world.log_out(&access, &other).await.brief(), "200 {}");
    insta::assert_snapshot!(world.me(&access).await.brief(), @r#"401 {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is blacklisted","code":"token_not_valid"}"#);
    assert_eq!(world.refresh(&other).await.status, 401);
    assert!(world.sessions("dana").await.is_empty());
}

/// Introspects or revokes a token as a client.
async fn ask(world: &World, secret: &str, door: &str, token: &str) -> String {
    let call = Call::post(&format!("/oauth2/{door}")).bearer(secret);
    world.send(call.body("application/x-www-form-urlencoded", format!("token={token}"))).await.brief()
}

#[tokio::test]
async fn a55_a56_clients_introspect_and_revoke_foreign_tokens() {
    const GONE: &str = r#"200 {"active":false}"#;
    let mut plan = plan(django(shared()));
    plan.policy.tokens.accepted = vec![TokenType::Sliding, TokenType::Access];
    let world = World::planned(plan).await;
    let rights = [Right::Introspect, Right::Revoke].into_iter().collect();
    let (_, secret) = world.service.add_client("shop", rights, None).await.expect("a client");
    let secret = secret.into_text();
    let active = async |token: &str| ask(&world, &secret, "introspect", token).await;
    let revoke = async |token: &str| ask(&world, &secret, "revoke", token).await;
    // A token that opened no session ends alone, regardless of its type.
    for token_type in ["refresh", "access", "sliding"] {
        let token = minted(&exchangeable(token_type, "dana", token_type));
        assert!(
            active(&token).await.starts_with(r#"200 {"active":true"#),
            "{token_type}: {}",
            active(&token).await
        );
        let before = world.head().await;
        assert_eq!(
            (revoke(&token).await, active(&token).await),
            ("200 {}".into(), GONE.into()),
            "{token_type}"
        );
        assert_eq!(
            (revoke(&token).await, world.head().await),
            ("200 {}".into(), before.next()),
            "{token_type}: a second time"
        );
    }
    // A token that opened a session ends that session.
    let old = refresh_of("dana", "adopted");
    let adopted = world.refresh(&old).await.pair();
    assert_eq!(active(&old).await, GONE, "it is spent");
    assert_eq!(revoke(&old).await, "200 {}");
    world.assert_dead(&adopted).await;
    let sliding = minted(&exchangeable("sliding", "dana", "adopted too"));
    let next =
        world.post("/api/token/sliding/refresh/", &json!({ "token": sliding })).await.json()["token"].clone();
    assert_eq!(revoke(&sliding).await, "200 {}");
    for token in [&sliding[..], next.as_str().expect("a token")] {
        assert_eq!((active(token).await, world.me(token).await.status), (GONE.into(), 401));
    }
    // Nothing is stored for an expired token, or one of an unknown account.
    let head = world.head().await;
    let mut expired = said("access", "dana", "old");
    (expired["iat"], expired["exp"]) = (json!(START - 300), json!(START - 200));
    for token in
        [minted(&expired), minted(&said("access", "nobody", "a")), minted(&said("refresh", "nobody", "b"))]
    {
        assert_eq!(active(&token).await, GONE);
    }
    assert_eq!((revoke(&minted(&expired)).await, world.head().await), ("200 {}".into(), head));
}

#[tokio::test]
async fn foreign_sliding_tokens_log_out_their_session() {
    let mut plan = plan(django(shared()));
    plan.policy.tokens.accepted = vec![TokenType::Sliding, TokenType::Access];
    let world = World::planned(plan).await;
    let sliding = minted(&exchangeable("sliding", "dana", "one"));
    let next =
        world.post("/api/token/sliding/refresh/", &json!({ "token": sliding })).await.json()["token"].clone();
    assert_eq!(world.send(Call::post("/api/logout/").bearer(&sliding)).await.brief(), "200 {}");
    for token in [&sliding[..], next.as_str().expect("a token")] {
        assert_eq!(world.me(token).await.status, 401);
    }
}

/// A token that can be exchanged, if its type allows it.
fn exchangeable(token_type: &str, user: &str, jti: &str) -> Value {
    let mut said = said(token_type, user, jti);
    if token_type == "sliding" {
        said["refresh_exp"] = json!(START + 86_400);
    }
    said
}

#[tokio::test]
async fn foreign_tokens_depend_on_their_account() {
    let world = world().await;
    world.deactivate("noor").await;
    world.wait(secs(1));
    let gone = |token_type: &str| {
        minted(
            &json!({ "token_type": token_type, "exp": START + 300, "iat": START + 1, "jti": "a", "user_id": "nobody" }),
        )
    };
    let inactive = |token_type: &str| {
        minted(
            &json!({ "token_type": token_type, "exp": START + 300, "iat": START + 1, "jti": "b", "user_id": "noor" }),
        )
    };
    insta::assert_snapshot!(world.refresh(&gone("refresh")).await.brief(), @r#"401 {"detail":"No active account found for the given token."}"#);
    insta::assert_snapshot!(world.refresh(&inactive("refresh")).await.brief(), @r#"401 {"detail":"No active account found for the given token."}"#);
    insta::assert_snapshot!(world.me(&gone("access")).await.brief(), @r#"401 {"type":"/docs/errors/user_not_found","title":"User not found","status":401,"detail":"User not found","code":"user_not_found"}"#);
    insta::assert_snapshot!(world.me(&inactive("access")).await.brief(), @r#"401 {"type":"/docs/errors/user_inactive","title":"User inactive","status":401,"detail":"User is inactive","code":"user_inactive"}"#);
}

#[tokio::test]
async fn ending_all_sessions_ends_foreign_tokens() {
    let world = world().await;
    let (old, access) = (refresh_of("dana", "one"), minted(&said("access", "dana", "two")));
    assert_eq!(world.me(&access).await.status, 200);
    world.wait(secs(5));
    world.end_all("dana").await;
    assert_eq!(
        (world.me(&access).await.status, world.refresh(&old).await.status, world.verify(&old).await.status),
        (401, 401, 401)
    );
    world.wait(secs(1));
    let mut later = said("refresh", "dana", "three");
    later["iat"] = json!(START + 6);
    assert_eq!(world.refresh(&minted(&later)).await.status, 200);
}

#[tokio::test]
async fn users_of_other_namespaces_are_unknown() {
    let partner = ForeignSetup { namespace: Some(namespace()), ..django(shared()) };
    let world = World::planned(plan(partner)).await;
    let (old, access) = (refresh_of("dana", "one"), minted(&said("access", "dana", "two")));
    let (_, secret) = world
        .service
        .add_client("shop", [Right::Introspect, Right::Revoke].into_iter().collect(), None)
        .await
        .expect("a client");
    let secret = secret.into_text();
    for token in [&old, &access] {
        assert_eq!(world.verify(token).await.brief(), "200 {}");
        let active = ask(&world, &secret, "introspect", token).await;
        assert!(active.starts_with(r#"200 {"active":true"#) && !active.contains("\"sub\""), "{active}");
    }
    assert_eq!(world.blacklist(&refresh_of("dana", "three")).await.status, 200);
    assert_eq!(world.verify(&refresh_of("dana", "three")).await.status, 401, "it is revoked apart from ours");
    insta::assert_snapshot!(world.refresh(&old).await.brief(), @r#"401 {"detail":"No active account found for the given token."}"#);
    insta::assert_snapshot!(world.me(&access).await.brief(), @r#"401 {"type":"/docs/errors/user_not_found","title":"User not found","status":401,"detail":"User not found","code":"user_not_found"}"#);
    assert!(world.sessions("dana").await.is_empty());
}

#[tokio::test]
async fn foreign_tokens_have_limited_form_and_lifetime() {
    let world = world().await;
    let ours = world.sign_in("dana").await;
    let (sid, school) = (claims(&ours.access)["sid"].clone(), json!("school 7"));
    for (number, said_too) in [
        json!({ "sid": sid }),
        json!({ "sid": sid, "rsq": claims(&ours.access)["rsq"], "gen": 0 }),
        json!({ "sid": school, "rsq": [1], "gen": { "a": null } }),
    ]
    .into_iter()
    .enumerate()
    {
        // The other issuer's custom claims. Each token opens its own session.
        let mut claimed = said("refresh", "dana", &format!("theirs {number}"));
        claimed.as_object_mut().expect("claims").extend(said_too.as_object().expect("claims").clone());
        let adopted = world.refresh(&minted(&claimed)).await.pair();
        assert_ne!(claims(&adopted.access)["sid"], sid, "{said_too}");
        assert_eq!(claims(&adopted.refresh)["gen"], json!(1), "{said_too}");
        assert_eq!(world.blacklist(&adopted.refresh).await.status, 200);
        world.assert_live(&ours).await;
    }
    for (name, value) in [
        ("exp", json!(START + 30 * 86_400 + 1)),
        ("iat", Value::Null),
        ("iat", json!(START + 1)),
        ("jti", json!("")),
        ("user_id", json!([])),
    ] {
        let mut claimed = said("refresh", "dana", "one");
        claimed[name] = value.clone();
        assert_eq!(world.refresh(&minted(&claimed)).await.status, 401, "{name}: {value}");
    }
    world.assert_live(&ours).await;
}

/// An address that is unreachable until it is told its response, and that counts requests.
#[derive(Default)]
struct Address {
    answer: Mutex<Option<Result<String, FetchFault>>>,
    asked: AtomicUsize,
}

impl Address {
    fn tell(&self, answer: Result<String, FetchFault>) {
        *self.answer.lock().expect("nobody panicked") = Some(answer);
    }

    /// The number of requests, once the pending ones have been made.
    async fn asked(&self, world: &World) -> usize {
        world.settle().await;
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl FetchKeys for Address {
    async fn fetch(&self, address: &str) -> Result<Vec<u8>, FetchFault> {
        assert_eq!(address, "https://auth.example/jwks");
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answer.lock().expect("nobody panicked").clone();
        answer.unwrap_or_else(|| Err(FetchFault("nobody is there".into()))).map(String::into_bytes)
    }
}

fn key(byte: u8) -> SigningKey {
    SigningKey::new(Algorithm::EdDsa, &[byte; 32], None).expect("a key")
}

fn published(keys: &[&SigningKey]) -> Result<String, FetchFault> {
    let ring = KeyRing::new(1, keys.iter().map(|key| key.verifying().clone()).collect());
    Ok(serde_json::to_string(&ring.jwks()).expect("JSON"))
}

async fn world_of(address: &Arc<Address>) -> World {
    let setup = django(ForeignKeys::Address("https://auth.example/jwks".into()));
    World::planned(Plan { fetch: Arc::clone(address) as Arc<dyn FetchKeys>, ..plan(setup) }).await
}

#[tokio::test]
async fn issuer_keys_are_fetched_on_demand() {
    let (one, two) = (key(1), key(2));
    let address = Arc::new(Address::default());
    address.tell(published(&[&one]));
    let world = world_of(&address).await;
    let signed = |key: &SigningKey, jti: &str| {
        key.sign(said("refresh", "dana", jti).to_string().as_bytes()).expect("a signature")
    };
    assert_eq!(world.verify(&signed(&one, "a")).await.status, 200);
    let asked = address.asked(&world).await;
    address.tell(published(&[&one, &two]));
    // An unknown key is fetched, but not again immediately.
    assert_eq!(world.verify(&signed(&two, "b")).await.status, 401);
    assert_eq!(address.asked(&world).await, asked);
    world.wait(secs(10));
    assert_eq!(world.verify(&signed(&two, "b")).await.status, 200);
    assert_eq!(address.asked(&world).await, asked + 1);
    for made_up in 0..20_u8 {
        assert_eq!(world.verify(&signed(&key(100 + made_up), "c")).await.status, 401);
    }
    assert_eq!(address.asked(&world).await, asked + 1, "made-up kids ask nobody");
    assert_eq!(world.refresh(&signed(&two, "d")).await.status, 200);
}

#[tokio::test]
async fn unreachable_key_addresses_sign_no_user_out() {
    let address = Arc::new(Address::default());
    let world = world_of(&address).await;
    let one = key(1);
    let token = one.sign(said("refresh", "dana", "a").to_string().as_bytes()).expect("a signature");
    insta::assert_snapshot!(world.verify(&token).await.brief(), @r#"503 {"detail":"The keys of the token's issuer are unavailable now.","code":"unavailable"}"#);
    let ours = world.sign_in("noor").await;
    world.assert_live(&ours).await;
    // Published keys stay valid while the address is unreachable.
    address.tell(published(&[&one]));
    world.wait(secs(10));
    assert_eq!(world.verify(&token).await.status, 200);
    address.tell(Err(FetchFault("away".into())));
    world.wait(secs(10));
    let two = key(2).sign(said("refresh", "dana", "b").to_string().as_bytes()).expect("a signature");
    assert_eq!((world.verify(&two).await.status, world.verify(&token).await.status), (401, 200));
}

#[tokio::test]
async fn invalid_key_sets_are_ignored() {
    let one = key(1);
    let address = Arc::new(Address::default());
    address.tell(published(&[&one]));
    let world = world_of(&address).await;
    let token = one.sign(said("refresh", "dana", "a").to_string().as_bytes()).expect("a signature");
    assert_eq!(world.verify(&token).await.status, 200);
    for nonsense in ["", "{}", "[]", "<html>", r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"OKP"}]}"#] {
        address.tell(Ok(nonsense.into()));
        let asked = address.asked(&world).await;
        world.wait(secs(10));
        let other = key(2).sign(said("refresh", "dana", "b").to_string().as_bytes()).expect("a signature");
        assert_eq!(
            (world.verify(&other).await.status, world.verify(&token).await.status),
            (401, 200),
            "{nonsense}"
        );
        assert_eq!(address.asked(&world).await, asked + 1);
    }
    let call = Call::get("/.well-known/jwks.json");
    let jwks = world.send(call).await.json();
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(1), "others' keys aren't published as ours");
}

#[tokio::test]
async fn unadopted_tokens_can_end_sessions_but_not_survive() {
    use support::PASSWORD;
    let world = world().await;
    world.wait(secs(10));
    let access = minted(&said("access", "dana", "one"));
    let own = world.sign_in("dana").await;
    let listed = world.listed(&access, "").await;
    assert_eq!(listed.iter().map(|seen| seen["current"].clone()).collect::<Vec<_>>(), [json!(false)]);
    let password = json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" });
    for (path, body) in [("/v1/me/password", &password), ("/v1/me/sessions/end-others", &Value::Null)] {
        let answer = world.own("POST", path, &access, body).await;
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (403, Some("session_required")),
            "{path}"
        );
    }
    world.assert_live(&own).await;
    let sid = claims(&own.access)["sid"].as_str().expect("a session").to_owned();
    assert_eq!(
        world.own("DELETE", &format!("/v1/me/sessions/{sid}"), &access, &Value::Null).await.status,
        204
    );
    world.assert_dead(&own).await;
    let own = world.sign_in("dana").await;
    assert_eq!(world.own("POST", "/v1/me/sessions/end-all", &access, &Value::Null).await.status, 204);
    world.assert_dead(&own).await;
    assert_eq!(world.me(&access).await.status, 401, "it was minted before");
    world.wait(secs(2));
    let mut later = said("access", "dana", "two");
    later["iat"] = json!(START + 12);
    let later = minted(&later);
    assert_eq!(
        world.own("POST", "/v1/me/deactivate", &later, &json!({ "password": PASSWORD })).await.status,
        204
    );
    assert_eq!((world.me(&later).await.status, world.attempt("dana", PASSWORD).await.status), (401, 401));
}
