//! The check itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use quash_core::model::{Clock, Invalid, Refusal, ScopeHasher, ScopeKey, Seq, TokenPolicy};
use quash_core::token::{Authentic, KeyRing, Minted, TokenType, authenticate};
use quash_core::watch::{Live, Revoked, Verdict, admit};
use tokio::sync::watch;

use crate::known::Known;

/// Decides on tokens. Cloning it is cheap; all clones see the same value.
#[derive(Clone)]
pub struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cursor: watch::Receiver<Seq>,
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

/// Who may know keys that the ring lacks: an issuer publishes a new one before it signs with it, but nobody is told.
pub trait MoreKeys: Send + Sync {
    /// Looks for them, unless it has just done so. What was found is in the ring by the time this returns.
    fn look(&self) -> Pin<Box<dyn Future<Output = Looked> + Send + '_>>;
}

/// What came of looking for keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looked {
    /// The ring has what is published.
    Done,
    /// Somebody's keys have never been had, so nobody can tell whether a token is theirs.
    Away,
}

/// Why a token isn't let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It is refused.
    Refused(Refusal),
    /// The guard can't vouch for an answer: it hasn't caught up with the token in time.
    Stale,
    /// The keys of an issuer have never been had: the token may be one of its.
    KeysAway,
}

/// Everything a check looks at, replaced whole.
pub(crate) struct State {
    pub(crate) revoked: Revoked,
    pub(crate) ring: Arc<KeyRing>,
}

pub(crate) struct Shared {
    pub(crate) state: ArcSwap<State>,
    setup: GuardSetup,
    known: Known,
}

/// How long a check waits for an entry that the token proves to exist.
const CATCH_UP: Duration = Duration::from_millis(50);

impl Shared {
    pub(crate) fn new(setup: GuardSetup, state: State) -> Self {
        Self { state: ArcSwap::from_pointee(state), known: Known::new(setup.cache_key), setup }
    }
}

impl Guard {
    /// Checks a token for one of these purposes. If the guard is behind the token, it waits a moment for what is missing.
    ///
    /// # Errors
    /// The token is refused, or the guard can't tell.
    pub async fn check(&self, text: &str, purposes: &[TokenType]) -> Result<Live, Denied> {
        match self.check_now(text, purposes) {
            Ok(live) => return Ok(live),
            Err(Verdict::Refused(Refusal::TokenInvalid(Invalid::Key))) => self.look_for_keys().await?,
            Err(Verdict::Refused(refusal)) => return Err(Denied::Refused(refusal)),
            Err(Verdict::Behind { rsq }) => self.caught_up(rsq, CATCH_UP).await?,
        }
        self.check_now(text, purposes).map_err(|verdict| match verdict {
            Verdict::Refused(refusal) => Denied::Refused(refusal),
            Verdict::Behind { .. } => Denied::Stale,
        })
    }

    /// Checks a token with what is known now. The state is loaded once, and the clock is read afterwards, so that a
    /// pause in between can only make the token look older.
    ///
    /// # Errors
    /// The token is refused, or the guard is behind it.
    pub fn check_now(&self, text: &str, purposes: &[TokenType]) -> Result<Live, Verdict> {
        let state = self.shared.state.load();
        let token = self.authenticate_or_recall(text, &state.ring).map_err(|invalid| Verdict::Refused(invalid.into()))?;
        let setup = &self.shared.setup;
        admit(token, purposes, &setup.policy, &state.revoked, setup.clock.now())
    }

    /// Verifies a token's signature, and nothing else. It isn't remembered: this is for tokens that are used once.
    ///
    /// # Errors
    /// No key of the ring signed it, nor one that could be had.
    pub async fn authenticate(&self, text: &str) -> Result<Authentic, Denied> {
        match self.authenticate_now(text) {
            Err(Invalid::Key) => self.look_for_keys().await?,
            decided => return decided.map_err(|invalid| Denied::Refused(invalid.into())),
        }
        self.authenticate_now(text).map_err(|invalid| Denied::Refused(invalid.into()))
    }

    /// As [`Guard::authenticate`], with the keys that are in the ring now.
    ///
    /// # Errors
    /// No key of the ring signed it.
    pub fn authenticate_now(&self, text: &str) -> Result<Authentic, Invalid> {
        let setup = &self.shared.setup;
        authenticate(text, &self.shared.state.load().ring, &setup.policy.names, &setup.scopes)
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
        Arc::clone(&self.shared.state.load().ring)
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
        &self.shared.setup.policy
    }

    /// What turns scopes into the keys of the log.
    pub fn scopes(&self) -> &ScopeHasher {
        &self.shared.setup.scopes
    }

    /// Waits until the guard knows the entry `seq`.
    ///
    /// # Errors
    /// It doesn't within this time.
    pub async fn caught_up(&self, seq: Seq, within: Duration) -> Result<(), Denied> {
        let mut cursor = self.cursor.clone();
        match tokio::time::timeout(within, cursor.wait_for(|cursor| *cursor >= seq)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Denied::Stale),
        }
    }

    async fn look_for_keys(&self) -> Result<(), Denied> {
        match &self.shared.setup.more_keys {
            None => Err(Denied::Refused(Invalid::Key.into())),
            Some(more) => match more.look().await {
                Looked::Done => Ok(()),
                Looked::Away => Err(Denied::KeysAway),
            },
        }
    }

    fn authenticate_or_recall(&self, text: &str, ring: &KeyRing) -> Result<Arc<Authentic>, Invalid> {
        let Shared { setup, known, .. } = &*self.shared;
        known.get_or(text, ring, || authenticate(text, ring, &setup.policy.names, &setup.scopes))
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}
