//! The errors of requests to an issuer, and those that keep a verifier from starting.

use quash_core::token::KeyFault;
use quash_core::watch::frame::{FrameFault, VERSION};

/// The failure of a request to an issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The issuer can't be reached, or the connection broke.
    #[error("the connection failed")]
    Unreachable,
    /// The issuer didn't answer in time, or stopped sending.
    #[error("no answer in time")]
    TimedOut,
    /// The issuer answered with this HTTP status.
    #[error("unexpected status {0}")]
    Status(u16),
    /// The verifier must take a snapshot first.
    #[error("a snapshot must be taken first")]
    SnapshotRequired,
    /// The answer exceeds its limit.
    #[error("the answer is too long")]
    TooLong,
    /// The answer can't be parsed.
    #[error("the answer is malformed")]
    Unreadable,
    /// The issuer doesn't speak this program's version of the feed, but this one.
    #[error("the issuer uses version {0} of the feed, this program version {VERSION}: update the older one")]
    Version(u32),
    /// The key set doesn't match the hash in the feed: it was damaged in transit, or is an old copy.
    #[error("the key set does not match the hash in the feed")]
    OtherKeys,
}

/// The reason why a verifier doesn't start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address isn't an HTTP URL.
    #[error("the issuer's address is not of the form https://host[:port][/path]")]
    Address,
    /// The credential would be sent to a remote address in clear text.
    #[error("the issuer's address is neither https nor local: allow it with insecure_http()")]
    InsecureAddress,
    /// The credential is missing, or can't be sent in a header.
    #[error(
        "the credential is missing or malformed: create one with `quash verifier add NAME` at the issuer"
    )]
    NoCredential,
    /// The issuer doesn't know the credential.
    #[error("the issuer refused the credential")]
    CredentialRefused,
    /// The issuer signs with a secret, and none was given.
    #[error("the issuer signs with a secret: pass it with secret(..)")]
    SecretNeeded,
    /// The issuer doesn't sign with the given secret.
    #[error("the secret is not the one that the issuer signs with")]
    SecretUnknown,
    /// The given secret can't be used.
    #[error("the secret {0}")]
    SecretUnusable(KeyFault),
    /// The issuer has no namespace of the given name.
    #[error("the issuer has no such namespace: write it into a section [foreign.<name>] of quash's settings")]
    UnknownNamespace,
    /// The feed can't be understood, for example because the issuer is a newer version.
    #[error("cannot understand the issuer's feed: {0}")]
    NotUnderstood(FrameFault),
    /// The issuer didn't answer in time.
    #[error("cannot follow the issuer: {0}")]
    Unavailable(IssuerError),
    /// The machine's certificates can't be loaded.
    #[error("failed to load the machine's certificates")]
    Certificates,
    /// The operating system provides no random bytes.
    #[error("the operating system gives no random bytes")]
    NoEntropy,
}
