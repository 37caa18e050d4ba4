//! Epochs: begins a new epoch in a store that was restored from a backup or is found to have gone back.
//! `quash_core::decide` defines the new epoch. The binary remembers the log's position outside of the store.

use quash_core::decide::{NoEpochLeft, NotedEntry, begin_epoch, went_back};
use quash_core::hex;
use quash_core::model::{
    Actor, Change, Clock, Entropy, Epoch, Head, KeyRecord, NotedEnd, OldSessions, ScopeHasher, Seq, draw,
};
use quash_store::{Store, StoreError};

use crate::context::Service;
use crate::failure::{Failure, StartError, Unavailable};
use crate::feed::compare;
use crate::retry::{repeated, retry};
use crate::vault::MasterKey;

/// The known positions of a log that its store may have lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KnownLogEnd {
    /// A sequence number that the log had reached.
    pub seq: Option<Seq>,
    /// An epoch that the log may have been in.
    pub epoch: Option<Epoch>,
}

/// The report of a store that had gone back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RollbackReport {
    /// The last sequence number in the store's log.
    pub found: Seq,
    /// The sequence number that the log had reached before.
    pub proven: Seq,
    /// The first sequence number of the new epoch.
    pub seq: Seq,
}

/// Begins a new epoch in a store that was restored from a backup, before any other use of it.
///
/// # Errors
/// The store can't be used, the master key isn't its own, or there is no epoch left.
pub async fn begin_after_restore(
    store: &dyn Store,
    master: &MasterKey,
    beyond: KnownLogEnd,
    sessions: OldSessions,
    clock: &dyn Clock,
) -> Result<Seq, StartError> {
    check_master_key(&store.keys().await?, master)?;
    let noted = beyond.seq.map(|seq| Epoch::of(seq).ok_or(StartError::NoEpochLeft)).transpose()?;
    let known = noted.max(beyond.epoch);
    let change =
        begin_epoch(&store.head().await?, known, sessions, Actor::Operator, &scopes(master), clock.now())?;
    let begun = store.commit(change).await?;
    Ok(begun.seq.unwrap_or_default())
}

/// Begins a new epoch, which ends everything issued before, if the store has lost an end that its log had reached:
/// its number, or the entry with that number. Must be called before anything is issued.
///
/// # Errors
/// The store can't be used, the master key isn't its own, or there is no epoch left.
pub async fn begin_if_gone_back(
    store: &dyn Store,
    master: &MasterKey,
    noted: NotedEnd,
    clock: &dyn Clock,
) -> Result<Option<RollbackReport>, StartError> {
    // After a conflict, another node has begun an epoch, which may be the one that is needed.
    repeated(async || {
        let (head, noted_entry) = compare(store, noted).await?;
        if noted_entry != NotedEntry::Lost {
            return Ok(None);
        }
        let proven = noted.seq;
        check_master_key(&store.keys().await?, master)?;
        let known = Epoch::of(proven).ok_or(StartError::NoEpochLeft)?;
        let change =
            begin_epoch(&head, Some(known), OldSessions::End, Actor::Rule, &scopes(master), clock.now())?;
        let begun = store.commit(change).await?;
        Ok(Some(RollbackReport { found: head.seq, proven, seq: begun.seq.unwrap_or_default() }))
    })
    .await
}

/// The name of the id that distinguishes a store from others under the same master key.
const STORE_ID: &str = "store_id";

/// The id of a store. A store in memory has none, as it can't be copied.
pub(crate) async fn store_id(store: &dyn Store) -> Result<String, StoreError> {
    Ok(store.remembered(STORE_ID).await?.unwrap_or_default())
}

/// Gives a copy of a store an id of its own. From then on, neither store accepts the other's cursors.
///
/// # Errors
/// The store can't be used.
pub async fn renew_store_id(store: &dyn Store, entropy: &dyn Entropy) -> Result<(), StartError> {
    let value = hex::encode(&draw::<16>(entropy));
    store.commit(Change::Remember { name: STORE_ID, value }).await?;
    Ok(())
}

impl Service {
    /// Begins a new epoch, which ends everything issued before, because a verifier has proven that the log
    /// had reached a sequence number that the store has lost. Further reports have no effect: the log is then
    /// past the number, and the answer is `None`.
    ///
    /// The number must be proven, because an attacker could otherwise end everything.
    ///
    /// # Errors
    /// The store can't be used now, or there is no epoch left.
    pub async fn store_went_back(&self, proven: Seq) -> Result<Option<RollbackReport>, Failure> {
        self.begin_epoch_where(|head| went_back(head, proven), proven).await
    }

    /// Like [`Service::store_went_back`], for a verifier that has proven that the log had another entry under
    /// this number: the store went back, and its log has grown since then.
    ///
    /// # Errors
    /// As for [`Service::store_went_back`].
    pub(crate) async fn store_has_another_log(&self, proven: Seq) -> Result<Option<RollbackReport>, Failure> {
        self.begin_epoch_where(|head| head.seq.epoch() == proven.epoch(), proven).await
    }

