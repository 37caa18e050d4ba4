//! A verifier's state and counters, as an application sees them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::verify_error::VerifyError;

/// A verifier's knowledge compared with its issuer's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum VerifierState {
    /// No keys or revocations have been received yet: every token is denied.
    Boot,
    /// The lease is current: every revocation confirmed longer ago than a lease's term is known. New
    /// revocations usually arrive within milliseconds.
    Fresh,
    /// The lease has expired: there may be revocations that the verifier doesn't know.
    Stale,
    /// The lease is current, but the verifier knows of an entry that it hasn't received.
    Behind,
    /// The verifier has given its lease back ([`Verifier::leave`](crate::Verifier::leave)): every token is denied.
    Left,
}

/// A verifier's state and counters at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct VerifierMetrics {
    /// The verifier's state.
    pub state: VerifierState,
    /// The number of the newest known entry of the log.
    pub cursor: u64,
    /// The number of entries that are known to exist but haven't been received.
    pub lag: u64,
    /// The number of revoked scopes.
    pub entries: usize,
    /// The number of accepted tokens.
    pub accepted: u64,
    /// The number of refused tokens.
    pub refused: u64,
    /// The number of checks that couldn't be decided.
    pub stale: u64,
}

/// The numbers of decisions since the verifier started.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) stale: AtomicU64,
}

impl Counts {
    pub(crate) fn count(&self, denied: Option<VerifyError>) {
        let count = match denied {
            None => &self.accepted,
            Some(VerifyError::Refused(_)) => &self.refused,
            Some(VerifyError::Stale | VerifyError::KeysUnavailable) => &self.stale,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
