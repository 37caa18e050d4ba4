//! Measures checks against the least that they could cost. Prints a line for each figure, for `cargo xtask
//! bench`: `figure <name> <ours> <baseline>`, in nanoseconds, each the best of many short alternating rounds.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time, and its arguments select figures")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{
    Actor, Clock, CustomClaims, Entry, Keep, Kid, NewEntry, Reason, Scope, ScopeHasher, Seeded, Seq,
    SessionId, Subject, Timestamp, TokenPolicy,
};
use quash_core::token::{
    Algorithm, Bearer, Grant, Issued, KeyRing, Minted, Minting, RefreshKey, SigningKey, TokenType, Tokens,
    mint,
};
use quash_core::watch::{Revoked, feed};
use quash_verify::issuer::{Guard, GuardSetup, guard};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TOKENS: usize = 500;
const ENTRIES: usize = 100_000;
const ROUNDS: usize = 40;

fn main() {
    let revoked = log_of(ENTRIES);
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Es256, Algorithm::Hs256] {
        let name = &format!("never seen, {}", algorithm.as_str());
        if !is_asked_for(name) {
            continue;
        }
        let key = key_of(algorithm);
        let tokens = tokens(&key, TOKENS);
        let (ours, bare) = in_turn(
            || {
                let guard = guard_of(&key, &revoked);
                each(&tokens, |token| guard.check_now(token, &[TokenType::Access]).is_ok())
            },
            || bare_verification(algorithm, &key, &tokens),
        );
        figure(name, ours, bare);
    }
    if is_asked_for("bytes per entry") {
        figure("bytes per entry", bytes_per_entry(1_000_000), 0.0);
    }
    if !is_asked_for("seen before") {
        return;
    }
    let key = SigningKey::new(Algorithm::EdDsa, &[7; 32], None).expect("a key");
    let tokens = tokens(&key, 200);
    let guard = guard_of(&key, &revoked);
    let again = || each(&tokens, |token| guard.check_now(token, &[TokenType::Access]).is_ok());
    again();
    let authentic: Vec<_> =
        tokens.iter().map(|token| guard.authenticate_now(token).expect("a token of ours")).collect();
    let scopes: Vec<_> = authentic.iter().map(|token| token.scopes().to_vec()).collect();
    let (known, covers) = in_turn(again, || {
        let started = Instant::now();
        for scopes in &scopes {
            assert!(!black_box(revoked.covers(black_box(Minted::At(Seq::MAX)), scopes)));
        }
        started.elapsed().as_nanos() as f64 / scopes.len() as f64
    });
    figure("seen before", known, covers);
}

/// Returns whether this figure was requested: all are by default, or one by its name.
fn is_asked_for(name: &str) -> bool {
    std::env::args().skip(1).find(|arg| !arg.starts_with('-')).is_none_or(|asked| asked == name)
}

fn figure(name: &str, ours: f64, baseline: f64) {
    println!("figure {name} {ours:.1} {baseline:.1}");
}

/// Returns the best round of each side: other load on the machine only ever adds time.
fn in_turn(mut ours: impl FnMut() -> f64, mut baseline: impl FnMut() -> f64) -> (f64, f64) {
    (0..ROUNDS).fold((f64::MAX, f64::MAX), |(one, other), _| (one.min(ours()), other.min(baseline())))
}

fn each(tokens: &[String], check: impl Fn(&str) -> bool) -> f64 {
    let started = Instant::now();
    for token in tokens {
        assert!(check(black_box(token)));
    }
    started.elapsed().as_nanos() as f64 / tokens.len() as f64
}

fn key_of(algorithm: Algorithm) -> SigningKey {
    let secret = match algorithm {
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            pair.to_pkcs8v1().expect("PKCS #8").as_ref().to_vec()
        }
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
            let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS #8");
            der.as_ref().to_vec()
        }
        _ => vec![7; 32],
    };
    SigningKey::new(algorithm, &secret, Kid::parse("k").ok()).expect("a key")
}

/// Measures the bare signature verification by the same library over the same bytes, with the key parsed
/// once.
fn bare_verification(algorithm: Algorithm, key: &SigningKey, tokens: &[String]) -> f64 {
    let public = public_key(algorithm, key);
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
    let parts: Vec<_> = tokens.iter().map(|token| token.rsplit_once('.').expect("a signature")).collect();
    let parts: Vec<_> = parts
        .iter()
        .map(|(text, tag)| (text.as_bytes(), URL_SAFE_NO_PAD.decode(tag).expect("base64url")))
        .collect();
    let started = Instant::now();
    for (text, tag) in &parts {
        let good = match &public {
            Some(public) => public.verify_sig(text, tag).is_ok(),
            None => aws_lc_rs::hmac::verify(&secret, text, tag).is_ok(),
        };
        assert!(black_box(good));
    }
    started.elapsed().as_nanos() as f64 / parts.len() as f64
}

