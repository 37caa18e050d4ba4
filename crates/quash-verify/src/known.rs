//! The cache of verified tokens. It answers one question: was exactly this text signed by a key of this ring. All
//! that can change from one request to the next is asked again each time.

use std::hash::Hasher;
use std::sync::Arc;

use quash_core::model::Invalid;
use quash_core::token::{Authentic, Family, KeyRing};
use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Tokens verified before, under a keyed hash of their text: a dump of the memory holds no token, and nobody without
/// the key can find two texts of one hash.
pub(crate) struct Known {
    key: [u8; 16],
    tokens: Cache<u128, (u64, Arc<Authentic>)>,
}

/// At about a kilobyte each.
const TOKENS: usize = 20_000;

impl Known {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { key, tokens: Cache::new(TOKENS) }
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
        if let Some((verified_under, token)) = self.tokens.get(&hash)
            && verified_under == version
        {
            return Ok(token);
        }
        let token = Arc::new(verify()?);
        self.tokens.insert(hash, (version, Arc::clone(&token)));
        Ok(token)
    }

    fn hash(&self, text: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(text.as_bytes());
        hasher.finish128().as_u128()
    }
}

/// An HMAC costs little more than looking it up would.
fn worth_it(ring: &KeyRing) -> bool {
    ring.keys().any(|key| key.algorithm().family() != Family::Hmac)
}
