//! The reasons to refuse a verifier's request for a snapshot, a stream or a lease.

use crate::failure::Failure;
use crate::feed::leases::{NotEntered, TooMany};

/// A reason to refuse a verifier's request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeedRefused {
    /// The verifier's position isn't in this log: it needs a snapshot.
    SnapshotRequired,
    /// The number of verifiers is at its limit.
    TooMany,
    /// The number of verifiers with this credential is at its limit.
    TooManyWithCredential,
    /// The process has given its lease back.
    Left,
    /// The credential was removed meanwhile.
    Removed,
    /// A failure on our side.
    Failed(Failure),
}

impl From<NotEntered> for FeedRefused {
    fn from(not_entered: NotEntered) -> Self {
        match not_entered {
            NotEntered::Full(TooMany::Altogether) => Self::TooMany,
            NotEntered::Full(TooMany::WithCredential) => Self::TooManyWithCredential,
            NotEntered::Left => Self::Left,
        }
    }
}

impl From<Failure> for FeedRefused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
