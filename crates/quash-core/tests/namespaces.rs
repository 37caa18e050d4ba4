//! The check of a namespace's tokens, from the issuer's keys over the policy of the feed to the verdict: one
//! test for each rule.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{
    Actor, Entry, ForeignTokens, Forgotten, Invalid, Keep, Kid, Namespace, NamespaceClaims, NewEntry, Reason,
    Refusal, Scope, ScopeHasher, ScopeKey, ScopeKind, Seq, Timestamp, TokenPolicy,
};
use quash_core::token::{
    Algorithm, Expected, ForeignKey, Issuer, KeyRing, Purposes, SigningKey, VerifyingKey, authenticate,
};
use quash_core::watch::frame::{FeedPolicy, keys_beyond_policy};
use quash_core::watch::{Live, Revoked, Verdict, admit, feed};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
const SECRET: &[u8] = b"a secret of Django, with more than 32 bytes";
/// The number before the first entry.
const START: Seq = Seq::start_of(1);

fn hasher() -> ScopeHasher {
    ScopeHasher::ours([1; 16])
}

fn shop() -> Namespace {
    let (session, position) = (Some("qsid".to_owned()), Some("qsq".to_owned()));
    Namespace {
        name: "shop".into(),
        max_lifetime: Duration::from_secs(3600),
        accepted: vec!["access".into(), "service".into()],
        claims: NamespaceClaims { session, position, ..NamespaceClaims::default() },
    }
}

fn kid(text: &str) -> Kid {
    Kid::parse(text).expect("a kid")
}

fn secret(algorithm: Algorithm, bytes: &[u8]) -> VerifyingKey {
    VerifyingKey::hmac(algorithm, bytes, kid("made-by-quash")).expect("a secret")
}

/// A key as the issuer's settings have it.
fn key_of(namespace: &Namespace, key: VerifyingKey, token_kid: Option<Kid>) -> ForeignKey {
    let issuer = Issuer {
        name: "django".into(),
        scopes: hasher().in_namespace(&namespace.name),
        max_lifetime: namespace.max_lifetime,
        iss: Expected::Anything,
        aud: Expected::Anything,
        namespace: Some(namespace.clone()),
        dropped: Vec::new(),
    };
    ForeignKey { key, token_kid, issuer: Arc::new(issuer) }
}

fn of_shop(key: VerifyingKey, token_kid: Option<Kid>) -> ForeignKey {
    key_of(&shop(), key, token_kid)
}

/// A verifier of the namespace "shop", which has got all it knows from the issuer's policy.
struct Verifier {
    policy: TokenPolicy,
    ring: KeyRing,
    revoked: Revoked,
    unusable: usize,
}

impl Verifier {
    fn new(namespace: Namespace, keys: Vec<ForeignKey>, secrets: &[&[u8]], audience: &[&str]) -> Self {
        let own = SigningKey::new(Algorithm::Hs256, &[9; 32], Some(kid("own"))).expect("a key");
        let ring = KeyRing::with_foreign(1, vec![own.verifying().clone()], keys);
        let sent = TokenPolicy { namespaces: vec![namespace], ..TokenPolicy::default() };
        let sent = FeedPolicy::of(&sent, [1; 16], Duration::from_secs(10), &ring).expect("a policy");
        let text = serde_json::to_string(&sent).expect("text");
        assert!(!text.contains(str::from_utf8(SECRET).expect("text")));
        let read: FeedPolicy = serde_json::from_str(&text).expect("its own text");
        let audience: Vec<String> = audience.iter().map(|audience| (*audience).to_owned()).collect();
        let keys = read.namespace_keys("shop", secrets, &audience).expect("readable").expect("a namespace");
        Self {
            policy: TokenPolicy {
                foreign: ForeignTokens::Accept,
                ..read.tokens(audience).expect("known words")
            },
            ring: KeyRing::with_foreign(0, Vec::new(), keys.keys),
            revoked: Revoked::empty(START, feed::EMPTY),
            unusable: keys.unusable,
        }
    }

