//! The guard of the process that holds the log.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Clock, Invalid, Refusal, ScopeHasher, ScopeKey, Seq, TokenPolicy};
use quash_core::token::{Authentic, KeyRing, Minted, Purposes, TokenType};
use quash_core::watch::{Follower, Live, Revoked, Verdict};

use super::proofs::Proofs;
use crate::shared::catch_up::CATCH_UP;
use crate::shared::key_fetcher::KeyFetcher;
use crate::shared::publisher::Publisher;
use crate::shared::trust::{Terms, Trust};
use crate::shared::{State, Uncertain, VerifierShared};
use crate::verify_error::VerifyError;

/// Checks tokens in the issuer's own process. Clones are cheap and share their state.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<VerifierShared>,
    terms: Arc<Terms>,
}

/// The configuration of a [`Guard`].
pub struct GuardSetup {
    /// The rules that tokens must meet.
    pub policy: TokenPolicy,
    /// The hasher of scopes, which the log and the feed contain as hashes.
    pub scopes: ScopeHasher,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// The key of the cache of verified tokens: random, and never shared with another process.
    pub cache_key: [u8; 16],
    /// The source of keys that the ring lacks, if there is one.
    pub key_fetcher: Option<Arc<dyn KeyFetcher>>,
}

#[cfg(test)]
impl GuardSetup {
    /// Returns the setup and the keys of a guard for an issuer's tokens.
    pub(crate) fn of(issuer: &crate::test::TestIssuer, clock: Arc<dyn Clock>) -> (Self, KeyRing) {
        let verifier = issuer.verifier();
        let state = verifier.inner.shared.state.load();
        let trust = state.trust.as_ref().expect("the issuer's keys");
        let Terms { policy, scopes } = Terms::clone(&trust.terms);
        let setup = Self { policy, scopes, clock, cache_key: [2; 16], key_fetcher: None };
        (setup, KeyRing::clone(&trust.ring))
    }
}

/// Creates a guard and its publisher, for the issuer's own process: every revocation passes through that
/// process before any other learns of it.
pub fn guard(setup: GuardSetup, revoked: Revoked, ring: KeyRing) -> (Guard, Publisher) {
    guard_with(setup, Follower::authority(revoked), ring, None)
}

/// Creates a guard and its publisher for a process that shares the log with others. The guard decides nothing
/// before [`Publisher::prove`].
pub fn guard_of_node(setup: GuardSetup, revoked: Revoked, ring: KeyRing) -> (Guard, Publisher) {
    guard_with(setup, Follower::node(revoked), ring, Some(Proofs::new()))
}

fn guard_with(
    setup: GuardSetup,
    follower: Follower,
    ring: KeyRing,
    proofs: Option<Proofs>,
) -> (Guard, Publisher) {
    let GuardSetup { policy, scopes, clock, cache_key, key_fetcher } = setup;
    let trust = Trust { ring: Arc::new(ring), terms: Arc::new(Terms { policy, scopes }), version: 0 };
    let state = State {
        revoked: follower.revoked().clone(),
        freshness: follower.freshness(),
        trust: Some(trust.clone()),
    };
    let mut shared = VerifierShared::new(clock, cache_key, key_fetcher, state);
    shared.proofs = proofs;
    let shared = Arc::new(shared);
    let guard = Guard { shared: Arc::clone(&shared), terms: Arc::clone(&trust.terms) };
    (guard, Publisher::new(follower, trust, shared))
}

impl Guard {
    /// Checks a token for one of these purposes. If the token's `rsq` names an entry that the guard doesn't
    /// know yet, waits a moment for that entry. In a node, first waits for a read of the log that begins now.
    ///
    /// # Errors
    /// Returns an error if the token is refused, or if the guard can't decide.
    pub async fn check(&self, text: &str, purposes: &[TokenType]) -> Result<Live, VerifyError> {
        self.proven().await?;
        let purposes = Purposes::from(purposes);
        match self.shared.check_state(text, purposes) {
            Ok(accepted) => return Ok(accepted.into_live()),
            Err(Uncertain::Refused(Refusal::TokenInvalid(Invalid::Key))) => {
                self.shared.look_for_key_of(text).await?
            }
            Err(Uncertain::Refused(refusal)) => return Err(VerifyError::Refused(refusal)),
            Err(Uncertain::Behind { rsq, .. }) => self.caught_up(rsq, CATCH_UP).await?,
            // A node that was paused reads again.
            Err(Uncertain::Stale) if self.shared.proofs.is_some() => self.proven().await?,
            Err(Uncertain::Stale | Uncertain::Boot) => return Err(VerifyError::Stale),
        }
        match self.shared.check_state(text, purposes) {
            Ok(accepted) => Ok(accepted.into_live()),
            Err(Uncertain::Refused(refusal)) => Err(VerifyError::Refused(refusal)),
            Err(Uncertain::Behind { .. } | Uncertain::Stale | Uncertain::Boot) => Err(VerifyError::Stale),
        }
    }

