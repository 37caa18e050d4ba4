//! The error of a check. `problem.rs` has the texts.

use quash_core::model::Refusal;

/// The reason why a token isn't accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is refused.
    #[error("the token is refused")]
    Refused(Refusal),
    /// The verifier is stale: the token may have been revoked.
    #[error("the token may have been revoked")]
    Stale,
    /// An issuer's keys can't be fetched, and the token may be signed with one of them.
    #[error("the keys of the token's issuer are unavailable")]
    KeysUnavailable,
}
