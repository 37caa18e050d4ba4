//! Turning the keys of a running process: another one signs, one is dropped, one is struck. What is due is decided in
//! `quash-core`.
//!
//! Each step is one change, and this process turns to what the store has after it before anybody signs again. Whoever is
//! killed in between begins again with what the store has, which is valid after each step.

use std::sync::Arc;
use std::time::Duration;

use quash_core::decide::{
    KeyDue, KeyRefusal, Rotation, StruckSessions, Successor, key_due, promote_key, replace_key, retire_key,
    rotate_keys, strike_keys, succeed, successor,
};
use quash_core::model::{Actor, Change, KeyRecord, KeySource, KeyState, Kid, Receipt, Seq, Timestamp};
use quash_core::token::SigningKey;
use quash_store::StoreError;

use crate::context::{Desk, Service};
use crate::failure::{Failure, StartError, Unavailable};
use crate::keys::opened::{kept_after_strike, unstruck, verifying};
use crate::keys::{OpenedKeys, Turning, make, opened};
use crate::retry::{Uncommitted, retry};

/// When another key signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takeover {
    /// Once it has been published for long enough that verifiers know it.
    Announced,
    /// At once: verifiers meet a key that they have to look up.
    Now,
}

/// A key that was turned, and how it stands from then on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnedKey {
    /// Its id.
    pub kid: Kid,
    /// How it stands; `None`: it is gone.
    pub state: Option<KeyState>,
}

/// What came of a strike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Struck {
    /// The number of the last entry in the log.
    pub seq: Option<Seq>,
    /// The key that signs from then on; `None`: none does until the settings name another.
    pub signs: Option<Kid>,
}

/// Why no key was turned.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyTurnFault {
    /// It can't be done.
    #[error("{0}")]
    Refused(KeyRefusal),
    /// It failed.
    #[error("the keys could not be turned")]
    Failed(Failure),
}

impl Service {
    /// Lets another key sign. With [`Takeover::Announced`] it is made and published; upkeep does the rest. Where one is
    /// published already, it is that one.
    ///
    /// # Errors
    /// The settings name what signs, or the store is away.
    pub async fn rotate_key(&self, takeover: Takeover, actor: Actor) -> Result<TurnedKey, KeyTurnFault> {
        self.whole(|desk| async move { desk.rotate_key(takeover, actor).await }).await
    }

    /// Drops a key that nobody needs: one that is next, or one whose last token has expired.
    ///
    /// # Errors
    /// Somebody needs it, or the store is away.
    pub async fn retire_key(&self, kid: &Kid, actor: Actor) -> Result<TurnedKey, KeyTurnFault> {
        let kid = kid.clone();
        self.whole(|desk| async move { desk.retire_key(&kid, actor).await }).await
    }

    /// Strikes a key, and every other of the same material: what it has signed is refused at once, but for refresh tokens
    /// with the right id. Where it signed, another does from then on.
    ///
    /// # Errors
    /// There is none, it was struck before, or the store is away.
    pub async fn strike_key(
        &self,
        kid: &Kid,
        sessions: StruckSessions,
        actor: Actor,
    ) -> Result<Struck, KeyTurnFault> {
        let kid = kid.clone();
        self.whole(|desk| async move { desk.strike_key(&kid, sessions, actor).await }).await
    }

    /// Does what is due with the keys: upkeep, each minute.
    ///
    /// # Errors
    /// The store is away.
    pub async fn tend_keys(&self) -> Result<(), Failure> {
        let tended = self.whole(|desk| async move { desk.tend_keys().await }).await;
        tended.map_err(|fault| match fault {
            KeyTurnFault::Failed(failure) => failure,
            KeyTurnFault::Refused(_) => Failure::Unavailable(Unavailable::Contended),
        })
    }

    /// Does it to its end, whoever stops waiting for it: between a commit and the turn this process would sign with what
    /// signs no more.
    async fn whole<T, W>(&self, work: impl FnOnce(Arc<Desk>) -> W) -> Result<T, KeyTurnFault>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, KeyTurnFault>> + Send + 'static,
    {
        let broken_off = |_| {
            KeyTurnFault::Failed(Failure::Unavailable(Unavailable::StoreAway(
                "turning the keys was broken off".into(),
            )))
        };
        tokio::spawn(work(Arc::clone(&self.desk))).await.unwrap_or_else(|error| Err(broken_off(error)))
    }
}

