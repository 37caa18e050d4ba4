//! The service itself: what every use case shares.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{
    Change, Clock, Entropy, Kid, Policy, Receipt, Refusal, Scope, ScopeHasher, Seq, SessionLoaded, SessionState, draw,
};
use quash_core::token::{Algorithm, Grant, JwkSet, KeyFault, mint_access, mint_refresh};
use quash_store::{Store, StoreError};
use quash_verify::{Guard, GuardSetup};
use tokio::sync::{Notify, watch};

use crate::failure::{Failure, Unavailable};
use crate::feed;
use crate::keys::{self, Keys};
use crate::passwords::Passwords;
use crate::refresh::Pair;
use crate::vault::MasterKey;
use crate::{HashSettings, PasswordHasher, Rehash};

/// All use cases of one process. Cloning it is cheap.
#[derive(Clone)]
pub struct Service {
    pub(crate) desk: Arc<Desk>,
}

/// What a service must be given.
pub struct Setup {
    /// Where it keeps what it must not forget.
    pub store: Arc<dyn Store>,
    /// What an operator has chosen.
    pub policy: Policy,
    /// What new tokens are signed with.
    pub algorithm: Algorithm,
    /// What secrets are sealed with.
    pub master: MasterKey,
    /// What hashes passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// How many passwords may be hashed at a time, and how many may wait.
    pub hashing: HashSettings,
    /// What becomes of a hash that isn't what would be made today.
    pub rehash: Rehash,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub entropy: Arc<dyn Entropy>,
}

/// Why a service can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be used.
    #[error("the store cannot be used: {0}")]
    Store(#[source] StoreError),
    /// The secrets in the store were sealed with another master key.
    #[error("the secrets in the store were sealed with another master key")]
    WrongMasterKey,
    /// There is no key to sign with.
    #[error("there is no key to sign with")]
    NoSigningKey,
    /// A key in the store is none.
    #[error("the key {0} in the store cannot be used: {1}")]
    Key(Kid, #[source] KeyFault),
}

pub(crate) struct Desk {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) keys: Keys,
    pub(crate) guard: Guard,
    pub(crate) passwords: Passwords,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) renew: Arc<Notify>,
}

/// How long an answer waits for this process's own guard to know what was committed.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(5);

impl Service {
    /// Opens the keys, reads the log, and begins to follow it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The store or a key in it can't be used.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { store, mut policy, algorithm, master, hasher, hashing, rehash, clock, entropy } = setup;
        let longest = u64::try_from(policy.tokens.longest_lifetime().as_millis()).unwrap_or(u64::MAX);
        store.commit(Change::RaiseLongestLifetime(longest)).await?;
        policy.tokens.longest_lifetime_ever = Duration::from_millis(store.longest_lifetime().await?);
        let mut keys = keys::open(&*store, &master, algorithm, &*clock, &*entropy).await?;
        let scopes = ScopeHasher::ours(master.derive("scopes"));
        let guard_setup = GuardSetup { policy: policy.tokens.clone(), scopes, clock: Arc::clone(&clock), cache_key: draw(&*entropy) };
        let (guard, keeper) = quash_verify::guard(guard_setup, feed::snapshot(&*store).await?, std::mem::take(&mut keys.ring));
        let renew = Arc::new(Notify::new());
        tokio::spawn(feed::follow(Arc::clone(&store), keeper, Arc::clone(&renew)));
        // What else is in the store becomes known as accounts are added and sign in.
        let passwords = Passwords::start(hasher, rehash, hashing, &[], &master.derive("decoys"), Arc::clone(&clock));
        Ok(Self { desk: Arc::new(Desk { store, policy, keys, guard, passwords, clock, entropy, renew }) })
    }

    /// The guard of this process: for doors that only need to know whether a token is live.
    pub fn guard(&self) -> &Guard {
        &self.desk.guard
    }

    /// What an operator has chosen.
    pub fn policy(&self) -> &Policy {
        &self.desk.policy
    }

    /// The public keys that tokens can be verified with.
    pub fn jwks(&self) -> JwkSet {
        self.desk.guard.ring().jwks()
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// It doesn't.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.desk.store.head().await?;
        if *self.desk.store.broken().borrow() {
            return Err(Failure::Unavailable(Unavailable::StoreAway("the disk refused to keep what it was given".into())));
        }
        Ok(())
    }

    /// Becomes `true` when the process must end, because the disk refused to keep what it was given.
    pub fn broken(&self) -> watch::Receiver<bool> {
        self.desk.store.broken()
    }
}

impl Desk {
    /// Commits a change that ends something, and waits until this process's own guard knows.
    pub(crate) async fn commit_and_announce(&self, change: Change) -> Result<Receipt, StoreError> {
        let receipt = self.store.commit(change).await?;
        if let Some(seq) = receipt.seq {
            self.announce(seq).await.map_err(|_| StoreError::Unavailable("the guard does not follow the log".into()))?;
        }
        Ok(receipt)
    }

    async fn announce(&self, seq: Seq) -> Result<(), quash_verify::Denied> {
        self.guard.caught_up(seq, ANNOUNCE_WITHIN).await
    }

    /// Signs what was granted.
    pub(crate) fn mint(&self, grant: &Grant, now: quash_core::model::Timestamp) -> Pair {
        let tokens = &self.policy.tokens;
        Pair {
            access: mint_access(grant, tokens, &self.keys.signing, now, &*self.entropy),
            refresh: mint_refresh(grant, tokens, &self.keys.signing, &self.keys.refresh),
        }
    }

    /// Adds the reason to a refusal where only the fact is known: what the session's row says, or else the first
    /// entry over the account or over everything since the session was opened. What the log has forgotten stays
    /// without a reason.
    pub(crate) async fn explain(&self, refusal: Refusal, loaded: &SessionLoaded) -> Failure {
        let (Refusal::TokenRevoked(None), Some((session, account))) = (refusal, &loaded.found) else {
            return Failure::Refused(refusal);
        };
        if let SessionState::Ended(ending) = &session.state {
            return Failure::Refused(Refusal::TokenRevoked(Some(ending.reason)));
        }
        if session.is_live(account, &loaded.head) {
            return Failure::Refused(refusal);
        }
        let scopes = self.guard.scopes();
        let keys = [scopes.key(&Scope::Subject(session.subject.clone())), scopes.key(&Scope::Everything)];
        let entries = self.store.entries_of(&keys).await.unwrap_or_default();
        let reason = entries.iter().find(|entry| entry.seq > session.opened_seq).map(|entry| entry.reason);
        Failure::Refused(Refusal::TokenRevoked(reason))
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
