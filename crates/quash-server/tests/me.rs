//! The guarded path: accepted tokens and headers, and the responses.

use crate::support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, Method};
use quash_core::model::AccountState;
use quash_core::token::Algorithm;
use serde_json::json;

use support::{Answer, Call, Plan, World, claims, millis, secs};

#[tokio::test]
async fn a92_accounts_are_shown_without_their_hash() {
    let world = World::open().await;
    let answer = world.me(&world.sign_in("dana").await.access).await;
    insta::assert_snapshot!(answer, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {"subject":"dana","username":"dana","email":"dana@example.org","email_verified":true,"session":"<id>"}
    "#);
    let stored = world.service.account("dana").await.expect("a store").expect("an account");
    let hash = stored.password.expect("a hash");
    assert!(
        !answer.text().contains(hash.as_str())
            && !answer.text().contains("password")
            && !answer.text().contains("cheap$")
    );
    insta::assert_snapshot!(world.me(&world.sign_in("noor").await.access).await.brief(), @r#"200 {"subject":"noor","username":"noor","email":null,"email_verified":false,"session":"<id>"}"#);
}

#[tokio::test]
async fn access_tokens_expire_exactly() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.wait(millis(299_999));
    assert_eq!(world.me(&pair.access).await.status, 200);
    world.wait(millis(1));
    insta::assert_snapshot!(world.me(&pair.access).await, @r#"
    401
    content-type: application/problem+json
    cache-control: no-store
    www-authenticate: Bearer realm="api"

    {"type":"/docs/errors/token_not_valid","title":"Token not valid","status":401,"detail":"Token is expired","code":"token_not_valid"}
    "#);
    insta::assert_snapshot!(world.verify(&pair.access).await.brief(), @r#"401 {"detail":"Token is expired","code":"token_not_valid"}"#);
}

#[tokio::test]
async fn a49_ends_separate_sessions_of_the_same_second() {
    let world = World::open().await;
    world.wait(millis(700));
    let before = world.sign_in("dana").await;
    world.wait(millis(1));
    world.end_all("dana").await;
    world.wait(millis(1));
    let after = world.sign_in("dana").await;
    assert_eq!(claims(&before.access)["iat"], claims(&after.access)["iat"], "in the same second");
    world.assert_dead(&before).await;
    world.assert_live(&after).await;
    world.assert_live(&world.refresh(&after.refresh).await.pair()).await;
}

#[tokio::test]
async fn a49_ends_separate_sessions_of_the_same_millisecond() {
    let world = World::open().await;
    let before = world.sign_in("dana").await;
    world.end_all("dana").await;
    let between = world.sign_in("dana").await;
    world.end_all("dana").await;
    let after = world.sign_in("dana").await;
    world.assert_dead(&before).await;
    world.assert_dead(&between).await;
    world.assert_live(&after).await;
}

#[tokio::test]
async fn a57_reactivated_accounts_revive_no_tokens() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    world.deactivate("dana").await;
    assert_eq!(world.me(&pair.access).await.status, 401);
    world.put("dana", AccountState::Active).await;
    world.assert_dead(&pair).await;
    world.assert_live(&world.sign_in("dana").await).await;
}

#[tokio::test]
async fn a50_other_spellings_of_revoked_tokens_are_refused() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Hs256] {
        let world = World::planned(Plan { algorithm, ..Plan::default() }).await;
        let (revoked, live) = (world.sign_in("dana").await, world.sign_in("dana").await);
        world.log_out(&revoked.access, &revoked.refresh).await;
        for spelling in spellings(&revoked.access) {
            let call = Call::get("/v1/me").header(AUTHORIZATION, [b"Bearer ", spelling.as_bytes()].concat());
            assert_eq!(world.send(call).await.status, 401, "{spelling}");
            assert_eq!(world.verify(&spelling).await.status, 401, "{spelling}");
        }
        for spelling in spellings(&live.access) {
            assert_eq!(world.verify(&spelling).await.status, 401, "one token has one spelling: {spelling}");
        }
    }
}