impl Desk {
    async fn rotate_key(&self, takeover: Takeover, actor: Actor) -> Result<TurnedKey, KeyTurnFault> {
        let mut turning = self.keys.turning.lock().await;
        retry!({
            let records = self.store.keys().await?;
            let longest = self.longest_lifetime().await?;
            let (kid, state, changed) = match (rotate_keys(&records).map_err(refused)?, takeover) {
                (Rotation::IsNext { kid, since }, Takeover::Announced) => {
                    return Ok(TurnedKey { kid, state: Some(KeyState::Next { since }) });
                }
                (Rotation::IsNext { kid, .. }, Takeover::Now) => {
                    let change = |now| promote_key(&records, kid.clone(), longest, actor.clone(), now);
                    (kid.clone(), KeyState::Current, self.change_keys(change, &mut turning).await)
                }
                (Rotation::Make, Takeover::Announced) => {
                    let state = KeyState::Next { since: self.clock.now() };
                    let key = self.new_key(state).await?;
                    let kid = key.kid.clone();
                    let change = |_| Change::AddKey { key, replaces: None, actor: actor.clone() };
                    (kid, state, self.change_keys(change, &mut turning).await)
                }
                (Rotation::Make, Takeover::Now) => {
                    let key = self.new_key(KeyState::Current).await?;
                    let kid = key.kid.clone();
                    let change = |now| replace_key(&records, key, longest, actor.clone(), now);
                    (kid, KeyState::Current, self.change_keys(change, &mut turning).await)
                }
            };
            changed?;
            tracing::info!(%kid, ?state, "a key was turned");
            Ok(TurnedKey { kid, state: Some(state) })
        })
    }

    async fn retire_key(&self, kid: &Kid, actor: Actor) -> Result<TurnedKey, KeyTurnFault> {
        let mut turning = self.keys.turning.lock().await;
        retry!({
            let records = self.store.keys().await?;
            let change = retire_key(&records, kid, actor.clone(), self.clock.now()).map_err(refused)?;
            self.change_keys(|_| change, &mut turning).await?;
            Ok(TurnedKey { kid: kid.clone(), state: None })
        })
    }

    async fn strike_key(
        &self,
        kid: &Kid,
        sessions: StruckSessions,
        actor: Actor,
    ) -> Result<Struck, KeyTurnFault> {
        let mut turning = self.keys.turning.lock().await;
        retry!({
            let records = self.store.keys().await?;
            let same = self.of_one_material(&records, kid).map_err(Uncommitted::Failed)?;
            let kids: Vec<Kid> = same.iter().map(|record| record.kid.clone()).collect();
            let heir = successor(&records, &kids).map_err(refused)?;
            let fresh = match heir {
                Successor::Make => Some(self.new_key(KeyState::Current).await?),
                Successor::Same | Successor::Next(_) | Successor::Nobody => None,
            };
            let struck = kept_after_strike(&same, &self.keys.master, &*self.entropy)
                .map_err(|error| unusable(&error))?;
            let change = |now| {
                let signs = succeed(heir, fresh, actor.clone(), now);
                strike_keys(struck, signs, sessions, actor.clone(), self.guard.scopes(), now)
            };
            let receipt = self.change_keys(change, &mut turning).await?;
            tracing::warn!(%kid, "a key was struck");
            let signs = self.keys.signing.read().await.as_ref().map(|key| key.verifying().kid().clone());
            Ok(Struck { seq: receipt.seq, signs })
        })
    }

    async fn tend_keys(&self) -> Result<(), KeyTurnFault> {
        let mut turning = self.keys.turning.lock().await;
        while retry!({ self.do_next_step(&mut turning).await })? {}
        Ok(())
    }

