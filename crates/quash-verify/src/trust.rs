//! Whose tokens a guard or a verifier believes, and what they must say: what only changes now and then.

use std::sync::Arc;

use quash_core::model::{ScopeHasher, TokenPolicy};
use quash_core::token::KeyRing;

/// Whose tokens are believed, and what they must say.
#[derive(Clone)]
pub(crate) struct Trust {
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) terms: Arc<Terms>,
    /// How often either has changed: a token that was verified under another is verified again.
    pub(crate) version: u64,
}

/// What tokens must say.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) policy: TokenPolicy,
    pub(crate) scopes: ScopeHasher,
}