/// Returns the key as the library parses it from its public form, or `None` for a secret.
fn public_key(algorithm: Algorithm, key: &SigningKey) -> Option<ParsedPublicKey> {
    let jwks = serde_json::to_value(KeyRing::new(1, vec![key.verifying().clone()]).jwks()).expect("JSON");
    let member = |name: &str| {
        URL_SAFE_NO_PAD.decode(jwks["keys"][0][name].as_str().expect("a member")).expect("base64url")
    };
    match algorithm {
        Algorithm::EdDsa => ParsedPublicKey::new(&ED25519, member("x")).ok(),
        Algorithm::Es256 => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], &member("x"), &member("y")].concat())
                .ok()
        }
        Algorithm::Rs256 => {
            let components = RsaPublicKeyComponents { n: member("n"), e: member("e") };
            components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
        }
        _ => None,
    }
}

fn tokens(key: &SigningKey, count: usize) -> Vec<String> {
    let (entropy, policy) = (Seeded::new(1), TokenPolicy::default());
    let grant = |_| Grant {
        session: SessionId::new(NOW, &entropy),
        bearer: Bearer {
            user_id: Subject::new(NOW, &entropy).to_string(),
            password_mark: None,
            claims: CustomClaims::default(),
        },
        rsq: Seq::start_of(1),
        ring: 0,
        settings: 0,
        ends_at: None,
        tokens: Tokens::Access,
    };
    let minting = Minting { policy: &policy, key, refresh_key: key, secret: &RefreshKey::new(&[1; 32]) };
    let access = |grant: Grant| match mint(&grant, minting, NOW, &entropy) {
        Ok(Issued::Access { access }) => access,
        other => panic!("an access token: {other:?}"),
    };
    (0..count).map(grant).map(access).collect()
}

fn guard_of(key: &SigningKey, revoked: &Revoked) -> Guard {
    let scopes = ScopeHasher::ours([1; 16]);
    let setup = GuardSetup {
        policy: TokenPolicy::default(),
        scopes,
        clock: Arc::new(Stopped),
        cache_key: [2; 16],
        key_fetcher: None,
    };
    guard(setup, revoked.clone(), KeyRing::new(1, vec![key.verifying().clone()])).0
}

/// Measures the memory of this process that each entry of a set of ended sessions takes.
fn bytes_per_entry(entries: u32) -> f64 {
    let hasher = ScopeHasher::ours([1; 16]);
    let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
    let mut revoked = Revoked::empty(seq, chain);
    let before = resident_bytes();
    for number in 0..entries {
        seq = seq.next();
        let scope = Scope::Token(number.to_string());
        let (kind, key, reason, at, actor) =
            (scope.kind(), hasher.key(&scope), Reason::LogOut, NOW, Actor::Owner);
        let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, until: None, actor: actor.clone() };
        chain = feed::chain(&chain, seq, &new, None);
        revoked
            .follow(&Entry { seq, kind, key, drop_after: None, reason, at, until: None, actor, chain })
            .expect("in order");
    }
    let added = resident_bytes() - before;
    assert_eq!(black_box(&revoked).len(), entries as usize);
    added / f64::from(entries)
}

/// Returns the second number of `/proc/self/statm`, in bytes: it counts pages of 4 KiB.
fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).expect("a number") * 4096.0
}

fn log_of(entries: usize) -> Revoked {
    let (entropy, hasher) = (Seeded::new(3), ScopeHasher::ours([1; 16]));
    let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
    let mut log = Vec::with_capacity(entries);
    for _ in 0..entries {
        seq = seq.next();
        let scope = Scope::Session(SessionId::new(NOW, &entropy));
        let (kind, key, reason, at, actor) =
            (scope.kind(), hasher.key(&scope), Reason::LogOut, NOW, Actor::Owner);
        let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, until: None, actor: actor.clone() };
        chain = feed::chain(&chain, seq, &new, None);
        log.push(Entry { seq, kind, key, drop_after: None, reason, at, until: None, actor, chain });
    }
    Revoked::from_snapshot(seq, chain, &log)
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}