    /// Does the first step that is due, and returns whether there was one.
    async fn do_next_step(&self, turning: &mut Turning) -> Result<bool, Uncommitted<KeyTurnFault>> {
        let records = self.store.keys().await?;
        if !turning.knows(&records) {
            let mut signing = self.keys.signing.write().await;
            self.turn(&mut signing, turning, &records).await?;
        }
        let published_for = turning
            .next
            .as_ref()
            .map_or(Duration::ZERO, |(_, since)| self.clock.uptime().saturating_sub(*since));
        let longest = self.longest_lifetime().await?;
        let rule = Actor::Rule;
        match key_due(&records, self.keys.rotate_every, published_for, self.clock.now()) {
            None => return Ok(false),
            Some(KeyDue::Drop(kid)) => {
                self.change_keys(|now| Change::DropKey { kid, at: now, actor: rule }, turning).await?
            }
            Some(KeyDue::Make) => {
                let key = self.new_key(KeyState::Next { since: self.clock.now() }).await?;
                tracing::info!(kid = %key.kid, "a key is published, and signs ten minutes from now");
                self.change_keys(|_| Change::AddKey { key, replaces: None, actor: rule }, turning).await?
            }
            Some(KeyDue::Promote(kid)) => {
                tracing::info!(%kid, "the key that was next signs");
                self.change_keys(|now| promote_key(&records, kid, longest, rule, now), turning).await?
            }
        };
        Ok(true)
    }

    /// Commits a change of the keys, turns to what the store has then, and waits until the guard knows of its entries.
    /// Nobody signs meanwhile: once it is committed, nothing is signed with what isn't current.
    async fn change_keys(
        &self,
        change: impl FnOnce(Timestamp) -> Change,
        turning: &mut Turning,
    ) -> Result<Receipt, Uncommitted<KeyTurnFault>> {
        let mut signing = self.keys.signing.write().await;
        let committed = self.store.commit(change(self.clock.now())).await;
        // After an error, too: nobody can tell what it has left.
        let turned = match self.store.keys().await {
            Ok(records) => self.turn(&mut signing, turning, &records).await,
            Err(error) => Err(error.into()),
        };
        if turned.is_err() {
            // What signed may be what was struck. Upkeep looks again.
            *signing = None;
            turning.known = None;
        }
        drop(signing);
        let receipt = committed?;
        turned?;
        if let Some(seq) = receipt.seq {
            self.announce(seq).await.map_err(Failure::from)?;
        }
        Ok(receipt)
    }

    /// Lets the guard verify with what the store has, and then this process sign with it.
    async fn turn(
        &self,
        signing: &mut Option<SigningKey>,
        turning: &mut Turning,
        records: &[KeyRecord],
    ) -> Result<(), Failure> {
        if turning.knows(records) {
            return Ok(());
        }
        let OpenedKeys { signing: signs, own } =
            opened(records, &self.keys.master).map_err(|error| unusable(&error))?;
        self.keys.rings.turn_own(own).await.map_err(|_| Failure::Unavailable(Unavailable::Stale))?;
        *signing = signs;
        turning.turned_to(records, self.clock.uptime());
        Ok(())
    }

    /// The key of this id first, and all others of its material that weren't struck.
    fn of_one_material<'a>(
        &self,
        records: &'a [KeyRecord],
        kid: &Kid,
    ) -> Result<Vec<&'a KeyRecord>, KeyTurnFault> {
        let asked = records.iter().find(|record| record.kid == *kid).ok_or(KeyRefusal::Unknown)?;
        let wanted = verifying(asked, &self.keys.master).map_err(|error| unusable(&error))?;
        let others = unstruck(&wanted, records, &self.keys.master).map_err(|error| unusable(&error))?;
        Ok([asked].into_iter().chain(others.into_iter().filter(|record| record.kid != *kid)).collect())
    }

    /// Made apart from the tasks: an RSA key takes a while.
    async fn new_key(&self, state: KeyState) -> Result<KeyRecord, Failure> {
        let unmade = || Failure::Unavailable(Unavailable::Unsigned);
        let (algorithm, entropy) = (self.keys.algorithm, Arc::clone(&self.entropy));
        let secret = tokio::task::spawn_blocking(move || make::secret(algorithm, &*entropy))
            .await
            .ok()
            .flatten()
            .ok_or_else(unmade)?;
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
        Ok(Duration::from_millis(self.store.longest_lifetime().await?))
    }
}

impl From<KeyRefusal> for KeyTurnFault {
    fn from(refusal: KeyRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for KeyTurnFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for KeyTurnFault {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

fn refused(refusal: KeyRefusal) -> Uncommitted<KeyTurnFault> {
    Uncommitted::Failed(KeyTurnFault::Refused(refusal))
}

/// What opening a key of the store failed with.
fn unusable(error: &StartError) -> Failure {
    Failure::Unavailable(Unavailable::StoreAway(error.to_string()))
}