    /// A verifier of tokens that are signed with the secret.
    fn of_secret() -> Self {
        Self::new(shop(), vec![of_shop(secret(Algorithm::Hs256, SECRET), None)], &[SECRET], &[])
    }

    fn check(&self, token: &str) -> Result<Live, Verdict> {
        let token = authenticate(token, &self.ring, &self.policy.names, &hasher())
            .map_err(|invalid| Verdict::Refused(invalid.into()))?;
        let now = Timestamp::from_secs(NOW);
        admit(Arc::new(token), Purposes::Accepted, &self.policy, &self.revoked, now)
    }

    fn refusal(&self, token: &str) -> Option<Refusal> {
        match self.check(token) {
            Ok(_) => None,
            Err(Verdict::Refused(refusal)) => Some(refusal),
            Err(Verdict::Behind { rsq }) => panic!("behind {rsq}"),
        }
    }

    /// Adds an entry, committed in the second `at`.
    fn revoke(&mut self, kind: ScopeKind, key: ScopeKey, at: i64, until: Option<i64>) {
        let (seq, reason, actor) = (self.revoked.cursor().next(), Reason::Revoked, Actor::Operator);
        let (at, until) = (Timestamp::from_secs(at), until.map(Timestamp::from_secs));
        let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, until, actor: actor.clone() };
        let chain = feed::chain(&self.revoked.chain(), seq, &new, None);
        let entry = Entry { seq, kind, key, drop_after: None, reason, at, until, actor, chain };
        self.revoked.follow(&entry).expect("the next entry");
    }
}

/// The claims of an access token.
fn claims() -> Value {
    json!({
        "token_type": "access", "exp": NOW + 300, "iat": NOW, "jti": "9a7e", "user_id": "17", "qsid": "f0c1",
        "qsq": START.as_u64(), "role": "clerk"
    })
}

/// The claims with others in place of some; null removes one.
fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    claims
}

