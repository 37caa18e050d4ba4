//! What refresh tokens' ids are derived from.

use std::fmt;

use aws_lc_rs::hmac;

use crate::model::{Generation, Jti, SessionId};

/// What derives the ids of refresh tokens and of sliding tokens. Not a signing key: whoever steals one of these still
/// lacks the other.
#[derive(Clone)]
pub struct RefreshKey(hmac::Key);

impl RefreshKey {
    /// A key from 32 random bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The id of the refresh token of a generation: it can be made again, so it needn't be stored.
    pub fn jti(&self, session: SessionId, seed: &[u8; 16], generation: Generation) -> Jti {
        self.derive(session, seed, generation, b"")
    }

    /// The id of a session's sliding token. It isn't that of a refresh token: a sliding token is seen by every service,
    /// and must not be of use to forge the other.
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