    /// Checks a token against the entries that are known now.
    ///
    /// # Errors
    /// Returns an error if the token is refused, or if its `rsq` names an entry that the guard doesn't know
    /// yet.
    pub fn check_now(&self, text: &str, purposes: &[TokenType]) -> Result<Live, Verdict> {
        self.shared.check_state_known(text, purposes)
    }

    /// Verifies a token's signature and nothing else. The result isn't cached: this is for tokens that are
    /// used once. In a node, first waits for a read of the log that begins now.
    ///
    /// # Errors
    /// Returns an error if neither a key of the ring nor a key that could be fetched signed the token.
    pub async fn authenticate(&self, text: &str) -> Result<Authentic, VerifyError> {
        self.proven().await?;
        match self.authenticate_now(text) {
            Err(Invalid::Key) => self.shared.look_for_key_of(text).await?,
            decided => return decided.map_err(|invalid| VerifyError::Refused(invalid.into())),
        }
        self.authenticate_now(text).map_err(|invalid| VerifyError::Refused(invalid.into()))
    }

    /// Like [`Guard::authenticate`], for a caller that decides by what it reads from the store afterwards. Waits
    /// for a read of the log only if no known key signed the token.
    ///
    /// # Errors
    /// Returns an error if neither a key of the ring nor a key that could be fetched signed the token.
    pub async fn authenticate_before_look(&self, text: &str) -> Result<Authentic, VerifyError> {
        match self.authenticate_now(text) {
            Err(Invalid::Key) => self.authenticate(text).await,
            decided => decided.map_err(|invalid| VerifyError::Refused(invalid.into())),
        }
    }

    /// Like [`Guard::authenticate`], with the keys that are in the ring now.
    ///
    /// # Errors
    /// Returns an error if no key of the ring signed the token.
    pub fn authenticate_now(&self, text: &str) -> Result<Authentic, Invalid> {
        self.shared.authenticate(text)
    }

    /// Returns whether a known entry revokes the token. Doesn't check expiry or the policy.
    pub fn covers(&self, token: &Authentic) -> bool {
        token.minted().is_ok_and(|minted| self.shared.state.load().revoked.covers(minted, token.scopes()))
    }

    /// Returns whether a token issued now, at the head `rsq` and with these scopes, would already be revoked.
    pub fn covers_minted(&self, rsq: Seq, scopes: &[ScopeKey]) -> bool {
        self.shared.state.load().revoked.covers(Minted::At(rsq), scopes)
    }

    /// Returns the current key ring.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.shared.state.load().trust.as_ref().map(|trust| Arc::clone(&trust.ring)).unwrap_or_default()
    }

    /// Returns the number of the newest known entry.
    pub fn cursor(&self) -> Seq {
        self.shared.state.load().revoked.cursor()
    }

    /// Returns the number of revoked scopes.
    pub fn entries(&self) -> usize {
        self.shared.state.load().revoked.len()
    }

    /// Returns the rules that tokens must meet.
    pub fn policy(&self) -> &TokenPolicy {
        &self.terms.policy
    }

    /// Returns the hasher of scopes, which the log and the feed contain as hashes.
    pub fn scopes(&self) -> &ScopeHasher {
        &self.terms.scopes
    }

    /// Returns whether this process may decide and sign now: a node may until the end of its own lease.
    pub fn is_fresh(&self) -> bool {
        self.shared.state.load().freshness.holds(self.shared.clock.uptime())
    }

    /// Returns whether this process decides nothing more, because another one has changed the settings that define
    /// tokens.
    pub fn is_fenced(&self) -> bool {
        self.shared.proofs.as_ref().is_some_and(Proofs::is_fenced)
    }

    /// Returns the longest lifetime of tokens ever configured, as far as it is known.
    pub fn longest_lifetime(&self) -> Duration {
        let state = self.shared.state.load();
        let terms = state.trust.as_ref().map_or(&self.terms, |trust| &trust.terms);
        terms.policy.longest_lifetime_ever
    }

    /// Waits until the state is proven for a request that arrives now, and this process may decide. At once, if
    /// it needs no proof.
    ///
    /// # Errors
    /// There is no proof in time.
    pub async fn proven(&self) -> Result<(), VerifyError> {
        match &self.shared.proofs {
            Some(proofs) => proofs.since(self.shared.clock.uptime(), || self.is_fresh()).await,
            None => Ok(()),
        }
    }

    /// Waits until the guard knows the entry `seq`.
    ///
    /// # Errors
    /// Returns an error if the entry doesn't arrive in time.
    pub async fn caught_up(&self, seq: Seq, within: Duration) -> Result<(), VerifyError> {
        self.shared.caught_up(seq, within).await
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
