//! The reasons for which a verifier isn't given a snapshot, a stream or a lease.

use crate::failure::Failure;
use crate::feed::leases::TooMany;

/// Why a verifier isn't given what it asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FeedRefused {
    /// Its place isn't one of this log: it needs a snapshot.
    SnapshotRequired,
    /// There are as many verifiers as there may be.
    TooMany,
    /// There are as many verifiers with this credential as there may be.
    TooManyWithCredential,
    /// The credential was removed meanwhile.
    Removed,
    /// Ours.
    Failed(Failure),
}

impl From<TooMany> for FeedRefused {
    fn from(too_many: TooMany) -> Self {
        match too_many {
            TooMany::Altogether => Self::TooMany,
            TooMany::WithCredential => Self::TooManyWithCredential,
        }
    }
}

impl From<Failure> for FeedRefused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