/// Other spellings of a token that a lenient reader would accept as the same token.
fn spellings(token: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let text = |part: &str| String::from_utf8(decoded(part)).expect("UTF-8");
    let with_header = |header: String| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header));
    let mut spellings = vec![
        format!("{token}="),
        format!("{token}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{} {}", &signature[..9], &signature[9..]),
        format!("{header}.{payload}.{}%{}", &signature[..9], &signature[9..]),
        token.to_uppercase(),
        token.to_lowercase(),
        with_header(text(header).to_uppercase()),
        with_header(text(header).replace("\"alg\"", "\"ALG\"")),
        with_header(text(header).replace(',', ", ")),
        with_header(r#"{"alg":"none"}"#.into()),
        with_header(r#"{"alg":"none","typ":"JWT"}"#.into()),
        format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#)),
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(text(payload).replace(',', ", "))),
        format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([&decoded(signature)[..], &[0]].concat())),
    ];
    // Other unused bits in the last character, and the other root of the signature's equation.
    let last = signature.chars().last().expect("a signature");
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let others = alphabet.chars().filter(|other| *other != last);
    spellings.extend(
        others.map(|other| format!("{header}.{payload}.{}{other}", &signature[..signature.len() - 1])),
    );
    if let Ok(signature) = <[u8; 64]>::try_from(decoded(signature)) {
        spellings.push(format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(with_order_added(signature))));
    }
    spellings
}

/// An Ed25519 signature with the order of the group added to its second half: equal for a reader that forgets
/// the range check (RFC 8032 5.1.7).
fn with_order_added(mut signature: [u8; 64]) -> [u8; 64] {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0_u16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = u8::try_from(carry & 0xff).expect("one byte");
        carry >>= 8;
    }
    signature
}

