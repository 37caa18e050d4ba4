//! Key changes in a running process: rotating, retiring and revoking keys. `quash-core` decides when a change
//! is due.
//!
//! Each step is one change of the store, and this process loads the store's keys after it before anything is
//! signed again. The store is valid after each step, so a process that is killed in between continues from
//! there.

use std::sync::{Arc, Weak};
use std::time::Duration;

use quash_core::decide::{
    KeyDue, KeyRefusal, RevokedKeySessions, Rotation, Successor, key_due, promote_key, replace_key,
    retire_key, revoke_keys, rotate_keys, start_successor, successor,
};
use quash_core::model::{Actor, Change, KeyRecord, KeySource, KeyState, Kid, Receipt, Seq, Timestamp};
use quash_core::token::{Family, SigningKey};
use quash_store::StoreError;

use crate::context::{Context, Service};
use crate::failure::{Failure, StartError, Unavailable};
use crate::keys::opened::{kept_after_revocation, unrevoked, verifying};
use crate::keys::{LoadedKeys, OpenedKeys, make, opened};
use crate::retry::{Uncommitted, retry};

/// The time at which the next key begins to sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takeover {
    /// Once it has been published for long enough that verifiers know it.
    Announced,
    /// At once: verifiers must fetch the key when they meet it.
    Now,
}

/// A key that was changed, and its new state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedKey {
    pub kid: Kid,
    /// The new state, or `None` if the key was dropped.
    pub state: Option<KeyState>,
}

/// The result of revoking a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRevoked {
    /// The sequence number of the last entry in the log.
    pub seq: Option<Seq>,
    /// The key that signs from now on. `None` if none does until the settings name another.
    pub signs: Option<Kid>,
}

/// A reason why keys weren't changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyChangeFault {
    #[error("{0}")]
    Refused(KeyRefusal),
    #[error("the keys could not be changed")]
    Failed(Failure),
}

impl Service {
    /// Makes another key sign. With [`Takeover::Announced`] the key is made and published, and upkeep does
    /// the rest. A key that is already published is used instead of a new one.
    ///
    /// # Errors
    /// The settings name the signing key, or the store is unavailable.
    pub async fn rotate_key(&self, takeover: Takeover, actor: Actor) -> Result<ChangedKey, KeyChangeFault> {
        self.run_to_end(|context| async move { context.rotate_key(takeover, actor).await }).await
    }

    /// Drops an unneeded key: the next key, or one whose last token has expired.
    ///
    /// # Errors
    /// The key is still needed, or the store is unavailable.
    pub async fn retire_key(&self, kid: &Kid, actor: Actor) -> Result<ChangedKey, KeyChangeFault> {
        let kid = kid.clone();
        self.run_to_end(|context| async move { context.retire_key(&kid, actor).await }).await
    }

    /// Revokes a key, and all others of the same material: tokens that it has signed are refused at once,
    /// except refresh tokens with genuine ids. If it was the signing key, another one signs from now on, also at
    /// other nodes.
    ///
    /// # Errors
    /// The key doesn't exist or is revoked already, or the store is unavailable. With
    /// [`Unavailable::OutcomeUnknown`], it is revoked, but another node may still sign with it.
    pub async fn revoke_key(
        &self,
        kid: &Kid,
        sessions: RevokedKeySessions,
        actor: Actor,
    ) -> Result<KeyRevoked, KeyChangeFault> {
        let kid = kid.clone();
        self.run_to_end(|context| async move {
            let revoked = context.revoke_key(&kid, sessions, actor).await?;
            context.keys_at_all_nodes(revoked.seq).await?;
            Ok(revoked)
        })
        .await
    }

