//! Failures of a start and of a use case. Responses to clients are made in `quash-server`.

use std::time::Duration;

use quash_core::model::{Kid, Refusal};
use quash_core::token::{Algorithm, KeyFault};
use quash_store::StoreError;

/// A reason why a service can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be used.
    #[error("the store cannot be used: {0}")]
    Store(#[source] StoreError),
    /// Another node applied other settings.
    #[error("{name} is {} here and {} at the other nodes", or_not_set(own), or_not_set(stored))]
    OtherSettings {
        /// The setting.
        name: &'static str,
        stored: String,
        own: String,
    },
    /// Another node applied other settings while this one started.
    #[error("another node has changed the settings that define tokens while this one started")]
    SettingsChanged,
    #[error("the secrets in the store were sealed with another master key")]
    WrongMasterKey,
    /// The epochs are used up: the log can't begin another one.
    #[error("there is no epoch left for the log")]
    NoEpochLeft,
    /// The crypto library didn't sign.
    #[error("the crypto library did not sign")]
    Unsigned,
    /// There is no key to sign with.
    #[error("there is no key to sign with")]
    NoSigningKey,
    /// The signing key in the settings is invalid.
    #[error("the signing key in the settings {0}")]
    SigningKey(#[source] KeyFault),
    /// The signing key in the settings has signed with another algorithm, and still verifies those
    /// signatures.
    #[error("the signing key in the settings has signed with {}; a key must not be used with two algorithms", .0.as_str())]
    OfAnotherAlgorithm(Algorithm),
    /// The signing key in the settings was revoked in an emergency.
    #[error("the signing key in the settings was revoked in an emergency and must be replaced by another")]
    RevokedKey,
    /// The stored half of a revoked key is unreadable.
    #[error("the stored public half of the revoked key {0} cannot be read")]
    RevokedHalf(Kid),
    /// Another issuer's key is invalid.
    #[error("the key of the issuer {0} {1}")]
    ForeignKey(String, #[source] KeyFault),
    /// A key in the store is invalid.
    #[error("the key {0} in the store cannot be used: {1}")]
    Key(Kid, #[source] KeyFault),
}

/// A reason why a use case has no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// The client's request is refused.
    #[error("{0}")]
    Refused(#[source] Refusal),
    /// A failure on our side: the request may be valid, but can't be answered now.
    #[error("{0}")]
    Unavailable(#[source] Unavailable),
}

/// A resource that is unavailable now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// The disk is full: no request that requires a write can be answered.
    #[error("the store is full")]
    StoreFull,
    /// The store can't be used. The detail is for the log only.
    #[error("the store is unavailable: {0}")]
    StoreFailed(String),
    /// The change may have been written, or it was written and this process doesn't apply it yet. The detail is
    /// for the log only.
    #[error("it is not known whether the change was written: {0}")]
    OutcomeUnknown(String),
    /// Concurrent requests changed the same row too often.
    #[error("too many requests for one session at once")]
    Contended,
    /// More passwords are waiting than can be hashed in time.
    #[error("the password queue is full")]
    HashQueueFull {
        /// The time until a place may be free.
        retry_after: Duration,
    },
    /// The network has used up its share of the password queue.
    #[error("too many sign-ins at once from one network")]
    NetworkQueueFull {
        /// The time until a place may be free.
        retry_after: Duration,
    },
    /// The network has had too many failed attempts.
    #[error("too many failed sign-ins from one network")]
    NetworkThrottled {
        /// The time until its next attempt is allowed.
        retry_after: Duration,
    },
    /// The account's user has caused too many entries in the log and in the audit.
    #[error("too many sign-ins and log-outs of one account")]
    AccountThrottled {
        /// The time until the next entry is allowed.
        retry_after: Duration,
    },
    /// Too many attempts on one account or name are waiting for those being evaluated.
    #[error("too many sign-ins at once for one name")]
    AccountQueueFull {
        /// The time until a place may be free.
        retry_after: Duration,
    },
    /// This process's set of revocations may be out of date.
    #[error("the set of revocations is stale")]
    Stale,
    /// Another issuer's keys were never fetched, and the token may be signed with one of them.
    #[error("an issuer's keys could not be fetched")]
    ForeignKeysUnavailable,
    /// The key in the settings was revoked, and they name no other.
    #[error("there is no key to sign with")]
    NoSigningKey,
    /// The crypto library didn't sign.
    #[error("the crypto library did not sign")]
    Unsigned,
}

/// A setting's value, in a sentence.
fn or_not_set(value: &str) -> &str {
    if value.is_empty() { "not set" } else { value }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
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
            StoreError::Unavailable(detail) => Unavailable::StoreFailed(detail),
            StoreError::Unknown(detail) => Unavailable::OutcomeUnknown(detail),
        })
    }
}

impl From<quash_verify::VerifyError> for Failure {
    fn from(denied: quash_verify::VerifyError) -> Self {
        match denied {
            quash_verify::VerifyError::Refused(refusal) => Self::Refused(refusal),
            quash_verify::VerifyError::KeysUnavailable => {
                Self::Unavailable(Unavailable::ForeignKeysUnavailable)
            }
            _ => Self::Unavailable(Unavailable::Stale),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
