//! What is done with tokens that nobody here can vouch for.

use std::time::Duration;

/// What a verifier does with a good token while it can't tell whether it knows all revocations. Those that it knows hold
/// in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenStale {
    /// It asks the issuer about this one token; where that gives no answer, it denies.
    #[default]
    IntrospectThenDeny,
    /// It answers 503.
    Deny,
    /// It lets the token in. The issuer lists such a verifier as not bound: nobody waits for it.
    Allow,
    /// It lets in what was minted no longer ago than this, and denies the rest. Such a verifier isn't bound either.
    AllowYoung(Duration),
}

impl WhenStale {
    /// Whether nothing is let in that nobody has vouched for.
    pub(crate) fn is_bound(self) -> bool {
        match self {
            Self::IntrospectThenDeny | Self::Deny => true,
            Self::Allow | Self::AllowYoung(_) => false,
        }
    }
}