#[tokio::test]
async fn a78_malformed_authorization_headers_are_handled() {
    let world = World::open().await;
    let access = world.sign_in("dana").await.access;
    let long = "x".repeat(64 * 1024);
    let mut told = Vec::new();
    for (name, values) in [
        ("missing", vec![]),
        ("empty", vec![String::new()]),
        ("blank", vec![" ".into()]),
        ("another scheme", vec![format!("Basic {access}")]),
        ("the token alone", vec![access.clone()]),
        ("the scheme alone", vec!["Bearer".into()]),
        ("three words", vec!["Bearer  x y".into()]),
        ("two tokens", vec![format!("Bearer {access} {access}")]),
        ("two headers", vec![format!("Bearer {access}"), format!("Bearer {access}")]),
        ("a comma", vec![format!("Bearer {access}, Bearer {access}")]),
        ("lower case", vec![format!("bearer {access}")]),
        ("a tab", vec![format!("Bearer\t{access}")]),
        ("blanks around", vec![format!("  Bearer   {access}  ")]),
        ("in quotes", vec![format!("Bearer \"{access}\"")]),
        ("64 KiB", vec![format!("Bearer {long}")]),
        ("bytes beyond ASCII", vec!["Bearer \u{e9}\u{202e}".into()]),
    ] {
        let call = values.iter().fold(Call::get("/v1/me"), |call, value| call.header(AUTHORIZATION, value));
        let answer = world.send(call).await;
        let code = answer.json().get("code").and_then(|code| code.as_str().map(str::to_owned));
        told.push(format!("{name}: {} {}", answer.status, code.unwrap_or_default()));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    missing: 401 not_authenticated
    empty: 401 not_authenticated
    blank: 401 not_authenticated
    another scheme: 401 not_authenticated
    the token alone: 401 not_authenticated
    the scheme alone: 401 bad_authorization_header
    three words: 401 bad_authorization_header
    two tokens: 401 bad_authorization_header
    two headers: 401 bad_authorization_header
    a comma: 401 bad_authorization_header
    lower case: 200 
    a tab: 200 
    blanks around: 200 
    in quotes: 401 token_not_valid
    64 KiB: 401 token_not_valid
    bytes beyond ASCII: 401 token_not_valid
    ");
    insta::assert_snapshot!(world.send(Call::get("/v1/me")).await, @r#"
    401
    content-type: application/problem+json
    cache-control: no-store
    www-authenticate: Bearer realm="api"

    {"type":"/docs/errors/not_authenticated","title":"Not authenticated","status":401,"detail":"Authentication credentials were not provided.","code":"not_authenticated"}
    "#);
    insta::assert_snapshot!(world.send(Call::get("/v1/me").header(AUTHORIZATION, "Bearer")).await, @r#"
    401
    content-type: application/problem+json
    cache-control: no-store
    www-authenticate: Bearer realm="api"

    {"type":"/docs/errors/bad_authorization_header","title":"Bad Authorization header","status":401,"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}
    "#);
}

#[tokio::test]
async fn a44_tokens_in_the_url_are_ignored() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    for name in ["access_token", "token", "access", "jwt", "authorization"] {
        let answer = world.send(Call::get(&format!("/v1/me?{name}={}", pair.access))).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("not_authenticated")));
    }
    assert_eq!(world.send(Call::get(&format!("/v1/me/{}", pair.access))).await.status, 404);
    assert_eq!(
        world.send(Call::get("/v1/me").header(COOKIE, format!("access={}", pair.access))).await.status,
        401
    );
    let other = HeaderName::from_static("x-access-token");
    assert_eq!(world.send(Call::get("/v1/me").header(other, &pair.access)).await.status, 401);
    let form = format!("access_token={}", pair.access);
    assert_eq!(
        world.send(Call::get("/v1/me").body("application/x-www-form-urlencoded", form)).await.status,
        401
    );
}

#[tokio::test]
async fn stolen_keys_need_valid_claims() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let far = 1_u64 << 60;
    let mut told = Vec::new();
    for replaced in [
        json!({ "exp": support::START }),
        json!({ "exp": null }),
        json!({ "exp": "1900000000" }),
        json!({ "exp": 1.5 }),
        json!({ "exp": far }),
        json!({ "exp": support::START + 86_401 }),
        json!({ "iat": support::START + 1 }),
        json!({ "iat": -1 }),
        json!({ "nbf": support::START + 1 }),
        json!({ "jti": "" }),
        json!({ "jti": 7 }),
        json!({ "user_id": null }),
        json!({ "user_id": ["dana"] }),
        json!({ "user_id": "x".repeat(300) }),
        json!({ "user_id": "no\nbody" }),
        json!({ "user_id": "nobody" }),
        json!({ "sid": "x" }),
        json!({ "rsq": far }),
        json!({ "rsq": "1" }),
        json!({ "token_type": "refresh" }),
        json!({ "token_type": "sliding" }),
        json!({ "token_type": 1 }),
        json!({ "gen": -1 }),
        json!({ "aud": 1 }),
        json!({ "aud": [[]] }),
    ] {
        let forged = world.forge(&pair.access, &replaced);
        let (me, verified) = (world.me(&forged).await, world.verify(&forged).await);
        assert_eq!(me.status, 401, "{replaced}");
        let name: String = replaced.to_string().chars().take(40).collect();
        told.push(format!(
            "{name}: {} | {} {}",
            me.json()["detail"].as_str().unwrap_or_default(),
            verified.status,
            verified.json()["detail"]
        ));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    {"exp":1800000000}: Token is expired | 401 "Token is expired"
    {"exp":null}: Token is invalid | 401 "Token is invalid"
    {"exp":"1900000000"}: Token is invalid | 401 "Token is invalid"
    {"exp":1.5}: Token is expired | 401 "Token is expired"
    {"exp":1152921504606846976}: Token is invalid | 401 "Token is invalid"
    {"exp":1800086401}: Token is invalid | 401 "Token is invalid"
    {"iat":1800000001}: Token is invalid | 401 "Token is invalid"
    {"iat":-1}: Token is invalid | 401 "Token is invalid"
    {"nbf":1800000001}: Token is invalid | 401 "Token is invalid"
    {"jti":""}: Token is invalid | 401 "Token is invalid"
    {"jti":7}: Token is invalid | 401 "Token is invalid"
    {"user_id":null}: Token is invalid | 401 "Token is invalid"
    {"user_id":["dana"]}: Token is invalid | 401 "Token is invalid"
    {"user_id":"xxxxxxxxxxxxxxxxxxxxxxxxxxxx: User not found | 200 null
    {"user_id":"no\nbody"}: User not found | 200 null
    {"user_id":"nobody"}: User not found | 200 null
    {"sid":"x"}: Token is invalid | 401 "Token is invalid"
    {"rsq":1152921504606846976}: Token is invalid | 401 "Token is invalid"
    {"rsq":"1"}: Token is invalid | 401 "Token is invalid"
    {"token_type":"refresh"}: Token has wrong type | 401 "Token is invalid"
    {"token_type":"sliding"}: Token has wrong type | 401 "Token is invalid"
    {"token_type":1}: Token is invalid | 401 "Token is invalid"
    {"gen":-1}: Token is invalid | 401 "Token is invalid"
    {"aud":1}: Token is invalid | 401 "Token is invalid"
    {"aud":[[]]}: Token is invalid | 401 "Token is invalid"
    "#);
}

#[tokio::test]
async fn missing_claims_are_named_like_simple_jwt() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let mut told = Vec::new();
    for name in ["exp", "jti", "token_type", "user_id", "iat", "sid", "rsq", "gen"] {
        let (access, refresh) =
            (world.forge_without(&pair.access, name), world.forge_without(&pair.refresh, name));
        let detail = |answer: Answer| format!("{} {}", answer.status, answer.json()["detail"]);
        told.push(format!(
            "{name}: {}, {}",
            detail(world.verify(&access).await),
            detail(world.refresh(&refresh).await)
        ));
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    exp: 401 "Token has no 'exp' claim", 401 "Token has no 'exp' claim"
    jti: 401 "Token has no id", 401 "Token has no id"
    token_type: 401 "Token has no type", 401 "Token has no type"
    user_id: 401 "Token contained no recognizable user identification", 401 "Token contained no recognizable user identification"
    iat: 401 "Token is invalid", 401 "Token is invalid"
    sid: 401 "Token is invalid", 401 "Token is invalid"
    rsq: 401 "Token is invalid", 401 "Token is invalid"
    gen: 200 null, 401 "Token is invalid"
    "#);
}

#[tokio::test]
async fn tokens_ahead_of_the_log_get_503() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let ahead = world
        .forge(&pair.access, &json!({ "rsq": claims(&pair.access)["rsq"].as_u64().expect("a number") + 1 }));
    insta::assert_snapshot!(world.me(&ahead).await, @r#"
    503
    content-type: application/problem+json
    cache-control: no-store
    retry-after: 1

    {"type":"/docs/errors/unavailable","title":"Unavailable","status":503,"detail":"The service cannot tell now whether the token has been revoked.","code":"unavailable"}
    "#);
    world.wait(secs(1));
    world.assert_live(&pair).await;
}

#[tokio::test]
async fn unsupported_methods_are_refused() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let of = |method: Method| Call::of(method, "/v1/me").bearer(&pair.access);
    assert_eq!(world.send(of(Method::HEAD)).await.status, 200);
    for method in [Method::POST, Method::PUT, Method::OPTIONS, Method::TRACE] {
        let answer = world.send(of(method.clone())).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD, PATCH, DELETE")),
            "{method}"
        );
    }
    assert_eq!(
        world.send(Call::of(Method::DELETE, "/v1/me")).await.status,
        401,
        "who isn't let in isn't told"
    );
}