/// Signs as Simple JWT does, without a `kid`.
fn signed(claims: &Value) -> String {
    signed_with(r#"{"alg":"HS256","typ":"JWT"}"#, SECRET, &claims.to_string())
}

fn signed_with(header: &str, secret: &[u8], claims: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = aws_lc_rs::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn accepted_tokens_have_their_names_and_claims() {
    let live = Verifier::of_secret().check(&signed(&claims())).expect("a valid token");
    let named = live.named().expect("names");
    assert_eq!((named.namespace, named.session, named.token), (Some("shop"), Some("f0c1"), Some("9a7e")));
    assert_eq!((named.subject, named.position), (Some("17"), Some(START.as_u64())));
    assert_eq!((named.issued_at, named.expires_at), (NOW, NOW + 300));
    let json = live.authentic().claims_json(&TokenPolicy::default().names);
    assert_eq!(serde_json::from_slice::<Value>(&json).expect("JSON"), claims(), "under their own names");
}

#[test]
fn each_wrong_value_gets_its_refusal() {
    let verifier = Verifier::of_secret();
    let invalid = |invalid: Invalid| Some(Refusal::from(invalid));
    let long = "x".repeat(256);
    let cases = [
        (json!({}), None),
        (json!({ "token_type": "service" }), None),
        (json!({ "user_id": 17 }), None),
        (json!({ "user_id": &long[1..], "qsid": &long[1..], "jti": &long[1..] }), None),
        (json!({ "exp": NOW + HOUR }), None),
        (json!({ "iat": null }), invalid(Invalid::Claim)),
        (json!({ "iat": NOW + 1 }), invalid(Invalid::NotYet)),
        (json!({ "nbf": NOW + 1 }), invalid(Invalid::NotYet)),
        (json!({ "exp": null }), Some(Refusal::TokenWithoutExp)),
        (json!({ "exp": NOW }), Some(Refusal::TokenExpired)),
        (json!({ "exp": NOW + HOUR + 1 }), invalid(Invalid::Lifetime)),
        (json!({ "token_type": null }), Some(Refusal::TokenWithoutType)),
        (json!({ "token_type": "refresh" }), Some(Refusal::TokenOfWrongType)),
        (json!({ "token_type": "other" }), Some(Refusal::TokenOfWrongType)),
        (json!({ "user_id": null }), Some(Refusal::TokenWithoutUser)),
        (json!({ "jti": null }), Some(Refusal::TokenWithoutId)),
        (json!({ "qsid": 5 }), invalid(Invalid::Claim)),
        (json!({ "qsid": "" }), invalid(Invalid::Claim)),
        (json!({ "qsq": "5" }), invalid(Invalid::Claim)),
        (json!({ "qsq": -1 }), invalid(Invalid::Claim)),
        (json!({ "qsq": true }), invalid(Invalid::Claim)),
        // No revocation could name them.
        (json!({ "user_id": long }), invalid(Invalid::Claim)),
        (json!({ "qsid": long }), invalid(Invalid::Claim)),
        (json!({ "jti": long }), invalid(Invalid::Claim)),
        // Claims of quash's own tokens.
        (json!({ "sid": "ab".repeat(16) }), invalid(Invalid::Claim)),
        (json!({ "rsq": 5 }), invalid(Invalid::Claim)),
        (json!({ "gen": 0 }), invalid(Invalid::Claim)),
    ];
    for (changes, expected) in cases {
        assert_eq!(verifier.refusal(&signed(&with(&changes))), expected, "{changes}");
    }
    let twice = claims().to_string().replacen('{', r#"{"qsid":"other","#, 1);
    let twice = signed_with(r#"{"alg":"HS256"}"#, SECRET, &twice);
    assert_eq!(verifier.refusal(&twice), invalid(Invalid::Malformed));
}

#[test]
fn claims_of_quash_may_be_names_in_a_namespace() {
    let (session, position) = (Some("sid".to_owned()), Some("rsq".to_owned()));
    let named = NamespaceClaims { session, position, subject: "gen".into(), token: None };
    let namespace = Namespace { claims: named, ..shop() };
    let key = key_of(&namespace, secret(Algorithm::Hs256, SECRET), None);
    let verifier = Verifier::new(namespace, vec![key], &[SECRET], &[]);
    let claims = json!({
        "token_type": "access", "exp": NOW + 300, "iat": NOW, "sid": "f0c1", "rsq": START.as_u64(), "gen": "17",
        "user_id": ["a custom claim"]
    });
    let live = verifier.check(&signed(&claims)).expect("a valid token");
    let named = live.named().expect("names");
    assert_eq!((named.session, named.token, named.subject), (Some("f0c1"), None, Some("17")));
    let json = live.authentic().claims_json(&TokenPolicy::default().names);
    assert_eq!(serde_json::from_slice::<Value>(&json).expect("JSON"), claims);
}

#[test]
fn only_known_secrets_unlock_a_namespaces_keys() {
    let key = || vec![of_shop(secret(Algorithm::Hs256, SECRET), None)];
    let token = signed(&claims());
    let verifier = |secrets: &[&[u8]]| Verifier::new(shop(), key(), secrets, &[]);
    assert_eq!(verifier(&[b"another", SECRET]).refusal(&token), None);
    for secrets in [&[][..], &[&b"another"[..]], &[&b""[..]]] {
        let verifier = verifier(secrets);
        assert_eq!((verifier.refusal(&token), verifier.unusable), (Some(Invalid::Key.into()), 1));
    }
    let forged = signed_with(r#"{"alg":"HS256"}"#, &[5; 32], &claims().to_string());
    assert_eq!(verifier(&[SECRET]).refusal(&forged), Some(Invalid::Signature.into()));
    // The algorithm is the key's: quash's own secret isn't one of the namespace's, nor is another algorithm.
    let own = signed_with(r#"{"alg":"HS256","kid":"own"}"#, &[9; 32], &claims().to_string());
    assert_eq!(verifier(&[SECRET, &[9; 32]]).refusal(&own), Some(Invalid::Key.into()));
    for header in [r#"{"alg":"HS512"}"#, r#"{"alg":"EdDSA"}"#] {
        let token = signed_with(header, SECRET, &claims().to_string());
        assert_eq!(verifier(&[SECRET]).refusal(&token), Some(Invalid::Key.into()), "{header}");
    }
    let none = signed_with(r#"{"alg":"none"}"#, SECRET, &claims().to_string());
    assert_eq!(verifier(&[SECRET]).refusal(&none), Some(Invalid::Algorithm.into()));
}

#[test]
fn public_keys_arrive_with_the_policy() {
    let signing = SigningKey::new(Algorithm::EdDsa, &[3; 32], None).expect("a key");
    let of_token = || Some(signing.verifying().kid().clone());
    let named = of_shop(signing.verifying().clone().renamed(Some(kid("of-quash"))), of_token());
    let token = signing.sign(claims().to_string().as_bytes()).expect("a signature");
    assert_eq!(Verifier::new(shop(), vec![named.clone()], &[], &[]).refusal(&token), None);
    let unnamed = ForeignKey { token_kid: None, ..named.clone() };
    let refusal = Verifier::new(shop(), vec![unnamed], &[], &[]).refusal(&token);
    assert_eq!(refusal, Some(Invalid::Key.into()), "the key is for tokens without a kid");
    let wiki = Namespace { name: "wiki".into(), ..shop() };
    let of_wiki = key_of(&wiki, signing.verifying().clone(), of_token());
    let refusal = Verifier::new(shop(), vec![of_wiki], &[], &[]).refusal(&token);
    assert_eq!(refusal, Some(Invalid::Key.into()), "a key of another namespace");
}

#[test]
fn keys_have_their_own_issuer_and_audience() {
    let of = |iss: Expected<String>, aud: Expected<Vec<String>>, audience: &[&str], changes: Value| {
        let mut key = of_shop(secret(Algorithm::Hs256, SECRET), None);
        key.issuer = Arc::new(Issuer { iss, aud, ..(*key.issuer).clone() });
        Verifier::new(shop(), vec![key], &[SECRET], audience).refusal(&signed(&with(&changes)))
    };
    let exactly = |iss: &str| Expected::Exactly(iss.to_owned());
    let one_of = |aud: &[&str]| Expected::Exactly(aud.iter().map(|aud| (*aud).to_owned()).collect());
    let (wrong_iss, wrong_aud) = (Some(Invalid::Issuer.into()), Some(Invalid::Audience.into()));
    assert_eq!(of(exactly("a"), Expected::Anything, &[], json!({ "iss": "a" })), None);
    assert_eq!(of(exactly("a"), Expected::Anything, &[], json!({ "iss": "b" })), wrong_iss);
    assert_eq!(of(exactly("a"), Expected::Anything, &[], json!({})), wrong_iss);
    let aud = |aud, audience: &[&str], said| of(Expected::Anything, aud, audience, json!({ "aud": said }));
    assert_eq!(aud(one_of(&["a", "b"]), &[], json!(["b", "c"])), None);
    assert_eq!(aud(one_of(&["a", "b"]), &[], json!("c")), wrong_aud);
    assert_eq!(aud(one_of(&["a"]), &[], Value::Null), wrong_aud);
    // The application's own audiences are required as well.
    assert_eq!(aud(Expected::Anything, &["a"], json!("a")), None);
    assert_eq!(aud(Expected::Anything, &["a"], json!("b")), wrong_aud);
    assert_eq!(aud(one_of(&["a", "b"]), &["b", "c"], json!("b")), None);
    assert_eq!(aud(one_of(&["a", "b"]), &["b", "c"], json!("a")), wrong_aud);
    assert_eq!(aud(one_of(&["a"]), &["c"], json!("a")), wrong_aud);
}

#[test]
fn every_scope_of_the_namespace_revokes() {
    let of = |kind, name: &str| (kind, hasher().key_in("shop", kind, name));
    let everything = (ScopeKind::Everything, hasher().key(&Scope::Everything));
    let key = (ScopeKind::Key, hasher().key_of(ScopeKind::Key, "made-by-quash"));
    let revoked = Some(Refusal::TokenRevoked(None));
    for (kind, scope) in [
        of(ScopeKind::Session, "f0c1"),
        of(ScopeKind::Token, "9a7e"),
        of(ScopeKind::Subject, "17"),
        (ScopeKind::Client, hasher().everything_in("shop")),
        everything,
        key,
    ] {
        let mut verifier = Verifier::of_secret();
        verifier.revoke(kind, scope, NOW - HOUR, None);
        assert_eq!(verifier.refusal(&signed(&claims())), revoked, "{kind:?}");
        let younger = signed(&with(&json!({ "qsq": START.next().as_u64() })));
        assert_eq!(verifier.refusal(&younger).is_some(), kind.is_presence(), "{kind:?}");
    }
    for (kind, scope) in [
        of(ScopeKind::Session, "another"),
        of(ScopeKind::Subject, "f0c1"),
        (ScopeKind::Session, hasher().key_of(ScopeKind::Session, "f0c1")),
        (ScopeKind::Subject, hasher().user_id("17")),
        (ScopeKind::Client, hasher().everything_in("wiki")),
    ] {
        let mut verifier = Verifier::of_secret();
        verifier.revoke(kind, scope, NOW, None);
        assert_eq!(verifier.refusal(&signed(&claims())), None, "{kind:?}");
    }
}

#[test]
fn positions_decide_and_times_replace_them() {
    let mut verifier = Verifier::of_secret();
    let subject = hasher().user_id_in("shop", "17");
    verifier.revoke(ScopeKind::Subject, subject, NOW - 1, None);
    let of = |changes: Value| signed(&with(&changes));
    assert!(verifier.refusal(&of(json!({ "qsq": null, "iat": NOW - 1 }))).is_some(), "in the same second");
    assert_eq!(verifier.refusal(&of(json!({ "qsq": null }))), None);
    let ahead = verifier.check(&of(json!({ "qsq": START.next().next().as_u64() })));
    assert_eq!(ahead.map(drop), Err(Verdict::Behind { rsq: START.next().next() }));
    // An event that was reported late spares tokens issued more than five seconds after it.
    let mut late = Verifier::of_secret();
    late.revoke(ScopeKind::Subject, subject, NOW, Some(NOW - 100));
    assert!(late.refusal(&of(json!({ "iat": NOW - 95 }))).is_some());
    assert_eq!(late.refusal(&of(json!({ "iat": NOW - 94 }))), None);
}

#[test]
fn forgotten_entries_and_new_epochs_cover_verified_tokens() {
    let of = |changes: Value| signed(&with(&changes));
    let verifier = || {
        let mut verifier = Verifier::of_secret();
        verifier.revoke(ScopeKind::Session, hasher().key_in("shop", ScopeKind::Session, "x"), NOW, None);
        verifier
    };
    let (known, unknown) = (START.next().as_u64(), START.as_u64());
    let mut forgetful = verifier();
    let (at, until) = (Timestamp::from_secs(NOW - HOUR), Timestamp::from_secs(NOW + 60));
    forgetful.revoked = forgetful.revoked.forgetting(Forgotten { seq: START.next(), at, until });
    assert!(forgetful.refusal(&of(json!({ "qsq": unknown }))).is_some(), "before the forgotten entry");
    assert_eq!(forgetful.refusal(&of(json!({ "qsq": known }))), None, "it lives longer");
    assert!(forgetful.refusal(&of(json!({ "qsq": unknown, "exp": NOW + 60 }))).is_some());
    let early = json!({ "qsq": known, "iat": NOW - HOUR + 60, "exp": NOW + 60 });
    assert!(forgetful.refusal(&of(early)).is_some(), "may be of a forgotten session");
    let mut restored = verifier();
    restored.revoke(ScopeKind::Everything, hasher().key(&Scope::Everything), NOW, None);
    assert!(restored.refusal(&of(json!({ "qsq": known }))).is_some());
    assert!(restored.refusal(&of(json!({ "qsq": null }))).is_some());
}

/// Public keys of a namespace, each named in tokens by its own id.
fn public_keys(namespace: &Namespace, numbers: std::ops::Range<u16>) -> Vec<ForeignKey> {
    let key = |number: u16| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let signing = SigningKey::new(Algorithm::EdDsa, &seed, None).expect("a key");
        let token_kid = Some(signing.verifying().kid().clone());
        key_of(namespace, signing.verifying().clone(), token_kid)
    };
    numbers.map(key).collect()
}

#[test]
fn keys_beyond_the_policys_size_are_left_out() {
    let keys = public_keys(&shop(), 0..400);
    let beyond = keys_beyond_policy(&keys);
    assert!((1..300).contains(&beyond), "{beyond}");
    let verifier = Verifier::new(shop(), keys, &[], &[]);
    assert_eq!(verifier.ring.keys().count(), 400 - beyond);
}

#[test]
fn many_keys_of_a_namespace_displace_no_others() {
    let wiki = || Namespace { name: "wiki".into(), ..shop() };
    let of_shop = |keys: Vec<ForeignKey>| Verifier::new(shop(), keys, &[], &[]).ring.keys().count();
    let alone = keys_beyond_policy(&public_keys(&wiki(), 0..400));
    // Wherever they are in the list, all of the shop's few keys are sent, and the wiki's fill what is left.
    let behind = [public_keys(&wiki(), 0..400), public_keys(&shop(), 400..420)].concat();
    let before = [public_keys(&shop(), 400..420), public_keys(&wiki(), 0..400)].concat();
    for keys in [behind, before] {
        assert_eq!(keys_beyond_policy(&keys), alone + 20);
        assert_eq!(of_shop(keys), 20);
    }
    // Two namespaces with too many keys get half of the room each.
    let both = [public_keys(&wiki(), 0..400), public_keys(&shop(), 400..800)].concat();
    let sent = 800 - keys_beyond_policy(&both);
    assert_eq!((sent, of_shop(both)), (400 - alone, (400 - alone) / 2));
}

/// Members that a newer issuer may add are ignored, and so are keys of a kind unknown here.
#[test]
fn unknown_kinds_of_keys_are_ignored() {
    let ring = KeyRing::with_foreign(1, Vec::new(), vec![of_shop(secret(Algorithm::Hs256, SECRET), None)]);
    let sent = TokenPolicy { namespaces: vec![shop()], ..TokenPolicy::default() };
    let sent = FeedPolicy::of(&sent, [1; 16], Duration::from_secs(10), &ring).expect("a policy");
    let mut text: Value = serde_json::to_value(&sent).expect("JSON");
    let keys = text["namespaces"][0]["keys"].as_array_mut().expect("keys");
    let known = keys[0].clone();
    assert_eq!(known["secret"]["kid"], Value::Null);
    let mut future = known.clone();
    future["secret"]["alg"] = "HS1024".into();
    keys.push(future);
    keys.push(json!({ "id": "a", "iss": null, "aud": null, "quantum": { "k": "…" } }));
    keys.push(
        json!({ "id": "b", "iss": null, "aud": null, "jwk": { "kty": "oct", "k": "AAAA", "alg": "HS256" } }),
    );
    let members = text.as_object_mut().expect("members");
    members.remove("digest");
    let canonical = serde_json::to_string(&sorted(&text)).expect("text");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical.as_bytes());
    text["digest"] = URL_SAFE_NO_PAD.encode(digest).into();
    let read: FeedPolicy = serde_json::from_value(text).expect("a newer policy");
    let keys = read.namespace_keys("shop", &[SECRET], &[]).expect("readable").expect("a namespace");
    assert_eq!((keys.keys.len(), keys.unusable), (1, 3));
    assert!(read.namespace_keys("shpo", &[SECRET], &[]).expect("readable").is_none());
}

/// The value with the members of each object in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
