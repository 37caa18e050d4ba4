//! Checks the hostile tokens of `hostile/tokens.json` and the class of each refusal. Each token is signed,
//! spelled or composed so that some verifier accepts it. The same list is sent over HTTP and to the command
//! line. Here the keys are once those of an issuer whose users are quash's accounts, and once those of a
//! namespace, which a verifier has got with the policy of the feed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{
    ForeignTokens, Invalid, Kid, Namespace, NamespaceClaims, Refusal, ScopeHasher, Timestamp, TokenPolicy,
};
use quash_core::token::{
    Algorithm, Expected, ForeignKey, Issuer, KeyRing, KeySet, Purposes, TokenType, VerifyingKey, authenticate,
};
use quash_core::watch::frame::FeedPolicy;
use serde_json::Value;

/// The longest lifetime of a token of the list, which must be valid until 2099.
const MAX_LIFETIME: Duration = Duration::from_secs(2_405_000_000);

fn corpus() -> Value {
    serde_json::from_str(include_str!("hostile/tokens.json")).expect("the list is JSON")
}

fn namespace() -> Namespace {
    Namespace {
        name: "hostile".into(),
        max_lifetime: MAX_LIFETIME,
        accepted: vec!["access".into()],
        claims: NamespaceClaims::default(),
    }
}

fn secret(profile: &Value) -> Option<Vec<u8>> {
    let text = profile["hs256_secret_base64url"].as_str()?;
    Some(URL_SAFE_NO_PAD.decode(text).expect("a secret"))
}

/// The keys of a profile, each as a key of another issuer.
fn ring(
    profile: &Value,
    iss: Expected<String>,
    aud: Expected<Vec<String>>,
    namespace: Option<Namespace>,
) -> KeyRing {
    let (name, dropped) = ("hostile".to_owned(), Vec::new());
    let scopes = ScopeHasher::new([0; 16], namespace.as_ref().map_or("", |namespace| &namespace.name));
    let issuer = Arc::new(Issuer { name, scopes, max_lifetime: MAX_LIFETIME, iss, aud, namespace, dropped });
    let foreign = |key, token_kid| ForeignKey { key, token_kid, issuer: Arc::clone(&issuer) };
    let keys = match profile.get("keys") {
        Some(keys) => {
            let set = KeySet::parse(serde_json::json!({ "keys": keys }).to_string().as_bytes())
                .expect("a set of keys");
            assert!(set.skipped.is_empty());
            set.keys.iter().map(|found| foreign(found.key.clone(), found.token_kid())).collect()
        }
        None => {
            let secret = secret(profile).expect("a secret");
            let key = VerifyingKey::hmac(Algorithm::Hs256, &secret, Kid::parse("secret").expect("a kid"))
                .expect("a key");
            vec![foreign(key, None)]
        }
    };
    KeyRing::with_foreign(1, Vec::new(), keys)
}

fn ring_of(corpus: &Value, profile: &str, namespace: Option<Namespace>) -> KeyRing {
    let described = &corpus["profiles"][profile];
    match profile {
        "A" => ring(
            described,
            Expected::Exactly("https://auth.example".into()),
            Expected::Exactly(vec!["api".into()]),
            namespace,
        ),
        _ => ring(described, Expected::Anything, Expected::Anything, namespace),
    }
}

/// The keys of a verifier that has got them as those of a namespace.
fn ring_of_verifier(corpus: &Value, profile: &str) -> KeyRing {
    let ring = ring_of(corpus, profile, Some(namespace()));
    let tokens = TokenPolicy { namespaces: vec![namespace()], ..TokenPolicy::default() };
    let sent = FeedPolicy::of(&tokens, [0; 16], Duration::from_secs(10), &ring).expect("a policy");
    let text = serde_json::to_string(&sent).expect("text");
    let read: FeedPolicy = serde_json::from_str(&text).expect("its own text");
    let secrets: Vec<_> = secret(&corpus["profiles"][profile]).into_iter().collect();
    let keys = read.namespace_keys("hostile", &secrets, &[]).expect("readable").expect("a namespace");
    assert_eq!((keys.keys.len(), keys.unusable), (ring.foreign().len(), 0));
    KeyRing::with_foreign(1, Vec::new(), keys.keys)
}

fn judge(text: &str, ring: &KeyRing, purposes: Purposes<'_>) -> Result<(), Refusal> {
    let policy = TokenPolicy { foreign: ForeignTokens::Accept, ..TokenPolicy::default() };
    let token = authenticate(text, ring, &policy.names, &ScopeHasher::ours([0; 16]))?;
    token.check(purposes, &policy, Timestamp::from_secs(1_800_000_000))
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
        let earlier = SEEN_EARLIER.iter().find(|(id, _)| *id == text("id")).map(|(_, class)| *class);
        let wanted = earlier.unwrap_or_else(|| text("error"));
        for (ring, purposes) in [
            (ring_of(&corpus, text("profile"), None), Purposes::These(&[TokenType::Access])),
            (ring_of_verifier(&corpus, text("profile")), Purposes::Accepted),
        ] {
            let verdict = match judge(text("token"), &ring, purposes) {
                Ok(()) => String::new(),
                Err(refusal) => class(refusal).to_owned(),
            };
            if verdict != wanted {
                wrong.push(format!("{} {}: {verdict:?} and not {wanted:?}", text("id"), text("title")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
