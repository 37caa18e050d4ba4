//! Which tokens the cache keeps, for how long, and that no operation on it waits for another.

use std::cell::Cell;
use std::ptr;
use std::sync::{Weak, mpsc};
use std::thread;
use std::time::Duration;

use quash_core::model::Kid;
use quash_core::token::{Algorithm, SigningKey};

use super::*;
use crate::test::TestIssuer;

/// A cache, its key ring, and tokens of different users.
struct CacheFixture {
    known: TokenCache,
    ring: Arc<KeyRing>,
    tokens: Vec<Authentic>,
}

fn cache_fixture(tokens: usize) -> CacheFixture {
    let issuer = TestIssuer::new();
    let shared = Arc::clone(&issuer.verifier().inner.shared);
    let token_of = |user: usize| {
        shared.authenticate(issuer.token(&user.to_string()).mint().as_str()).expect("a token of the issuer")
    };
    let ring =
        shared.state.load().trust.as_ref().map(|trust| Arc::clone(&trust.ring)).expect("the issuer's keys");
    CacheFixture { known: TokenCache::new([2; 16]), ring, tokens: (0..tokens).map(token_of).collect() }
}

impl CacheFixture {
    /// Returns the verified token, which is this user's, or `None` if the cache had it.
    fn verified(&self, text: &str, version: u64, user: usize) -> Option<Arc<Authentic>> {
        let is_new = Cell::new(false);
        let verify = || {
            is_new.set(true);
            Ok(self.tokens[user].clone())
        };
        let token = self.known.get_or(text, &self.ring, version, verify).expect("a token");
        assert_eq!(user_of(&token), user, "{text} under {version}");
        is_new.get().then_some(token)
    }

    fn is_known(&self, text: &str, version: u64, user: usize) -> bool {
        self.verified(text, version, user).is_none()
    }

    /// Returns texts that go to the first set, unless it is fuller than their other one.
    fn neighbours(&self, count: usize) -> Vec<String> {
        let goes_there =
            |text: &String| ptr::eq(self.known.sets(self.known.hash(text))[0], &self.known.sets[0]);
        (0..).map(|number: u64| number.to_string()).filter(goes_there).take(count).collect()
    }
}

fn user_of(token: &Authentic) -> usize {
    token.claims().user_id.as_ref().and_then(|user| user.parse().ok()).expect("a number")
}

#[test]
fn a_text_is_verified_once_under_each_version() {
    let cache_fixture = cache_fixture(2);
    assert!(!cache_fixture.is_known("a", 0, 0));
    assert!(cache_fixture.is_known("a", 0, 0));
    assert!(!cache_fixture.is_known("b", 0, 1));
    assert!(cache_fixture.is_known("a", 0, 0));
    assert!(!cache_fixture.is_known("a", 1, 1), "another version verifies the text again");
    assert!(cache_fixture.is_known("a", 1, 1));
    assert!(!cache_fixture.is_known("a", 0, 0), "an older version verifies it again");
}

#[test]
fn refused_tokens_are_not_cached() {
    let cache_fixture = cache_fixture(1);
    for number in 0..1_000 {
        let refused = cache_fixture
            .known
            .get_or(&number.to_string(), &cache_fixture.ring, 0, || Err(Invalid::Signature));
        assert_eq!(refused.map(|_| ()), Err(Invalid::Signature));
    }
    assert!(cache_fixture.known.sets.iter().all(|set| set.load().len(0) == 0));
    assert!(!cache_fixture.is_known("0", 0, 0), "a refusal isn't cached");
}

#[test]
fn hmac_tokens_are_not_cached() {
    let mut cache_fixture = cache_fixture(1);
    let secret = SigningKey::new(Algorithm::Hs256, &[7; 32], Kid::parse("k").ok()).expect("a key");
    cache_fixture.ring = Arc::new(KeyRing::new(1, vec![secret.verifying().clone()]));
    assert!(!cache_fixture.is_known("a", 0, 0));
    assert!(!cache_fixture.is_known("a", 0, 0));
}

#[test]
fn the_cache_fills_up_and_never_overflows() {
    let cache_fixture = cache_fixture(1);
    let mut tokens: Vec<Weak<Authentic>> = Vec::new();
    let mut held_after = |texts: usize| {
        let more = (tokens.len()..texts)
            .map(|number| cache_fixture.verified(&number.to_string(), 0, 0).expect("a new one"));
        let more: Vec<_> = more.map(|token| Arc::downgrade(&token)).collect();
        tokens.extend(more);
        tokens.iter().filter(|token| token.strong_count() > 0).count()
    };
    let without_loss = TOKENS / 10 * 8;
    assert_eq!(held_after(without_loss), without_loss);
    let held = held_after(TOKENS + 1);
    assert!(held > TOKENS / 100 * 95, "{held}");
    assert_eq!(held_after(2 * TOKENS), TOKENS, "every slot is taken, and no token is in two");
    assert!(cache_fixture.is_known(&(2 * TOKENS - 1).to_string(), 0, 0), "the newest is cached");
}

