//! Derivation of refresh tokens' ids.

use std::fmt;

use aws_lc_rs::hmac;

use crate::model::{Generation, Jti, SessionId};

/// The key that the ids of refresh and sliding tokens are derived with. It isn't a signing key: an attacker
/// who steals one of the two still lacks the other.
#[derive(Clone)]
pub struct RefreshKey(hmac::Key);

impl RefreshKey {
    /// Creates a key from 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The id of the refresh token of a generation. It is derived, so it needn't be stored.
    pub fn jti(&self, session: SessionId, seed: &[u8; 16], generation: Generation) -> Jti {
        self.derive(session, seed, generation, b"")
    }

    /// The id of a session's sliding token. It differs from the refresh token's: every service sees a sliding
    /// token, and its id must not help to forge a refresh token.
    pub fn sliding_jti(&self, session: SessionId, seed: &[u8; 16], generation: Generation) -> Jti {
        self.derive(session, seed, generation, b"sliding")
    }

    fn derive(&self, session: SessionId, seed: &[u8; 16], generation: Generation, purpose: &[u8]) -> Jti {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(seed);
        context.update(session.as_bytes());
        context.update(&generation.0.to_be_bytes());
        context.update(purpose);
        let mut id = [0; 16];
        id.copy_from_slice(&context.sign().as_ref()[..16]);
        Jti::from_bytes(id)
    }
}

impl fmt::Debug for RefreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshKey(..)")
    }
}
