//! The reasons to refuse a verifier's request for a snapshot, a stream or a lease.

use quash_core::watch::frame::FrameFault;
use quash_store::NotRecorded;

use crate::failure::Failure;

/// A reason to refuse a verifier's request.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FeedRefused {
    /// The verifier's position isn't in this log: it needs a snapshot.
    #[error("the verifier's position isn't in this log")]
    SnapshotRequired,
    /// The number of verifiers is at its limit.
    #[error("too many verifiers")]
    TooMany,
    /// The number of verifiers with this credential is at its limit.
    #[error("too many verifiers with this credential")]
    TooManyWithCredential,
    /// The process has given its lease back.
    #[error("the process has given its lease back")]
    Left,
    /// The credential was removed meanwhile.
    #[error("the credential was removed")]
    Removed,
    /// A failure on our side.
    #[error("{0}")]
    Failed(#[source] Failure),
    /// The policy can't be serialized.
    #[error("the policy cannot be serialized: {0}")]
    Unwritable(#[source] FrameFault),
}

impl From<NotRecorded> for FeedRefused {
    fn from(not_recorded: NotRecorded) -> Self {
        match not_recorded {
            NotRecorded::TooMany => Self::TooMany,
            NotRecorded::TooManyWithCredential => Self::TooManyWithCredential,
            NotRecorded::Left => Self::Left,
            NotRecorded::Store(error) => Self::Failed(error.into()),
        }
    }
}

impl From<FrameFault> for FeedRefused {
    fn from(fault: FrameFault) -> Self {
        Self::Unwritable(fault)
    }
}

impl From<Failure> for FeedRefused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
