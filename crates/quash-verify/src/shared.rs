//! The immutable state that guards and verifiers read, and the check itself. `publisher.rs` builds the next
//! state.

pub(crate) mod catch_up;
pub(crate) mod key_fetcher;
pub(crate) mod publisher;
pub(crate) mod token_cache;
pub(crate) mod trust;

use std::sync::Arc;
use std::task::Poll;

use arc_swap::ArcSwap;
use quash_core::model::{Clock, Invalid, Refusal, Seq};
use quash_core::token::{Authentic, Purposes, TokenType, authenticate};
use quash_core::watch::{Freshness, Live, Revoked, Verdict, admit, admit_without_lease, refuse_unknown};
use tokio::sync::{Notify, watch};

use crate::accepted::Accepted;
use crate::shared::key_fetcher::{KeyFetch, KeyFetcher};
use crate::shared::token_cache::TokenCache;
use crate::shared::trust::{Terms, Trust};
use crate::verify_error::VerifyError;

/// The state that a check reads, replaced as a whole.
pub(crate) struct State {
    pub(crate) revoked: Revoked,
    pub(crate) freshness: Freshness,
    /// The keys and the policy, which rarely change; `None` until they are known.
    pub(crate) trust: Option<Trust>,
}

/// The data that a guard or verifier shares with its publisher and the tasks that feed it.
pub(crate) struct VerifierShared {
    pub(crate) state: ArcSwap<State>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The newest known number, for tasks that wait for an entry.
    pub(crate) cursor: watch::Sender<Seq>,
    /// The newest number known to exist: a token or a lease has named it.
    pub(crate) known_to_exist: watch::Sender<Seq>,
    /// Notified when a check waits for an entry that isn't known.
    pub(crate) missing_entry: Notify,
    /// Changes with the key ring.
    pub(crate) ring: watch::Sender<()>,
    /// Where several processes share the log, the proofs that this one's state is complete.
    #[cfg(feature = "issuer")]
    pub(crate) proofs: Option<crate::issuer::Proofs>,
    token_cache: TokenCache,
    key_fetcher: Option<Arc<dyn KeyFetcher>>,
}

/// The reason why a token isn't accepted at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Uncertain {
    /// The token is refused.
    Refused(Refusal),
    /// The token names an entry that isn't known here: revocations up to it may be missing.
    Behind {
        rsq: Seq,
        /// quash has signed the number, so the entry exists. Another issuer's number proves nothing.
        exists: bool,
    },
    /// The lease has expired: a revocation may be missing.
    Stale,
    /// No keys or revocations are known yet.
    Boot,
}

