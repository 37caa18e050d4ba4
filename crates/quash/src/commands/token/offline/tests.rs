//! Offline verification at given times: all hostile tokens, and tokens on the edge of a second.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::Invalid;
use quash_core::token::{Algorithm, KeySet, SigningKey};
use serde_json::json;

use super::*;

/// The list of tokens that must be refused or accepted, with the keys that signed them.
const HOSTILE: &str = include_str!("../../../../../quash-core/tests/hostile/tokens.json");
const PRIVATE_KEYS: &str = include_str!("../../../../../quash-core/tests/hostile/test_private_keys.json");

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the fixture is JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().expect("a text")).expect("base64url")
}

fn expectations() -> Expectations {
    Expectations {
        purpose: TokenType::Access,
        issuer: None,
        audience: Vec::new(),
        max_lifetime: Duration::MAX,
        leeway: Duration::ZERO,
        names: ClaimNames::default(),
    }
}

/// The keys of a profile, and what it expects.
fn profile(hostile: &Value, name: &str) -> (Keys, Expectations) {
    let profile = &hostile["profiles"][name];
    assert_eq!((&profile["leeway"], &profile["token_type"]), (&json!(0), &json!("access")));
    let text = |member: &str| profile[member].as_str().map(str::to_owned);
    let keys = match &profile["hs256_secret_base64url"] {
        Value::Null => {
            let set =
                KeySet::parse(json!({ "keys": profile["keys"] }).to_string().as_bytes()).expect("a set");
            assert!(set.skipped.is_empty(), "{:?}", set.skipped);
            Keys::Set(set.keys)
        }
        secret => {
            let kid = Kid::parse("unnamed").expect("a kid");
            Keys::One(VerifyingKey::hmac(Algorithm::Hs256, &bytes(secret), kid).expect("a secret"))
        }
    };
    let max_lifetime = profile["max_life_seconds"].as_u64().map_or(Duration::MAX, Duration::from_secs);
    (
        keys,
        Expectations {
            issuer: text("iss"),
            audience: text("aud").into_iter().collect(),
            max_lifetime,
            ..expectations()
        },
    )
}

