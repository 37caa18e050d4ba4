//! What a check costs, beside what it can't do without. Prints one line a figure for `cargo xtask bench`:
//! `figure <name> <ours> <baseline>`, in nanoseconds, each the best of many short rounds taken in turn.
#![expect(clippy::disallowed_methods, reason = "a bench measures time, and is asked for figures by its arguments")]
#![expect(clippy::print_stdout, reason = "a bench tells what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quash_core::model::{
    Actor, Clock, Entry, Keep, Kid, NewEntry, Reason, Scope, ScopeHasher, Seeded, Seq, SessionId, Subject, Timestamp, TokenPolicy,
};
use quash_core::token::{Algorithm, Grant, KeyRing, SigningKey, TokenType, mint_access};
use quash_core::watch::{Revoked, feed};
use quash_verify::{Guard, GuardSetup, guard};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TOKENS: usize = 500;
const ENTRIES: usize = 100_000;
const ROUNDS: usize = 40;

fn main() {
    let revoked = log_of(ENTRIES);
    for (algorithm, name) in [(Algorithm::EdDsa, "never seen, EdDSA"), (Algorithm::Hs256, "never seen, HS256")] {
        if !is_asked_for(name) {
            continue;
        }
        let key = SigningKey::new(algorithm, &[7; 32], Kid::parse("k").ok()).expect("a key");
        let tokens = tokens(&key, TOKENS);
        let (ours, bare) = in_turn(
            || {
                let guard = guard_of(&key, &revoked);
                each(&tokens, |token| guard.check_now(token, TokenType::Access).is_ok())
            },
            || bare_verification(algorithm, &key, &tokens),
        );
        figure(name, ours, bare);
    }
    if !is_asked_for("seen before") {
        return;
    }
    let key = SigningKey::new(Algorithm::EdDsa, &[7; 32], None).expect("a key");
    let tokens = tokens(&key, 200);
    let guard = guard_of(&key, &revoked);
    let again = || each(&tokens, |token| guard.check_now(token, TokenType::Access).is_ok());
    again();
    let authentic: Vec<_> = tokens.iter().map(|token| guard.authenticate(token).expect("a token of ours")).collect();
    let scopes: Vec<_> = authentic.iter().map(|token| token.scopes().to_vec()).collect();
    let (known, covers) = in_turn(again, || {
        let started = Instant::now();
        for scopes in &scopes {
            assert!(!black_box(revoked.covers(black_box(Seq::MAX), scopes)));
        }
        started.elapsed().as_nanos() as f64 / scopes.len() as f64
    });
    figure("seen before", known, covers);
}

/// All figures are asked for, or one by its name.
fn is_asked_for(name: &str) -> bool {
    std::env::args().skip(1).find(|arg| !arg.starts_with('-')).is_none_or(|asked| asked == name)
}

fn figure(name: &str, ours: f64, baseline: f64) {
    println!("figure {name} {ours:.1} {baseline:.1}");
}

/// The best of each side's rounds: what the machine's neighbours add is never less than nothing.
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

/// The signature alone, by the same library, over the same bytes, with the key parsed once.
fn bare_verification(algorithm: Algorithm, key: &SigningKey, tokens: &[String]) -> f64 {
    use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
    let jwks = serde_json::to_value(KeyRing::new(1, vec![key.verifying().clone()]).jwks()).expect("JSON");
    let public = jwks["keys"][0]["x"].as_str().map(|x| URL_SAFE_NO_PAD.decode(x).expect("base64url"));
    let public = public.map(|public| ParsedPublicKey::new(&ED25519, &public).expect("a public key"));
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
    let parts: Vec<_> = tokens.iter().map(|token| token.rsplit_once('.').expect("a signature")).collect();
    let parts: Vec<_> = parts.iter().map(|(text, tag)| (text.as_bytes(), URL_SAFE_NO_PAD.decode(tag).expect("base64url"))).collect();
    let started = Instant::now();
    for (text, tag) in &parts {
        let good = match (algorithm, &public) {
            (Algorithm::EdDsa, Some(public)) => public.verify_sig(text, tag).is_ok(),
            _ => aws_lc_rs::hmac::verify(&secret, text, tag).is_ok(),
        };
        assert!(black_box(good));
    }
    started.elapsed().as_nanos() as f64 / parts.len() as f64
}

fn tokens(key: &SigningKey, count: usize) -> Vec<String> {
    let (entropy, policy) = (Seeded::new(1), TokenPolicy::default());
    let grant = |_| Grant {
        session: SessionId::new(NOW, &entropy),
        subject: Subject::new(NOW, &entropy),
        rsq: Seq::start_of(1),
        ends_at: None,
        refresh: None,
    };
    (0..count).map(grant).map(|grant| mint_access(&grant, &policy, key, NOW, &entropy)).collect()
}

fn guard_of(key: &SigningKey, revoked: &Revoked) -> Guard {
    let scopes = ScopeHasher::ours([1; 16]);
    let setup = GuardSetup { policy: TokenPolicy::default(), scopes, clock: Arc::new(Stopped), cache_key: [2; 16] };
    guard(setup, revoked.clone(), KeyRing::new(1, vec![key.verifying().clone()])).0
}

fn log_of(entries: usize) -> Revoked {
    let (entropy, hasher) = (Seeded::new(3), ScopeHasher::ours([1; 16]));
    let (mut seq, mut chain) = (Seq::start_of(1), feed::EMPTY);
    let mut log = Vec::with_capacity(entries);
    for _ in 0..entries {
        seq = seq.next();
        let scope = Scope::Session(SessionId::new(NOW, &entropy));
        let (kind, key, reason, at, actor) = (scope.kind(), hasher.key(&scope), Reason::LogOut, NOW, Actor::Owner);
        let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, actor: actor.clone() };
        chain = feed::chain(&chain, seq, &new, None);
        log.push(Entry { seq, kind, key, drop_after: None, reason, at, actor, chain });
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
