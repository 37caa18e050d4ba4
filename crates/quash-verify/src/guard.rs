//! The guard of a process that every revocation passes through: it always knows all. How others know is told in
//! `verifier.rs`.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Clock, Invalid, Refusal, ScopeHasher, ScopeKey, Seq, TokenPolicy};
use quash_core::token::{Authentic, KeyRing, Minted, TokenType};
use quash_core::watch::{Live, Verdict};

use crate::denied::Denied;
use crate::more_keys::MoreKeys;
use crate::shared::{Doubt, Purposes, Shared};
use crate::trust::Terms;

/// Decides on tokens. Cloning it is cheap; all clones see the same value.
#[derive(Clone)]
pub struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) terms: Arc<Terms>,
}

/// What a guard must be told.
pub struct GuardSetup {
    /// What tokens must say.
    pub policy: TokenPolicy,
    /// What turns scopes into the keys of the log.
    pub scopes: ScopeHasher,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Random, and of this process alone: the key of the cache of verified tokens.
    pub cache_key: [u8; 16],
    /// Who may know keys that the ring lacks.
    pub more_keys: Option<Arc<dyn MoreKeys>>,
}

/// How long a check waits for an entry that the token proves to exist.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(50);

impl Guard {
    /// Checks a token for one of these purposes. If the guard is behind the token, it waits a moment for what is missing.
    ///
    /// # Errors
    /// The token is refused, or the guard can't tell.
    pub async fn check(&self, text: &str, purposes: &[TokenType]) -> Result<Live, Denied> {
        let purposes = Purposes::These(purposes);
        match self.shared.judge(text, purposes) {
            Ok(accepted) => return Ok(accepted.into_live()),
            Err(Doubt::Refused(Refusal::TokenInvalid(Invalid::Key))) => {
                self.shared.look_for_key_of(text).await?
            }
            Err(Doubt::Refused(refusal)) => return Err(Denied::Refused(refusal)),
            Err(Doubt::Behind { rsq }) => self.caught_up(rsq, CATCH_UP).await?,
            Err(Doubt::Stale | Doubt::Boot) => return Err(Denied::Stale),
        }
        match self.shared.judge(text, purposes) {
            Ok(accepted) => Ok(accepted.into_live()),
            Err(Doubt::Refused(refusal)) => Err(Denied::Refused(refusal)),
            Err(Doubt::Behind { .. } | Doubt::Stale | Doubt::Boot) => Err(Denied::Stale),
        }
    }

    /// Checks a token with what is known now.
    ///
    /// # Errors
    /// The token is refused, or the guard is behind it.
    pub fn check_now(&self, text: &str, purposes: &[TokenType]) -> Result<Live, Verdict> {
        self.shared.judge_known(text, purposes)
    }

    /// Verifies a token's signature, and nothing else. It isn't remembered: this is for tokens that are used once.
    ///
    /// # Errors
    /// No key of the ring signed it, nor one that could be had.
    pub async fn authenticate(&self, text: &str) -> Result<Authentic, Denied> {
        match self.authenticate_now(text) {
            Err(Invalid::Key) => self.shared.look_for_key_of(text).await?,
            decided => return decided.map_err(|invalid| Denied::Refused(invalid.into())),
        }
        self.authenticate_now(text).map_err(|invalid| Denied::Refused(invalid.into()))
    }

    /// As [`Guard::authenticate`], with the keys that are in the ring now.
    ///
    /// # Errors
    /// No key of the ring signed it.
    pub fn authenticate_now(&self, text: &str) -> Result<Authentic, Invalid> {
        self.shared.authenticate(text)
    }

    /// Whether a token is revoked, as far as the guard knows now. Whether it holds otherwise isn't asked.
    pub fn covers(&self, token: &Authentic) -> bool {
        token.minted().is_ok_and(|minted| self.shared.state.load().revoked.covers(minted, token.scopes()))
    }

    /// Whether a token that is minted at the head `rsq` with these scopes would be revoked from the start.
    pub fn covers_minted(&self, rsq: Seq, scopes: &[ScopeKey]) -> bool {
        self.shared.state.load().revoked.covers(Minted::At(rsq), scopes)
    }

    /// The keys that tokens are verified with now.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.shared.state.load().trust.as_ref().map(|trust| Arc::clone(&trust.ring)).unwrap_or_default()
    }

    /// The number of the newest entry that the guard knows.
    pub fn cursor(&self) -> Seq {
        self.shared.state.load().revoked.cursor()
    }

    /// How many scopes the guard knows to be revoked.
    pub fn entries(&self) -> usize {
        self.shared.state.load().revoked.len()
    }

    /// What tokens must say.
    pub fn policy(&self) -> &TokenPolicy {
        &self.terms.policy
    }

    /// What turns scopes into the keys of the log.
    pub fn scopes(&self) -> &ScopeHasher {
        &self.terms.scopes
    }

    /// Waits until the guard knows the entry `seq`.
    ///
    /// # Errors
    /// It doesn't within this time.
    pub async fn caught_up(&self, seq: Seq, within: Duration) -> Result<(), Denied> {
        self.shared.caught_up(seq, within).await
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
