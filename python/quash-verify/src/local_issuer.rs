//! An issuer in this process, for tests: what a verifier follows in place of a server. `issuer.rs` gives it to
//! Python.

use std::sync::atomic::{AtomicBool, Ordering};

use quash_verify::{IssuerError, Receipt, Revocation, RevokeError};

use crate::revocations::Batch;

pub(crate) struct Issuer {
    pub(crate) of_rust: quash_verify::test::TestIssuer,
    pub(crate) namespace: Option<String>,
    /// It grants no leases and accepts no requests.
    pub(crate) is_silent: AtomicBool,
}

impl Issuer {
    /// Revokes as a server does for a credential of the namespace, or for one that isn't limited to any.
    ///
    /// # Errors
    /// Returns an error while the issuer is silent, for another namespace, and for a revocation that needs one.
    pub(crate) fn revoke(&self, batch: &Batch, waits: bool) -> Result<Receipt, RevokeError> {
        if self.is_silent.load(Ordering::SeqCst) {
            return Err(RevokeError::Unavailable(IssuerError::Unreachable));
        }
        if self.namespace != batch.namespace {
            return Err(RevokeError::NotAllowed { namespace: batch.namespace.clone() });
        }
        let revoke = |revocation: &Revocation| match &batch.namespace {
            Some(namespace) => Ok(self.of_rust.revoke_named(namespace, revocation)),
            None => self.of_rust.end_named(revocation).ok_or_else(|| {
                RevokeError::Invalid("without a namespace, give a session's `sid` or a subject".into())
            }),
        };
        let seqs = batch.revocations.iter().map(revoke).collect::<Result<Vec<_>, _>>()?;
        let seq = seqs.into_iter().max().unwrap_or_default();
        let mut receipt = Receipt::default();
        (receipt.seq, receipt.written) = (seq, batch.revocations.len());
        if waits {
            // Its verifiers know the entries at once.
            (receipt.confirmed, receipt.stale, receipt.not_bound, receipt.ms) =
                (Some(1), Some(0), Some(0), Some(0));
        }
        Ok(receipt)
    }
}