    async fn begin_epoch_where(
        &self,
        is_lost: impl Fn(&Head) -> bool + Send,
        proven: Seq,
    ) -> Result<Option<RollbackReport>, Failure> {
        let context = &*self.context;
        retry!({
            let head = context.store.head().await?;
            if !is_lost(&head) {
                return Ok(None);
            }
            let no_epoch_left = || Failure::Unavailable(Unavailable::StoreFailed(NoEpochLeft.to_string()));
            let known = Epoch::of(proven).ok_or_else(no_epoch_left)?;
            let scopes = context.guard.scopes();
            let change =
                begin_epoch(&head, Some(known), OldSessions::End, Actor::Rule, scopes, context.clock.now());
            let begun = context.commit_and_announce(change.map_err(|NoEpochLeft| no_epoch_left())?).await?;
            let went_back = RollbackReport { found: head.seq, proven, seq: begun.seq.unwrap_or_default() };
            went_back.log("a verifier has proven");
            Ok(Some(went_back))
        })
    }
}

impl RollbackReport {
    /// Logs the event as an error. `who` proved it.
    pub fn log(&self, who: &str) {
        tracing::error!(
            found = self.found.as_u64(),
            proven = self.proven.as_u64(),
            epoch = self.seq.epoch(),
            "the store went back: {who} that the log had an entry which is now missing. Later ends are unknown, so \
             everything issued before has ended, and all users must sign in again"
        );
    }
}

/// The scopes of our own tokens. One scope covers everything, whichever field identifies accounts in tokens.
pub(crate) fn scopes(master: &MasterKey) -> ScopeHasher {
    ScopeHasher::ours(master.derive("scopes"))
}

/// Checks that a store's keys were sealed with this master key. With another one, an entry that ends everything
/// would cover no token that a verifier of the store knows.
pub(crate) fn check_master_key(keys: &[KeyRecord], master: &MasterKey) -> Result<(), StartError> {
    for record in keys {
        master.open(record.kid.as_str(), &record.secret).map_err(|_| StartError::WrongMasterKey)?;
    }
    Ok(())
}

/// Checks that a store that no service uses was sealed with this master key.
///
/// # Errors
/// It was sealed with another one, or can't be read.
pub async fn check_master_key_of(store: &dyn Store, master: &MasterKey) -> Result<(), StartError> {
    check_master_key(&store.keys().await?, master)
}

impl From<NoEpochLeft> for StartError {
    fn from(_: NoEpochLeft) -> Self {
        Self::NoEpochLeft
    }
}

#[cfg(test)]
mod tests {
    use quash_core::model::{KeySource, KeyState, Kid};
    use quash_core::model::{Sealed, Seeded, Timestamp};
    use quash_core::token::Algorithm;
    use quash_store::MemoryStore;

    use super::*;

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(self.0)
        }

        fn uptime(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }

    fn epoch(number: u64) -> Epoch {
        Epoch::new(number).expect("an epoch")
    }

    #[tokio::test]
    async fn new_epochs_begin_only_after_stores_went_back() {
        let (store, master) = (MemoryStore::new(), MasterKey::new(&Seeded::new(1)));
        let end = store.head().await.expect("a head").seq;
        assert_eq!(begin_if_gone_back(&store, &master, end.into(), &At(0)).await.expect("no fault"), None);
        let proven = epoch(4).start().next().next();
        let told = begin_if_gone_back(&store, &master, proven.into(), &At(0)).await.expect("no fault");
        assert_eq!(told, Some(RollbackReport { found: end, proven, seq: epoch(5).start().next() }));
        assert_eq!(begin_if_gone_back(&store, &master, proven.into(), &At(0)).await.expect("no fault"), None);
        let beyond = KnownLogEnd { seq: Some(epoch(6).start()), epoch: Some(epoch(8)) };
        let begun =
            begin_after_restore(&store, &master, beyond, OldSessions::End, &At(0)).await.expect("an epoch");
        assert_eq!(begun, epoch(9).start().next());
        let nothing = begin_after_restore(&store, &master, KnownLogEnd::default(), OldSessions::End, &At(0))
            .await
            .expect("an epoch");
        assert_eq!(nothing, epoch(10).start().next());
        let last = KnownLogEnd { seq: None, epoch: Some(Epoch::LAST) };
        let refused = begin_after_restore(&store, &master, last, OldSessions::End, &At(0)).await;
        assert!(matches!(refused, Err(StartError::NoEpochLeft)));
        let refused = begin_if_gone_back(&store, &master, Seq::MAX.into(), &At(0)).await;
        assert!(matches!(refused, Err(StartError::NoEpochLeft)));
    }

    #[tokio::test]
    async fn wrong_master_keys_begin_no_epoch() {
        let (store, chance) = (MemoryStore::new(), Seeded::new(1));
        let (master, other) = (MasterKey::new(&chance), MasterKey::new(&chance));
        let kid = Kid::parse("kid").expect("a kid");
        let secret: Sealed = master.seal("kid", b"secret", &chance);
        let (algorithm, state, source) = (Algorithm::Hs256, KeyState::Current, KeySource::Made);
        let key = KeyRecord { kid, algorithm, state, secret, created_at: Timestamp::default(), source };
        store
            .commit(Change::AddKey { key, replaces: None, actor: Actor::Rule })
            .await
            .expect("it is written");
        let before = store.head().await.expect("a head");
        let begun =
            begin_after_restore(&store, &other, KnownLogEnd::default(), OldSessions::End, &At(0)).await;
        assert!(matches!(begun, Err(StartError::WrongMasterKey)));
        let begun = begin_if_gone_back(&store, &other, epoch(2).start().into(), &At(0)).await;
        assert!(matches!(begun, Err(StartError::WrongMasterKey)));
        assert_eq!(store.head().await.expect("a head"), before);
    }
}