    /// Makes due key changes. Upkeep calls it each minute.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn apply_due_key_changes(&self) -> Result<(), Failure> {
        let applied = self.run_to_end(|context| async move { context.apply_due_key_changes().await }).await;
        applied.map_err(|fault| match fault {
            KeyChangeFault::Failed(failure) => failure,
            KeyChangeFault::Refused(_) => Failure::Unavailable(Unavailable::Contended),
        })
    }

    /// Runs the work to its end, even if the caller is cancelled: otherwise this process could commit a
    /// change and still sign with a key that no longer signs.
    async fn run_to_end<T, W>(&self, work: impl FnOnce(Arc<Context>) -> W) -> Result<T, KeyChangeFault>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, KeyChangeFault>> + Send + 'static,
    {
        let broken_off = |_| {
            KeyChangeFault::Failed(Failure::Unavailable(Unavailable::OutcomeUnknown(
                "the change of the keys was interrupted".into(),
            )))
        };
        tokio::spawn(work(Arc::clone(&self.context))).await.unwrap_or_else(|error| Err(broken_off(error)))
    }
}

impl Context {
    async fn rotate_key(&self, takeover: Takeover, actor: Actor) -> Result<ChangedKey, KeyChangeFault> {
        let mut loaded_keys = self.keys.loaded_keys.lock().await;
        retry!({
            let records = self.store.keys().await?;
            let longest = self.longest_lifetime().await?;
            let (kid, state, changed) = match (rotate_keys(&records).map_err(refused)?, takeover) {
                (Rotation::IsNext { kid, since }, Takeover::Announced) => {
                    return Ok(ChangedKey { kid, state: Some(KeyState::Next { since }) });
                }
                (Rotation::IsNext { kid, .. }, Takeover::Now) => {
                    let change = |now| promote_key(&records, kid.clone(), longest, actor.clone(), now);
                    (kid.clone(), KeyState::Current, self.change_keys(change, &mut loaded_keys).await)
                }
                (Rotation::Make, Takeover::Announced) => {
                    let state = KeyState::Next { since: self.clock.now() };
                    let key = self.new_key(state).await?;
                    let kid = key.kid.clone();
                    let change = |_| Change::AddKey { key, replaces: None, actor: actor.clone() };
                    (kid, state, self.change_keys(change, &mut loaded_keys).await)
                }
                (Rotation::Make, Takeover::Now) => {
                    let key = self.new_key(KeyState::Current).await?;
                    let kid = key.kid.clone();
                    let change = |now| replace_key(&records, key, longest, actor.clone(), now);
                    (kid, KeyState::Current, self.change_keys(change, &mut loaded_keys).await)
                }
            };
            changed?;
            tracing::info!(%kid, state = state.as_str(), "changed the state of a key");
            Ok(ChangedKey { kid, state: Some(state) })
        })
    }

    async fn retire_key(&self, kid: &Kid, actor: Actor) -> Result<ChangedKey, KeyChangeFault> {
        let mut loaded_keys = self.keys.loaded_keys.lock().await;
        retry!({
            let records = self.store.keys().await?;
            let change = retire_key(&records, kid, actor.clone(), self.clock.now()).map_err(refused)?;
            self.change_keys(|_| change, &mut loaded_keys).await?;
            Ok(ChangedKey { kid: kid.clone(), state: None })
        })
    }

    async fn revoke_key(
        &self,
        kid: &Kid,
        sessions: RevokedKeySessions,
        actor: Actor,
    ) -> Result<KeyRevoked, KeyChangeFault> {
        let mut loaded_keys = self.keys.loaded_keys.lock().await;
        retry!({
            let records = self.store.keys().await?;
            let same = self.of_one_material(&records, kid).map_err(Uncommitted::Failed)?;
            let kids: Vec<Kid> = same.iter().map(|record| record.kid.clone()).collect();
            let next_signer = successor(&records, &kids).map_err(refused)?;
            let fresh = match next_signer {
                Successor::Make => Some(self.new_key(KeyState::Current).await?),
                Successor::Same | Successor::Next(_) | Successor::None => None,
            };
            let revoked = kept_after_revocation(&same, &self.keys.master, &*self.entropy)
                .map_err(|error| unusable(&error))?;
            let change = |now| {
                let signs = start_successor(next_signer, fresh, actor.clone(), now);
                revoke_keys(revoked, signs, sessions, actor.clone(), self.guard.scopes(), now)
            };
            let receipt = self.change_keys(change, &mut loaded_keys).await?;
            tracing::warn!(%kid, "revoked a key");
            let signs = self.keys.signing.read().await.as_ref().map(|key| key.verifying().kid().clone());
            Ok(KeyRevoked { seq: receipt.seq, signs })
        })
    }