/// Status and identity of a response to a proxy.
fn identity(answer: &Answer) -> String {
    let said = ["quash-subject", "quash-username", "quash-session", "quash-email"]
        .map(|name| answer.header(name).unwrap_or("-").to_owned());
    format!("{} {}", answer.status, said.join(" "))
}

#[tokio::test]
async fn forward_auth_names_the_user() {
    let world = World::open().await;
    let ask = async |token: &str| world.send(Call::get("/v1/forward-auth").bearer(token)).await;
    let dana = world.sign_in("dana").await;
    let session = claims(&dana.access)["sid"].as_str().expect("a session").to_owned();
    let answer = ask(&dana.access).await;
    assert_eq!(identity(&answer), format!("204 dana dana {session} dana@example.org"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let noor = world.sign_in("noor").await;
    assert!(identity(&ask(&noor.access).await).ends_with(' '), "an empty header is there");
    let name = "Zo\u{eb} x%0d, \"a\";b=c\u{1f980}";
    world.add(name, None, false).await;
    let odd = ask(&world.sign_in(name).await.access).await;
    assert_eq!(odd.header("quash-username"), Some("Zo%C3%AB%20x%250d%2C%20%22a%22%3Bb%3Dc%F0%9F%A6%80"));
    assert_eq!(odd.header("quash-subject"), odd.header("quash-username"));
    world.log_out(&dana.access, &dana.refresh).await;
    for (token, why) in [
        (dana.access.as_str(), "it has ended"),
        (&noor.refresh, "it is a refresh token"),
        ("x.y.z", "it is none"),
    ] {
        let refused = ask(token).await;
        assert_eq!((refused.status, refused.header("quash-subject")), (401, None), "{why}: {refused}");
    }
    assert_eq!(
        world.send(Call::get("/v1/forward-auth")).await.header("www-authenticate"),
        Some("Bearer realm=\"api\"")
    );
    assert_eq!(world.send(Call::post("/v1/forward-auth").bearer(&noor.access)).await.status, 405);
    world.store.break_part(support::Part::Rows, support::FaultyStore::away());
    let away = ask(&noor.access).await;
    assert_eq!((away.status, away.header("retry-after")), (503, Some("5")), "{away}");
}
