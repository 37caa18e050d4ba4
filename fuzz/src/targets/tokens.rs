//! Tokens. The first byte chooses between raw tokens and claims that are signed here, so that the code behind
//! the signature check is reached, too.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quash_core::decide::{PresentedForeign, TokenRequest};
use quash_core::model::{
    ForeignTokens, Kid, Namespace, NamespaceClaims, ScopeHasher, Seq, Timestamp, TokenPolicy,
};
use quash_core::token::{
    Algorithm, Authentic, Claims, Expected, ForeignKey, Issuer, KeyRing, Minted, Origin, Purposes,
    SigningKey, TokenType, Unverified, authenticate,
};
use quash_core::watch::{Revoked, admit};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TYPES: [TokenType; 3] = [TokenType::Access, TokenType::Refresh, TokenType::Sliding];

struct World {
    ours: SigningKey,
    theirs: SigningKey,
    /// The key of a namespace.
    shop: SigningKey,
    ring: KeyRing,
    policy: TokenPolicy,
    scopes: ScopeHasher,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let key = |algorithm, byte: u8, kid: &str| {
        SigningKey::new(algorithm, &[byte; 64], Kid::parse(kid).ok()).expect("a key")
    };
    let (ours, theirs) = (key(Algorithm::Hs512, 7, "ours"), key(Algorithm::Hs256, 9, "theirs"));
    let shop = key(Algorithm::Hs384, 11, "shop");
    let scopes = ScopeHasher::ours([3; 16]);
    let issuer = Arc::new(Issuer {
        name: "theirs".into(),
        scopes: scopes.in_namespace(""),
        max_lifetime: Duration::from_secs(30 * 86_400),
        iss: Expected::Anything,
        aud: Expected::Anything,
        namespace: None,
        dropped: Vec::new(),
    });
    let foreign =
        ForeignKey { key: theirs.verifying().clone(), token_kid: Kid::parse("theirs").ok(), issuer };
    let namespace = Issuer {
        scopes: scopes.in_namespace("shop"),
        namespace: Some(namespace()),
        ..(*foreign.issuer).clone()
    };
    let of_shop = ForeignKey {
        key: shop.verifying().clone(),
        token_kid: Kid::parse("shop").ok(),
        issuer: Arc::new(namespace),
    };
    let ring = KeyRing::with_foreign(1, vec![ours.verifying().clone()], vec![foreign, of_shop]);
    World {
        ours,
        theirs,
        shop,
        ring,
        policy: TokenPolicy { foreign: ForeignTokens::Accept, ..TokenPolicy::default() },
        scopes,
    }
});

pub(super) fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 4 {
        0 => {
            let Ok(text) = str::from_utf8(rest) else { return };
            if let Ok(token) = Unverified::parse(text) {
                let _ = (token.header(), token.payload_unverified());
            }
            assert!(
                authenticate(text, &WORLD.ring, &WORLD.policy.names, &WORLD.scopes).is_err(),
                "no key has signed this: {text}"
            );
        }
        1 => judge(&WORLD.ours, rest),
        2 => judge(&WORLD.theirs, rest),
        _ => judge_named(rest),
    }
}

fn namespace() -> Namespace {
    let (session, position) = (Some("qsid".to_owned()), Some("qsq".to_owned()));
    Namespace {
        name: "shop".into(),
        max_lifetime: Duration::from_secs(86_400),
        accepted: vec!["access".into(), "service".into()],
        claims: NamespaceClaims { session, position, ..NamespaceClaims::default() },
    }
}

/// Checks a token of a namespace: every accepted one can be revoked by each of its names.
fn judge_named(claims: &[u8]) {
    let text = WORLD.shop.sign(claims).expect("a signature");
    let Ok(token) = authenticate(&text, &WORLD.ring, &WORLD.policy.names, &WORLD.scopes) else { return };
    let revoked = Revoked::empty(Seq::from_u64(u64::MAX), [0; 32]);
    let Ok(live) = admit(Arc::new(token), Purposes::Accepted, &WORLD.policy, &revoked, NOW) else { return };
    let (named, said) = (live.named().expect("it has names"), live.claims());
    assert!(named.issued_at <= NOW.as_secs() && named.expires_at > NOW.as_secs(), "{said:?}");
    assert!(named.expires_at - named.issued_at <= 30 * 86_400, "{said:?}");
    assert!(named.subject.is_some() && named.token.is_some(), "{said:?}");
    assert!(matches!(said.type_name(), Some("access" | "service")), "{said:?}");
    assert!(said.sid.is_none() && said.rsq.is_none() && said.generation.is_none());
    assert!(said.custom.iter().all(|(name, _)| !matches!(name.as_str(), "sid" | "rsq" | "gen")), "{said:?}");
    let mut policy = WORLD.policy.clone();
    policy.namespaces.push(Namespace { max_lifetime: Duration::from_secs(30 * 86_400), ..namespace() });
    let scopes = named.scopes(&policy, &WORLD.scopes, NOW).expect("a revocation can name it");
    let own = &live.authentic().scopes()[1..];
    let is_same = own.len() == scopes.len() && scopes.iter().all(|scope| own.contains(scope));
    assert!(is_same, "the token and its names have the same scopes: {own:?}, {scopes:?}");
    let json = live.authentic().claims_json(&WORLD.policy.names);
    assert_eq!(Claims::parse_in(&json, &WORLD.policy.names, &namespace().claims).as_ref(), Ok(said));
}

fn judge(key: &SigningKey, claims: &[u8]) {
    let text = key.sign(claims).expect("a signature");
    let Ok(token) = authenticate(&text, &WORLD.ring, &WORLD.policy.names, &WORLD.scopes) else { return };
    let _ = Revoked::empty(Seq::ZERO, [0; 32]).covers(minted(&token), token.scopes());
    for purpose in TYPES {
        if token.check(&[purpose], &WORLD.policy, NOW).is_err() {
            continue;
        }
        let said = token.claims();
        let (exp, iat) = (said.exp.expect("it has one"), said.iat.expect("it has one"));
        assert!(exp > NOW.as_secs() && iat <= NOW.as_secs(), "{said:?}");
        assert_eq!(said.token_type, Some(purpose));
        assert!(said.jti.as_ref().is_some_and(|jti| !jti.is_empty()) && said.user_id.is_some(), "{said:?}");
        match token.origin() {
            Origin::Ours => {
                token.session_and_rsq().expect("a token of ours that holds has a session");
                let _ = TokenRequest::new(&token, purpose, &WORLD.policy, NOW);
            }
            Origin::Foreign(issuer) => {
                assert!(
                    exp - iat <= 30 * 86_400 && issuer.name == "theirs" && said.sid.is_none(),
                    "{said:?}"
                );
                let _ = PresentedForeign::new(&token, &WORLD.policy);
            }
        }
    }
}

fn minted(token: &Authentic) -> Minted {
    token.minted().unwrap_or(Minted::At(Seq::ZERO))
}