    async fn apply_due_key_changes(&self) -> Result<(), KeyChangeFault> {
        let mut loaded_keys = self.keys.loaded_keys.lock().await;
        while retry!({ self.do_next_step(&mut loaded_keys).await })? {}
        Ok(())
    }

    /// Makes the first due key change, and returns whether there was one.
    async fn do_next_step(&self, loaded_keys: &mut LoadedKeys) -> Result<bool, Uncommitted<KeyChangeFault>> {
        let records = self.store.keys().await?;
        if !loaded_keys.knows(&records) {
            let mut signing = self.keys.signing.write().await;
            self.load_keys(&mut signing, loaded_keys, &records, NO_RING).await?;
        }
        let published_for = loaded_keys
            .next
            .as_ref()
            .map_or(Duration::ZERO, |(_, since)| self.clock.uptime().saturating_sub(*since));
        let longest = self.longest_lifetime().await?;
        let rule = Actor::Rule;
        match key_due(&records, self.keys.rotate_every, published_for, self.clock.now()) {
            None => return Ok(false),
            Some(KeyDue::Drop(kid)) => {
                self.change_keys(|now| Change::DropKey { kid, at: now, actor: rule }, loaded_keys).await?
            }
            Some(KeyDue::Make) => {
                let key = self.new_key(KeyState::Next { since: self.clock.now() }).await?;
                tracing::info!(kid = %key.kid, "published a new key, which will sign in ten minutes");
                self.change_keys(|_| Change::AddKey { key, replaces: None, actor: rule }, loaded_keys).await?
            }
            Some(KeyDue::Promote(kid)) => {
                tracing::info!(%kid, "the published key now signs");
                self.change_keys(|now| promote_key(&records, kid, longest, rule, now), loaded_keys).await?
            }
        };
        Ok(true)
    }

    /// Commits a change of the keys, loads the store's keys, and waits until the guard knows the change's
    /// entries. Nothing is signed meanwhile, so that after the commit only the current key signs.
    async fn change_keys(
        &self,
        change: impl FnOnce(Timestamp) -> Change,
        loaded_keys: &mut LoadedKeys,
    ) -> Result<Receipt, Uncommitted<KeyChangeFault>> {
        let mut signing = self.keys.signing.write().await;
        let committed = self.store.commit(change(self.clock.now())).await;
        // Also after an error, because it isn't known whether the change was written.
        let loaded = match self.stored_keys().await {
            Ok((records, ring)) => self.load_keys(&mut signing, loaded_keys, &records, ring).await,
            Err(error) => Err(error.into()),
        };
        if loaded.is_err() {
            // The old signing key may be revoked. Upkeep tries again, and a node at once.
            *signing = None;
            loaded_keys.known = None;
            if let Some(node) = &self.node {
                node.reload.notify_one();
            }
        }
        drop(signing);
        let receipt = committed?;
        loaded.map_err(|failure| {
            let what = format!("it is, and the keys can't be loaded: {failure}");
            Failure::Unavailable(Unavailable::OutcomeUnknown(what))
        })?;
        if let Some(seq) = receipt.seq {
            self.announce(seq).await?;
        }
        Ok(receipt)
    }

    /// Updates the guard with the store's keys, and then this process's signing key.
    async fn load_keys(
        &self,
        signing: &mut Option<SigningKey>,
        loaded_keys: &mut LoadedKeys,
        records: &[KeyRecord],
        ring: u64,
    ) -> Result<(), Failure> {
        if !loaded_keys.knows(records) {
            let OpenedKeys { signing: signs, own } =
                opened(records, &self.keys.master).map_err(|error| unusable(&error))?;
            self.keys.rings.update_own(own).await.map_err(|_| Failure::Unavailable(Unavailable::Stale))?;
            *signing = signs;
            loaded_keys.set(records, self.clock.uptime());
        }
        if let Some(node) = &self.node {
            node.has_ring(ring);
        }
        Ok(())
    }

