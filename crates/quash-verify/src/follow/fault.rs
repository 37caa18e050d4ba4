//! What can go wrong between a verifier and its issuer, and what keeps a verifier from starting.

use quash_core::token::KeyFault;
use quash_core::watch::frame::FrameFault;

/// Why an issuer gives no answer that could be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// It can't be reached, or the connection broke.
    #[error("it cannot be reached")]
    Unreachable,
    /// It didn't answer in time, or fell silent.
    #[error("it does not answer")]
    Silent,
    /// It refuses.
    #[error("it answers {0}")]
    Status(u16),
    /// It asks for a snapshot to be taken first.
    #[error("a snapshot must be taken first")]
    SnapshotRequired,
    /// The answer is longer than any may be.
    #[error("its answer is too long")]
    TooLong,
    /// The answer can't be read.
    #[error("its answer cannot be read")]
    Unreadable,
    /// The key set isn't the one whose hash its feed tells: it was damaged on its way, or is an old copy.
    #[error("its key set is not the one that its feed names")]
    OtherKeys,
}

/// Why a verifier doesn't start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartError {
    /// An address isn't one of HTTP.
    #[error("the issuer's address is not of the form https://host[:port][/path]")]
    Address,
    /// An address would have the credential travel in clear.
    #[error("the issuer's address is not https, and not of this machine; insecure_http() lets that pass")]
    InsecureAddress,
    /// There is no credential, or it can't be sent.
    #[error("there is no credential: `quash verifier add NAME` on the issuer's side makes one")]
    NoCredential,
    /// The issuer doesn't know the credential.
    #[error("the issuer does not take the credential")]
    CredentialRefused,
    /// The issuer signs with a secret, and none was given.
    #[error("the issuer signs with a secret: give it with secret(..)")]
    SecretNeeded,
    /// The issuer doesn't sign with the secret that was given.
    #[error("the secret is not the one that the issuer signs with")]
    SecretUnknown,
    /// The secret that was given can't be used.
    #[error("the secret {0}")]
    SecretUnusable(KeyFault),
    /// The issuer speaks a language that this program doesn't.
    #[error("what the issuer says cannot be understood: {0}")]
    NotUnderstood(FrameFault),
    /// The issuer wasn't heard in time.
    #[error("the issuer was not heard in time: {0}")]
    Away(Fault),
    /// The machine's certificates can't be used.
    #[error("the certificates of this machine cannot be used")]
    NoClient,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoEntropy,
}
