//! The keys and the policy of a guard or a verifier: the part of its state that rarely changes.

use std::sync::Arc;

use quash_core::model::{ScopeHasher, TokenPolicy};
use quash_core::token::KeyRing;

/// The keys that are trusted, and the policy that tokens must meet.
#[derive(Clone)]
pub(crate) struct Trust {
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) terms: Arc<Terms>,
    /// Increases with each change: tokens that were verified under another version are verified again.
    pub(crate) version: u64,
}

/// The policy that tokens must meet.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) policy: TokenPolicy,
    pub(crate) scopes: ScopeHasher,
}
