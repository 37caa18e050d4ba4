//! Failures: of a start, and of a use case, the client's fault or ours. What a client is told is made at the door.

use std::time::Duration;

use quash_core::model::{Kid, Refusal};
use quash_core::token::{Algorithm, KeyFault};
use quash_store::StoreError;

/// Why a service can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be used.
    #[error("the store cannot be used: {0}")]
    Store(#[source] StoreError),
    /// The secrets in the store were sealed with another master key.
    #[error("the secrets in the store were sealed with another master key")]
    WrongMasterKey,
    /// The log can't go on in another epoch.
    #[error("there is no epoch left for the log to go on in")]
    NoEpochLeft,
    /// The crypto library didn't sign.
    #[error("the crypto library did not sign")]
    Unsigned,
    /// There is no key to sign with.
    #[error("there is no key to sign with")]
    NoSigningKey,
    /// The key that the settings name is none.
    #[error("the signing key of the settings {0}")]
    SigningKey(#[source] KeyFault),
    /// The key that the settings name has signed with another algorithm, and still verifies what it signed.
    #[error("the signing key of the settings has signed with {}, and a key is for one algorithm", .0.as_str())]
    OfAnotherAlgorithm(Algorithm),
    /// The key that the settings name was removed in an emergency.
    #[error("the signing key of the settings was removed in an emergency, and signs nothing any more")]
    StruckKey,
    /// What was kept of a struck key can't be read.
    #[error("what the store keeps of the struck key {0} cannot be used")]
    StruckHalf(Kid),
    /// The key of another issuer is none.
    #[error("the key of the issuer {0} {1}")]
    ForeignKey(String, #[source] KeyFault),
    /// A key in the store is none.
    #[error("the key {0} in the store cannot be used: {1}")]
    Key(Kid, #[source] KeyFault),
}

/// Why a use case has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The client's request is refused.
    Refused(Refusal),
    /// Ours: the request may be good, but can't be answered now.
    Unavailable(Unavailable),
}

/// What can't be had now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// The disk is full: nothing that must be kept can be answered.
    #[error("the store is full")]
    StoreFull,
    /// The store can't be used; the detail is for the log alone.
    #[error("the store is away: {0}")]
    StoreAway(String),
    /// One row was fought over longer than anybody should wait.
    #[error("too many requests for one session at once")]
    Contended,
    /// More passwords are waiting than can be hashed in time.
    #[error("the password queue is full")]
    HashQueueFull {
        /// When there may be a place.
        retry_after: Duration,
    },
    /// This network has all the places in the password queue that it may have.
    #[error("too many sign-ins at once from one network")]
    NetworkQueueFull {
        /// When there may be a place.
        retry_after: Duration,
    },
    /// This network has failed too often.
    #[error("too many failed sign-ins from one network")]
    NetworkThrottled {
        /// When it may try again.
        retry_after: Duration,
    },
    /// The user of this account has caused too many entries of the log and of the audit.
    #[error("too many sign-ins and log-outs of one account")]
    AccountThrottled {
        /// When there may be another one.
        retry_after: Duration,
    },
    /// Too many attempts wait for those on one account, or on one name, that are being evaluated.
    #[error("too many sign-ins at once for one name")]
    Crowded {
        /// When there may be a place.
        retry_after: Duration,
    },
    /// This process can't vouch for its set of revocations.
    #[error("the set of revocations is stale")]
    Stale,
    /// The keys of another issuer have never been had: the token may be one of its.
    #[error("the keys of an issuer cannot be had")]
    ForeignKeysAway,
    /// The key of the settings was removed in an emergency, and they name no other.
    #[error("there is no key to sign with")]
    NoSigningKey,
    /// The crypto library didn't sign.
    #[error("the crypto library did not sign")]
    Unsigned,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<quash_core::model::Invalid> for Failure {
    fn from(invalid: quash_core::model::Invalid) -> Self {
        Self::Refused(invalid.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(match error {
            StoreError::Conflict => Unavailable::Contended,
            StoreError::Full => Unavailable::StoreFull,
            StoreError::Unavailable(detail) => Unavailable::StoreAway(detail),
        })
    }
}

impl From<quash_verify::Denied> for Failure {
    fn from(denied: quash_verify::Denied) -> Self {
        match denied {
            quash_verify::Denied::Refused(refusal) => Self::Refused(refusal),
            quash_verify::Denied::Stale => Self::Unavailable(Unavailable::Stale),
            quash_verify::Denied::KeysAway => Self::Unavailable(Unavailable::ForeignKeysAway),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