#[test]
fn hostile_tokens_get_their_verdict_at_any_time() {
    let hostile = parsed(HOSTILE);
    let profiles = ["A", "B"].map(|name| (name, profile(&hostile, name)));
    let cases = hostile["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 64);
    // The first and the last day on which the list is valid, and one between.
    for now in [1_700_006_400, 1_800_000_000, 4_102_358_400].map(Timestamp::from_secs) {
        for case in cases {
            let (_, (keys, expected)) =
                profiles.iter().find(|(name, _)| case["profile"] == *name).expect("a profile of the list");
            let verification = verify_offline(case["token"].as_str().expect("a token"), keys, expected, now);
            let accepted = if verification.verdict.is_ok() { "accept" } else { "reject" };
            assert_eq!(
                case["expect"], accepted,
                "{}, {}: {:?}",
                case["id"], case["title"], verification.verdict
            );
            assert!(
                verification.genuine || verification.claims.is_none(),
                "{}: its contents aren't trusted",
                case["id"]
            );
        }
    }
}

const IAT: i64 = 1_800_000_000;
const EXP: i64 = IAT + 300;

/// The first key of the list, to sign other tokens with.
fn signing() -> SigningKey {
    SigningKey::new(Algorithm::EdDsa, &bytes(&parsed(PRIVATE_KEYS)["ed1_d"]), None).expect("a seed")
}

fn minted(more: &Value) -> String {
    let mut claims =
        json!({ "token_type": "access", "exp": EXP, "iat": IAT, "jti": "0123", "user_id": "42" });
    for (name, value) in more.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    signing().sign(claims.to_string().as_bytes()).expect("signed")
}

fn judged(token: &str, expected: &Expectations, secs: i64) -> Result<(), Refusal> {
    verify_offline(token, &Keys::One(signing().verifying().clone()), expected, Timestamp::from_secs(secs))
        .verdict
}

#[test]
fn tokens_are_valid_from_iat_to_exp() {
    let token = minted(&json!({}));
    let not_yet = Err(Refusal::TokenInvalid(Invalid::NotYet));
    for (leeway, secs, verdict) in [
        (0, IAT - 1, not_yet),
        (0, IAT, Ok(())),
        (0, EXP - 1, Ok(())),
        (0, EXP, Err(Refusal::TokenExpired)),
        (5, IAT - 6, not_yet),
        (5, IAT - 5, Ok(())),
        (5, EXP + 4, Ok(())),
        (5, EXP + 5, Err(Refusal::TokenExpired)),
    ] {
        let expected = Expectations { leeway: Duration::from_secs(leeway), ..expectations() };
        assert_eq!(judged(&token, &expected, secs), verdict, "leeway {leeway}, {secs}");
    }
    assert_eq!(judged(&minted(&json!({ "nbf": IAT + 9 })), &expectations(), IAT + 8), not_yet);
}

#[test]
fn own_and_foreign_tokens_are_verified_alike() {
    let ours = json!({ "sid": "01a20af06c05771097b1318de6f7c85b", "rsq": 17_179_869_184_u64 });
    for more in [json!({}), ours] {
        let with = |name: &str, value: Value| {
            let mut claims = more.clone();
            claims[name] = value;
            minted(&claims)
        };
        let verdict = |token: &str, expected: &Expectations| judged(token, expected, IAT);
        let strict = Expectations {
            issuer: Some("a".into()),
            audience: vec!["b".into(), "c".into()],
            ..expectations()
        };
        assert_eq!(verdict(&minted(&more), &expectations()), Ok(()));
        assert_eq!(verdict(&minted(&more), &strict), Err(Invalid::Issuer.into()));
        let mut named = more.clone();
        named["iss"] = json!("a");
        assert_eq!(verdict(&minted(&named), &strict), Err(Invalid::Audience.into()));
        named["aud"] = json!(["x", "c"]);
        assert_eq!(verdict(&minted(&named), &strict), Ok(()));
        assert_eq!(
            verdict(&minted(&named), &expectations()),
            Ok(()),
            "claims without an expectation may be anything"
        );
        let longest = |secs| Expectations { max_lifetime: Duration::from_secs(secs), ..expectations() };
        assert_eq!(verdict(&minted(&more), &longest(300)), Ok(()));
        assert_eq!(verdict(&minted(&more), &longest(299)), Err(Invalid::Lifetime.into()));
        let refresh = with("token_type", json!("refresh"));
        assert_eq!(verdict(&refresh, &expectations()), Err(Refusal::TokenOfWrongType));
        assert_eq!(
            verdict(&refresh, &Expectations { purpose: TokenType::Refresh, ..expectations() }),
            Ok(())
        );
    }
    assert_eq!(
        judged(&minted(&json!({ "sid": "01a20af06c05771097b1318de6f7c85b" })), &expectations(), IAT),
        Ok(()),
        "tokens of quash always have an rsq: this sid is another issuer's claim"
    );
}

#[test]
fn single_keys_ignore_kid_and_sets_use_it() {
    let token = minted(&json!({}));
    let key = signing().verifying().clone();
    let set = |named, kid: &str| {
        let key = key.clone().renamed(Kid::parse(kid).ok());
        verify_offline(
            &token,
            &Keys::Set(vec![SetKey { key, named }]),
            &expectations(),
            Timestamp::from_secs(IAT),
        )
        .verdict
    };
    assert_eq!(set(true, key.kid().as_str()), Ok(()), "it names its key by the thumbprint");
    assert_eq!(set(true, "another"), Err(Invalid::Key.into()));
    let one = Keys::One(key.clone().renamed(Kid::parse("another").ok()));
    let verification = verify_offline(&token, &one, &expectations(), Timestamp::from_secs(IAT));
    assert_eq!(
        (verification.verdict, verification.genuine, verification.token_type),
        (Ok(()), true, Some(TokenType::Access))
    );
    assert_eq!(verification.claims.and_then(|claims| claims.get("user_id").cloned()), Some(json!("42")));
}

#[test]
fn claims_may_have_other_names() {
    let names = ClaimNames {
        user_id: "sub".into(),
        jti: "id".into(),
        token_type: "typ".into(),
        ..ClaimNames::default()
    };
    let claims = json!({ "typ": "access", "exp": EXP, "iat": IAT, "id": "0123", "sub": "42" });
    let token = signing().sign(claims.to_string().as_bytes()).expect("signed");
    assert_eq!(judged(&token, &Expectations { names, ..expectations() }, IAT), Ok(()));
    assert_eq!(judged(&token, &expectations(), IAT), Err(Refusal::TokenWithoutId));
}