impl VerifierShared {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        cache_key: [u8; 16],
        key_fetcher: Option<Arc<dyn KeyFetcher>>,
        state: State,
    ) -> Self {
        let (cursor, known_to_exist) =
            (watch::Sender::new(state.revoked.cursor()), watch::Sender::new(state.revoked.cursor()));
        let token_cache = TokenCache::new(cache_key);
        let ring = watch::Sender::new(());
        Self {
            state: ArcSwap::from_pointee(state),
            clock,
            cursor,
            known_to_exist,
            missing_entry: Notify::new(),
            ring,
            #[cfg(feature = "issuer")]
            proofs: None,
            token_cache,
            key_fetcher,
        }
    }

    /// Checks a token against the current state. Loads the state once and reads the clocks afterwards: a
    /// pause in between can only make the token look older and the state staler.
    pub(crate) fn check_state(&self, text: &str, purposes: Purposes<'_>) -> Result<Accepted, Uncertain> {
        let state = self.state.load();
        let trust = state.trust.as_ref().ok_or(Uncertain::Boot)?;
        let token =
            self.authenticate_or_recall(text, purposes, &state.revoked, trust).map_err(Uncertain::Refused)?;
        self.admit(token, purposes, &state, trust)
    }

    /// Like [`VerifierShared::check_state`], for a token that has been verified already.
    pub(crate) fn check_state_again(&self, token: Arc<Authentic>) -> Result<Accepted, Uncertain> {
        let state = self.state.load();
        let trust = state.trust.as_ref().ok_or(Uncertain::Boot)?;
        self.admit(token, Purposes::Accepted, &state, trust)
    }

    /// Applies the known revocations first, even those of a stale state, and checks the freshness afterwards.
    fn admit(
        &self,
        token: Arc<Authentic>,
        purposes: Purposes<'_>,
        state: &State,
        trust: &Trust,
    ) -> Result<Accepted, Uncertain> {
        let policy = &trust.terms.policy;
        let exists = token.namespace().is_none();
        let live =
            admit(token, purposes, policy, &state.revoked, self.clock.now()).map_err(
                |verdict| match verdict {
                    Verdict::Refused(refusal) => Uncertain::Refused(refusal),
                    Verdict::Behind { rsq } => Uncertain::Behind { rsq, exists },
                },
            )?;
        match state.freshness {
            Freshness::Always => Ok(Accepted::new(live, Arc::clone(&trust.terms))),
            bounded if bounded.holds(self.clock.uptime()) => {
                Ok(Accepted::new(live, Arc::clone(&trust.terms)))
            }
            Freshness::Until(_) | Freshness::Proven { .. } | Freshness::Never => Err(Uncertain::Stale),
        }
    }

    /// Checks a token against the known revocations, without regard to the state's freshness, and accepts it
    /// even if its `rsq` names an unknown entry.
    pub(crate) fn check_state_unvouched(&self, text: &str) -> Result<Accepted, VerifyError> {
        let state = self.state.load();
        let trust = state.trust.as_ref().ok_or(VerifyError::Stale)?;
        let token = self
            .authenticate_or_recall(text, Purposes::Accepted, &state.revoked, trust)
            .map_err(VerifyError::Refused)?;
        let policy = &trust.terms.policy;
        let live = admit_without_lease(token, Purposes::Accepted, policy, &state.revoked, self.clock.now())
            .map_err(VerifyError::Refused)?;
        Ok(Accepted::new(live, Arc::clone(&trust.terms)))
    }

    /// Checks a token against the known revocations, without regard to the state's freshness. A token whose
    /// `rsq` names an unknown entry isn't accepted.
    pub(crate) fn check_state_known(&self, text: &str, purposes: &[TokenType]) -> Result<Live, Verdict> {
        let state = self.state.load();
        let trust = state.trust.as_ref().ok_or(Verdict::Refused(Invalid::Key.into()))?;
        let token = self
            .authenticate_or_recall(text, Purposes::These(purposes), &state.revoked, trust)
            .map_err(Verdict::Refused)?;
        admit(token, purposes, &trust.terms.policy, &state.revoked, self.clock.now())
    }

    /// Verifies a signature, without the cache.
    pub(crate) fn authenticate(&self, text: &str) -> Result<Authentic, Invalid> {
        let state = self.state.load();
        let Trust { ring, terms, .. } = state.trust.as_ref().ok_or(Invalid::Key)?;
        authenticate(text, ring, &terms.policy.names, &terms.scopes)
    }

    /// Returns whether keys that the ring lacks could be fetched.
    pub(crate) fn fetches_keys(&self) -> bool {
        self.key_fetcher.is_some()
    }

    /// Fetches keys until the token's key is known. Doesn't wait for the keys of further issuers once it is.
    pub(crate) async fn look_for_key_of(&self, text: &str) -> Result<(), VerifyError> {
        let Some(more) = &self.key_fetcher else { return Err(VerifyError::Refused(Invalid::Key.into())) };
        let mut ring = self.ring.subscribe();
        let mut looking = more.fetch();
        loop {
            let mut changed = std::pin::pin!(ring.changed());
            let looked = std::future::poll_fn(|context| match looking.as_mut().poll(context) {
                Poll::Ready(looked) => Poll::Ready(Some(looked)),
                Poll::Pending => changed.as_mut().poll(context).map(|_| None),
            });
            match looked.await {
                Some(KeyFetch::Done) => return Ok(()),
                Some(KeyFetch::Unavailable) => return Err(VerifyError::KeysUnavailable),
                None if self.authenticate(text).err() != Some(Invalid::Key) => return Ok(()),
                None => {}
            }
        }
    }

    /// Returns the verified token from the cache, or verifies its signature.
    fn authenticate_or_recall(
        &self,
        text: &str,
        purposes: Purposes<'_>,
        revoked: &Revoked,
        trust: &Trust,
    ) -> Result<Arc<Authentic>, Refusal> {
        let Trust { ring, terms, version } = trust;
        let Terms { policy, scopes } = &**terms;
        let verified =
            self.token_cache.get_or(text, ring, *version, || authenticate(text, ring, &policy.names, scopes));
        verified.map_err(|invalid| match invalid {
            Invalid::Key => refuse_unknown(text, ring, scopes, purposes, policy, revoked, self.clock.now()),
            invalid => invalid.into(),
        })
    }
}

#[cfg(test)]
mod tests;
