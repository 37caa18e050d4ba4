//! The policy for tokens while the verifier is stale.

use std::time::Duration;

/// A verifier's policy for valid tokens while it is stale, and so may lack revocations. It refuses tokens
/// that are known to be revoked in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenStale {
    /// Asks the issuer about the token, and denies it if no answer comes.
    #[default]
    IntrospectThenDeny,
    /// Answers 503.
    Deny,
    /// Accepts the token. The issuer lists such a verifier as not bound and doesn't wait for it when it
    /// confirms a revocation.
    Allow,
    /// Accepts tokens issued no longer ago than this, and denies others. Such a verifier isn't bound either.
    AllowYoung(Duration),
}

impl WhenStale {
    /// Returns whether the policy never accepts a token that may have been revoked.
    pub(crate) fn is_bound(self) -> bool {
        match self {
            Self::IntrospectThenDeny | Self::Deny => true,
            Self::Allow | Self::AllowYoung(_) => false,
        }
    }
}