#[test]
fn older_versions_then_oldest_tokens_are_evicted() {
    let token = Arc::new(cache_fixture(1).tokens.remove(0));
    let put = |set: Set, hash: usize, version: u64| {
        set.with(&Verified { hash: hash as u128, version, token: Arc::clone(&token) })
    };
    let has = |set: &Set, hash: usize, version: u64| set.find(hash as u128, version).is_some();
    let full = (0..TOKENS_IN_A_SET).fold(Set::default(), |set, hash| put(set, hash, 1));
    assert!((0..TOKENS_IN_A_SET).all(|hash| has(&full, hash, 1)));
    let again = put(Set::default().with(full.0[0].as_ref().expect("the newest")), TOKENS_IN_A_SET - 1, 1);
    assert_eq!(again.len(0), 1, "a token that two threads have verified takes one slot");
    let over = put(full, TOKENS_IN_A_SET, 1);
    assert!(!has(&over, 0, 1));
    assert!((1..=TOKENS_IN_A_SET).all(|hash| has(&over, hash, 1)));
    let late = put(over, TOKENS_IN_A_SET + 1, 0);
    assert_eq!(
        late.len(1),
        TOKENS_IN_A_SET - 1,
        "a slow insertion under an older version drops only the oldest token"
    );
    let turned = put(late, 7, 2);
    assert!(has(&turned, 7, 2));
    assert_eq!(turned.len(0), 1);
}

#[test]
fn tokens_in_one_set_are_not_confused() {
    let cache_fixture = cache_fixture(4);
    let texts = cache_fixture.neighbours(4);
    for (user, text) in texts.iter().enumerate() {
        assert!(!cache_fixture.is_known(text, 0, user));
    }
    for (user, text) in texts.iter().enumerate() {
        assert!(cache_fixture.is_known(text, 0, user));
    }
}

#[test]
fn concurrent_lookups_never_return_another_token() {
    const TEXTS: usize = 2 * TOKENS_IN_A_SET;
    let cache_fixture = cache_fixture(2 * TEXTS);
    let texts = cache_fixture.neighbours(TEXTS);
    thread::scope(|threads| {
        for begin in 0..4 {
            let (cache_fixture, texts) = (&cache_fixture, &texts);
            threads.spawn(move || {
                for round in 0..20_000 {
                    let (at, version) = ((begin * 7 + round * 13) % TEXTS, round / 64 % 2);
                    // The version and the text together decide which user's token is right.
                    cache_fixture.is_known(&texts[at], version as u64, version * TEXTS + at);
                }
            });
        }
    });
}

#[test]
fn a_halted_insertion_blocks_no_lookup() {
    let cache_fixture = cache_fixture(3);
    let texts = cache_fixture.neighbours(3);
    let hash = cache_fixture.known.hash(&texts[0]);
    assert!(!cache_fixture.is_known(&texts[1], 0, 1));
    thread::scope(|threads| {
        let (began, beginning) = mpsc::channel();
        let (advance, going_on) = mpsc::channel::<()>();
        let cache_fixture = &cache_fixture;
        let slow = threads.spawn(move || {
            let verified = Verified { hash, version: 0, token: Arc::new(cache_fixture.tokens[0].clone()) };
            cache_fixture.known.sets[0].rcu(|set| {
                let _ = began.send(());
                let _ = going_on.recv();
                set.with(&verified)
            });
        });
        beginning.recv().expect("the insertion is halted");
        let (done, doing) = mpsc::channel();
        let texts = &texts;
        threads.spawn(move || {
            // Another version, so that the insertion goes to the same set.
            let _ =
                done.send((cache_fixture.is_known(&texts[1], 0, 1), cache_fixture.is_known(&texts[2], 1, 2)));
        });
        let found = doing.recv_timeout(Duration::from_secs(10));
        drop(advance);
        assert_eq!(found, Ok((true, false)), "one is found, one is put in");
        slow.join().expect("the end");
    });
    assert_eq!(
        cache_fixture.known.sets[0].load().len(0),
        2,
        "the overtaken insertion was repeated, and nothing is lost"
    );
    assert!(cache_fixture.is_known(&texts[2], 1, 2));
    assert!(cache_fixture.is_known(&texts[0], 0, 0));
}