    /// The store's keys, and the number of changes of them that they contain at least.
    async fn stored_keys(&self) -> Result<(Vec<KeyRecord>, u64), StoreError> {
        let ring = if self.node.is_some() { self.store.head().await?.ring } else { NO_RING };
        Ok((self.store.keys().await?, ring))
    }

    /// Loads the keys that another node has changed.
    async fn reload_keys(&self) -> Result<(), Failure> {
        let mut loaded_keys = self.keys.loaded_keys.lock().await;
        let (records, ring) = self.stored_keys().await?;
        let mut signing = self.keys.signing.write().await;
        self.load_keys(&mut signing, &mut loaded_keys, &records, ring).await
    }

    /// The key with this id first, then all unrevoked keys of the same material.
    fn of_one_material<'a>(
        &self,
        records: &'a [KeyRecord],
        kid: &Kid,
    ) -> Result<Vec<&'a KeyRecord>, KeyChangeFault> {
        let asked = records.iter().find(|record| record.kid == *kid).ok_or(KeyRefusal::Unknown)?;
        let wanted = verifying(asked, &self.keys.master).map_err(|error| unusable(&error))?;
        let others = unrevoked(&wanted, records, &self.keys.master).map_err(|error| unusable(&error))?;
        Ok([asked].into_iter().chain(others.into_iter().filter(|record| record.kid != *kid)).collect())
    }

    /// Generates an RSA key in a blocking task, because that takes a while.
    async fn new_key(&self, state: KeyState) -> Result<KeyRecord, Failure> {
        let unmade = || Failure::Unavailable(Unavailable::Unsigned);
        // A node's settings may name another algorithm than the one that all nodes sign with.
        let current = self.keys.signing.read().await.as_ref().map(|key| key.verifying().algorithm());
        let algorithm = current.filter(|_| self.node.is_some()).unwrap_or(self.keys.algorithm);
        let entropy = Arc::clone(&self.entropy);
        let secret = match algorithm.family() {
            Family::Rsa => {
                let made = tokio::task::spawn_blocking(move || make::secret(algorithm, &*entropy));
                made.await.ok().flatten()
            }
            Family::Ed25519 | Family::Ec | Family::Hmac => make::secret(algorithm, &*entropy),
        };
        let secret = secret.ok_or_else(unmade)?;
        let made = make::record(
            algorithm,
            &secret,
            KeySource::Made,
            state,
            &self.keys.master,
            &*self.entropy,
            self.clock.now(),
        );
        made.map_err(|_| unmade())
    }

    async fn longest_lifetime(&self) -> Result<Duration, Failure> {
        Ok(self.store.head().await?.longest_lifetime)
    }
}

/// Loads the keys whenever another node has changed them, for as long as the process runs.
pub(crate) async fn follow_keys(context: Weak<Context>) {
    loop {
        let Some(node) = context.upgrade().and_then(|context| context.node.clone()) else { return };
        node.ring_needed().await;
        let Some(context) = context.upgrade() else { return };
        let failure = match tokio::time::timeout(RELOADED_WITHIN, context.reload_keys()).await {
            Ok(Ok(())) => continue,
            Ok(Err(failure)) => failure.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        tracing::warn!(failure, "failed to load changed keys; retrying");
        node.reload.notify_one();
        tokio::time::sleep(RELOAD_AGAIN).await;
    }
}

/// The time in which changed keys must be loaded.
const RELOADED_WITHIN: Duration = Duration::from_secs(10);
/// The pause after they couldn't be loaded.
const RELOAD_AGAIN: Duration = Duration::from_millis(100);
/// The number of changes of the keys that every process has, and that the only process need not count.
const NO_RING: u64 = 0;

impl From<KeyRefusal> for KeyChangeFault {
    fn from(refusal: KeyRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for KeyChangeFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for KeyChangeFault {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

fn refused(refusal: KeyRefusal) -> Uncommitted<KeyChangeFault> {
    Uncommitted::Failed(KeyChangeFault::Refused(refusal))
}

/// The failure to open a key of the store.
fn unusable(error: &StartError) -> Failure {
    Failure::Unavailable(Unavailable::StoreFailed(error.to_string()))
}
