//! Tokens. The first byte chooses between raw tokens and claims that are signed here, so that the code behind
//! the signature check is reached, too.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quash_core::decide::{PresentedForeign, TokenRequest};
use quash_core::model::{ForeignTokens, Kid, ScopeHasher, Seq, Timestamp, TokenPolicy};
use quash_core::token::{
    Algorithm, Authentic, Expected, ForeignKey, Issuer, KeyRing, Minted, Origin, SigningKey, TokenType,
    Unverified, authenticate,
};
use quash_core::watch::Revoked;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TYPES: [TokenType; 3] = [TokenType::Access, TokenType::Refresh, TokenType::Sliding];

struct World {
    ours: SigningKey,
    theirs: SigningKey,
    ring: KeyRing,
    policy: TokenPolicy,
    scopes: ScopeHasher,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let key = |algorithm, byte: u8, kid: &str| {
        SigningKey::new(algorithm, &[byte; 64], Kid::parse(kid).ok()).expect("a key")
    };
    let (ours, theirs) = (key(Algorithm::Hs512, 7, "ours"), key(Algorithm::Hs256, 9, "theirs"));
    let scopes = ScopeHasher::ours([3; 16]);
    let issuer = Arc::new(Issuer {
        name: "theirs".into(),
        scopes: scopes.in_namespace(""),
        max_lifetime: Duration::from_secs(30 * 86_400),
        iss: Expected::Anything,
        aud: Expected::Anything,
    });
    let foreign = ForeignKey { key: theirs.verifying().clone(), named: true, issuer };
    let ring = KeyRing::with_foreign(1, vec![ours.verifying().clone()], vec![foreign]);
    World {
        ours,
        theirs,
        ring,
        policy: TokenPolicy { foreign: ForeignTokens::Accept, ..TokenPolicy::default() },
        scopes,
    }
});

pub(super) fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 3 {
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
        _ => judge(&WORLD.theirs, rest),
    }
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
