//! The cache of verified tokens. It answers one question: was exactly this text signed by a key of this ring. All
//! that can change from one request to the next is asked again each time.

use std::array;
use std::hash::Hasher;
use std::iter;
use std::sync::Arc;

use arc_swap::ArcSwap;
use quash_core::model::Invalid;
use quash_core::token::{Authentic, Family, KeyRing};
use siphasher::sip128::{Hasher128, SipHasher13};

/// Tokens verified before, under a keyed hash of their text: a dump of the memory holds no token, and nobody without
/// the key can find two texts of one hash, or texts that fall into the same sets.
///
/// Nothing here takes a lock. What is known is found with one load or two; what is new is put in by replacing a set, and
/// who is overtaken there does it again.
///
/// A load notes in a record of its thread what it looks at. A thread's first load makes that record, unless an ended thread
/// has left one; none after it allocates, but for once in `usize::MAX / 4`. Where eight notes stand already (a check needs
/// three), or the set is replaced at that very moment, the load counts a reference instead, helped by who replaces the set:
/// slower, but it waits for nobody either. Who is the last to look at a set that was replaced frees it.
pub(crate) struct Known {
    key: [u8; 16],
    sets: Box<[ArcSwap<Set>]>,
}

/// A few tokens, the newest first. It is replaced whole.
#[derive(Default)]
struct Set([Option<Verified>; TOKENS_IN_A_SET]);

#[derive(Clone)]
struct Verified {
    hash: u128,
    /// The version of what was trusted.
    version: u64,
    token: Arc<Authentic>,
}

/// At about a kilobyte each.
const TOKENS: usize = 20_000;
const TOKENS_IN_A_SET: usize = 16;
const SETS: usize = TOKENS / TOKENS_IN_A_SET;

impl Known {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let empty = Arc::<Set>::default();
        Self { key, sets: (0..SETS).map(|_| ArcSwap::new(Arc::clone(&empty))).collect() }
    }

    /// The token of a text, verified before or now. One verified under another version of what is trusted is verified
    /// again.
    pub(crate) fn get_or(
        &self,
        text: &str,
        ring: &KeyRing,
        version: u64,
        verify: impl FnOnce() -> Result<Authentic, Invalid>,
    ) -> Result<Arc<Authentic>, Invalid> {
        if !worth_it(ring) {
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

    /// The two that a token may be in. With one to choose from, many sets would be full long before all are.
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

    /// How many would stay beside one of this version, had they all room.
    fn len(&self, version: u64) -> usize {
        self.0.iter().flatten().filter(|verified| verified.version >= version).count()
    }

    /// The set with this token. What was verified under an older version goes; if there is still no room, so does what was
    /// verified the longest ago.
    fn with(&self, new: &Verified) -> Self {
        let kept = self.0.iter().flatten().filter(|old| old.version >= new.version && old.hash != new.hash);
        let mut newest_first = iter::once(new).chain(kept).cloned();
        Self(array::from_fn(|_| newest_first.next()))
    }
}

/// An HMAC costs little more than looking it up would.
fn worth_it(ring: &KeyRing) -> bool {
    ring.keys().any(|key| key.algorithm().family() != Family::Hmac)
}

#[cfg(test)]
mod tests;
