//! Checks the hostile tokens of `hostile/tokens.json` and the class of each refusal. Each token is signed,
//! spelled or composed so that some verifier accepts it. The same list is sent over HTTP and to the command
//! line.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{ForeignTokens, Invalid, Kid, Refusal, ScopeHasher, Timestamp, TokenPolicy};
use quash_core::token::{
    Algorithm, Expected, ForeignKey, Issuer, KeyRing, KeySet, TokenType, VerifyingKey, authenticate,
};
use serde_json::Value;

/// The longest lifetime of a token of the list, which must be valid until 2099.
const MAX_LIFETIME: Duration = Duration::from_secs(2_405_000_000);

fn corpus() -> Value {
    serde_json::from_str(include_str!("hostile/tokens.json")).expect("the list is JSON")
}

/// The keys of a profile, each as a key of another issuer.
fn ring(profile: &Value, iss: Expected<String>, aud: Expected<Vec<String>>) -> KeyRing {
    let scopes = ScopeHasher::ours([0; 16]);
    let issuer = Arc::new(Issuer { name: "hostile".into(), scopes, max_lifetime: MAX_LIFETIME, iss, aud });
    let foreign = |key, named| ForeignKey { key, named, issuer: Arc::clone(&issuer) };
    let keys = match profile.get("keys") {
        Some(keys) => {
            let set = KeySet::parse(serde_json::json!({ "keys": keys }).to_string().as_bytes())
                .expect("a set of keys");
            assert!(set.skipped.is_empty());
            set.keys.into_iter().map(|found| foreign(found.key, found.named)).collect()
        }
        None => {
            let secret = profile["hs256_secret_base64url"]
                .as_str()
                .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
                .expect("a secret");
            let key = VerifyingKey::hmac(Algorithm::Hs256, &secret, Kid::parse("secret").expect("a kid"))
                .expect("a key");
            vec![foreign(key, false)]
        }
    };
    KeyRing::with_foreign(1, Vec::new(), keys)
}

fn ring_of(corpus: &Value, profile: &str) -> KeyRing {
    let described = &corpus["profiles"][profile];
    match profile {
        "A" => ring(
            described,
            Expected::Exactly("https://auth.example".into()),
            Expected::Exactly(vec!["api".into()]),
        ),
        _ => ring(described, Expected::Anything, Expected::Anything),
    }
}

fn judge(text: &str, ring: &KeyRing) -> Result<(), Refusal> {
    let policy = TokenPolicy { foreign: ForeignTokens::Accept, ..TokenPolicy::default() };
    let token = authenticate(text, ring, &policy.names, &ScopeHasher::ours([0; 16]))?;
    token.check(&[TokenType::Access], &policy, Timestamp::from_secs(1_800_000_000))
}

/// Returns the list's class for a refusal.
fn class(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::TokenInvalid(invalid) => match invalid {
            Invalid::TooLong => "too_large",
            Invalid::Malformed => "malformed",
            Invalid::Header => "crit",
            Invalid::HeaderType => "type",
            Invalid::Algorithm => "alg",
            Invalid::Key => "key",
            Invalid::Signature => "signature",
            Invalid::Claim | Invalid::Lifetime => "claim",
            Invalid::NotYet => "not_yet",
            Invalid::Audience => "audience",
            Invalid::Issuer => "issuer",
            other => panic!("unexpected for a foreign token: {other}"),
        },
        Refusal::TokenExpired => "expired",
        Refusal::TokenWithoutExp | Refusal::TokenWithoutId | Refusal::TokenWithoutUser => "claim",
        Refusal::TokenWithoutType | Refusal::TokenOfWrongType => "type",
        other => panic!("unexpected for a token that isn't revoked: {other:?}"),
    }
}

/// Tokens that are refused for another fault than the list says, because it is found earlier.
const SEEN_EARLIER: [(&str, &str); 5] = [
    // Nothing is decoded before the signature is verified.
    ("T72", "signature"),
    // A number outside the range of a double isn't a number to a JSON parser.
    ("T103", "malformed"),
    // A claim of the wrong type is neither absent nor a different claim.
    ("T114", "claim"),
    ("T122", "claim"),
    ("T123", "claim"),
];

#[test]
fn every_hostile_token_gets_its_verdict() {
    let corpus = corpus();
    let cases = corpus["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 64);
    let mut wrong = Vec::new();
    for case in cases {
        let text = |member: &str| case[member].as_str().unwrap_or_default();
        let ring = ring_of(&corpus, text("profile"));
        let verdict = match judge(text("token"), &ring) {
            Ok(()) => String::new(),
            Err(refusal) => class(refusal).to_owned(),
        };
        let earlier = SEEN_EARLIER.iter().find(|(id, _)| *id == text("id")).map(|(_, class)| *class);
        let wanted = earlier.unwrap_or_else(|| text("error"));
        if verdict != wanted {
            wrong.push(format!("{} {}: {verdict:?} and not {wanted:?}", text("id"), text("title")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
