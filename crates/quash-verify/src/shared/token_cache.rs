//! The cache of verified tokens. It answers one question: has a key of this ring signed exactly this text?
//! All that can change between two requests is checked each time.

use std::array;
use std::hash::Hasher;
use std::iter;
use std::sync::Arc;

use arc_swap::ArcSwap;
use quash_core::model::Invalid;
use quash_core::token::{Authentic, Family, KeyRing};
use siphasher::sip128::{Hasher128, SipHasher13};

/// The verified tokens, under a keyed hash of their text. A memory dump reveals no token, and an attacker
/// without the key can't find two texts with the same hash, or texts that fall into the same sets.
///
/// No operation takes a lock. A lookup needs one or two loads. An insertion replaces a set, and is repeated
/// if another thread replaced that set meanwhile.
///
/// Each load of an `ArcSwap` notes the value that it reads in a record of its thread. A thread's first load
/// creates that record, unless it can reuse the record of a thread that has ended. No later load allocates,
/// except for one in `usize::MAX / 4`. If a thread already holds eight notes (a check needs three), or if the
/// set is replaced at the same moment, the load increments the reference count instead, with the help of the
/// thread that replaces the set: slower, but still without waiting. The last reader of a replaced set frees
/// it.
pub(crate) struct TokenCache {
    key: [u8; 16],
    sets: Box<[ArcSwap<Set>]>,
}

/// A few tokens, the newest first. Never changed in place.
#[derive(Default)]
struct Set([Option<Verified>; TOKENS_IN_A_SET]);

#[derive(Clone)]
struct Verified {
    hash: u128,
    /// The version of the [`Trust`](crate::shared::trust::Trust) that the token was verified under.
    version: u64,
    token: Arc<Authentic>,
}

/// One entry takes about a kilobyte.
const TOKENS: usize = 20_000;
const TOKENS_IN_A_SET: usize = 16;
const SETS: usize = TOKENS / TOKENS_IN_A_SET;

impl TokenCache {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let empty = Arc::<Set>::default();
        Self { key, sets: (0..SETS).map(|_| ArcSwap::new(Arc::clone(&empty))).collect() }
    }

    /// Returns the token of a text from the cache, or verifies and caches it. A token that was cached under
    /// another version is verified again.
    pub(crate) fn get_or(
        &self,
        text: &str,
        ring: &KeyRing,
        version: u64,
        verify: impl FnOnce() -> Result<Authentic, Invalid>,
    ) -> Result<Arc<Authentic>, Invalid> {
        if !is_worth_caching(ring) {
            return verify().map(Arc::new);
        }
        let hash = self.hash(text);
        let [one, other] = self.sets(hash);
        if let Some(token) = one.load().find(hash, version).or_else(|| other.load().find(hash, version)) {
            return Ok(token);
        }
        let token = Arc::new(verify()?);
        let verified = Verified { hash, version, token: Arc::clone(&token) };
        let emptier = if one.load().len(version) <= other.load().len(version) { one } else { other };
        emptier.rcu(|set| set.with(&verified));
        Ok(token)
    }

    fn hash(&self, text: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(text.as_bytes());
        hasher.finish128().as_u128()
    }

    /// Returns the two sets that a token may be in. With only one candidate, some sets would fill up long
    /// before the others.
    fn sets(&self, hash: u128) -> [&ArcSwap<Set>; 2] {
        [hash as usize, (hash >> 64) as usize].map(|bits| &self.sets[bits % SETS])
    }
}

impl Set {
    fn find(&self, hash: u128, version: u64) -> Option<Arc<Authentic>> {
        let found =
            self.0.iter().flatten().find(|verified| verified.hash == hash && verified.version == version)?;
        Some(Arc::clone(&found.token))
    }

    /// Returns the number of tokens that an insertion under this version would keep if the set were large
    /// enough.
    fn len(&self, version: u64) -> usize {
        self.0.iter().flatten().filter(|verified| verified.version >= version).count()
    }

    /// Returns the set with this token added. Drops tokens of older versions, and then, if the set is still
    /// full, the token that was verified first.
    fn with(&self, new: &Verified) -> Self {
        let kept = self.0.iter().flatten().filter(|old| old.version >= new.version && old.hash != new.hash);
        let mut newest_first = iter::once(new).chain(kept).cloned();
        Self(array::from_fn(|_| newest_first.next()))
    }
}

/// Verifying an HMAC costs little more than a lookup would.
fn is_worth_caching(ring: &KeyRing) -> bool {
    ring.keys().any(|key| key.algorithm().family() != Family::Hmac)
}

#[cfg(test)]
mod tests;
