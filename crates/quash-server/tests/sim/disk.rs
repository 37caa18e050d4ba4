//! The disk of one process of the issuer: the store outlives the process, and is slower than memory. A killed
//! process does nothing more: its pending writes don't happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, AuditFilter, AuditHead, Change, Client, ClientName, Digest,
    EarlierRequests, Ending, Entry, Flow, FlowId, FlowLoaded, Followed, ForeignLoaded, Head, KeyRecord, Mail,
    Receipt, RegistrationBy, ScopeKey, Sealed, SecretDigest, Seq, Session, SessionId, SessionLoaded,
    StoredClient, Subject, Timestamp,
};
use quash_store::{
    AccountCount, AccountSearch, LiveSessions, MemoryStore, SessionCount, SessionSearch, Store, StoreError,
};
use tokio::sync::watch;

use crate::chance::Chance;
use crate::time::Time;
use crate::wait::pass;

pub(crate) struct Disk {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) time: Arc<Time>,
    pub(crate) alive: Arc<AtomicBool>,
    pub(crate) seed: u64,
    /// The delay of its slow periods.
    pub(crate) slow_millis: u64,
    pub(crate) calm: Arc<AtomicBool>,
    /// Whether answers to changes may be lost, and how many were.
    pub(crate) answers: Arc<Answers>,
}

/// The answers to changes that the disk loses: the change may have been written or not.
#[derive(Default)]
pub(crate) struct Answers {
    /// Set while they may be lost. A process that starts doesn't repeat its changes.
    pub(crate) may_be_lost: AtomicBool,
    pub(crate) lost: AtomicUsize,
}

/// One in this many answers is lost.
const LOST: u64 = 24;

/// An operation that takes time.
#[derive(Clone, Copy)]
enum Act {
    Head,
    Entries,
    Load,
    Commit,
    /// The change is written, but not yet confirmed.
    Answer,
    LostBefore,
    LostAfter,
}

impl Disk {
    /// Waits for the duration of an operation. The duration depends on the time alone, not on the order of
    /// operations at that time.
    async fn turn(&self, act: Act) {
        if !self.calm.load(Ordering::Relaxed) {
            let chance = self.chance(act);
            // Data may be outdated by the time it is used: errors are most likely there.
            match chance.below(if matches!(act, Act::Head) { 6 } else { 16 }) {
                0 => pass(chance.millis(self.slow_millis)).await,
                1..=4 => pass(chance.millis(4)).await,
                _ => {}
            }
        }
        if !self.alive.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn chance(&self, act: Act) -> Chance {
        let moment = u64::try_from(self.time.now().as_millis()).expect("a short run");
        Chance::new(self.seed ^ (moment << 3 | act as u64).wrapping_mul(0x9E37_79B9))
    }

    /// Fails if the answer to a change is lost now.
    fn answer(&self, act: Act) -> Result<(), StoreError> {
        let may_be_lost = self.answers.may_be_lost.load(Ordering::Relaxed);
        if may_be_lost && !self.calm.load(Ordering::Relaxed) && self.chance(act).once_in(LOST) {
            self.answers.lost.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Unknown("the answer was lost".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Disk {
    async fn head(&self) -> Result<Head, StoreError> {
        let found = self.store.head().await;
        self.turn(Act::Head).await;
        found
    }

    async fn account(&self, by: &AccountBy, now: Timestamp) -> Result<AccountLoaded, StoreError> {
        let found = self.store.account(by, now).await;
        self.turn(Act::Load).await;
        found
    }

    async fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        account: Option<&AccountBy>,
        now: Timestamp,
    ) -> Result<ForeignLoaded, StoreError> {
        let found = self.store.foreign(key, scopes, user, account, now).await;
        self.turn(Act::Load).await;
        found
    }

    async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.store.accounts(after, limit).await
    }

    async fn search_accounts(
        &self,
        search: &AccountSearch,
        after: Option<&str>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        self.store.search_accounts(search, after, now, limit).await
    }

    async fn count_accounts(
        &self,
        after: Option<&Subject>,
        now: Timestamp,
        limit: u32,
    ) -> Result<AccountCount, StoreError> {
        self.store.count_accounts(after, now, limit).await
    }

    async fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<LiveSessions, StoreError> {
        self.store.live_sessions(search, before, now, limit).await
    }

    async fn count_sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<SessionCount, StoreError> {
        self.store.count_sessions(after, now, limit).await
    }

    async fn password_classes(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        self.store.password_classes(limit).await
    }

    async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError> {
        let found = self.store.session(id).await;
        self.turn(Act::Load).await;
        found
    }

    async fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.sessions_of(subject, after, limit).await
    }

    async fn entries_after(&self, after: Seq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let found = self.store.entries_after(after, limit).await;
        self.turn(Act::Entries).await;
        found
    }

    async fn follow(&self, after: Seq, limit: u32) -> Result<Followed, StoreError> {
        let found = self.store.follow(after, limit).await;
        self.turn(Act::Entries).await;
        found
    }

    async fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Result<Vec<(Entry, bool)>, StoreError> {
        let found = self.store.entries_between(after, until, limit).await;
        self.turn(Act::Entries).await;
        found
    }

    async fn entries_of(&self, keys: &[ScopeKey]) -> Result<Vec<Entry>, StoreError> {
        self.store.entries_of(keys).await
    }

    async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, StoreError> {
        self.store.audit(after, of, limit).await
    }

    async fn audit_before(
        &self,
        before: (Timestamp, u64),
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<Audit>, StoreError> {
        self.store.audit_before(before, filter, limit).await
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.store.audit_head().await
    }

    async fn is_gone(&self, subject: &Subject) -> Result<bool, StoreError> {
        self.store.is_gone(subject).await
    }

    async fn largest_number(&self) -> Result<u64, StoreError> {
        self.store.largest_number().await
    }

    async fn unblanked(&self) -> Result<Option<Subject>, StoreError> {
        self.store.unblanked().await
    }

    async fn flow(&self, id: FlowId) -> Result<FlowLoaded, StoreError> {
        self.store.flow(id).await
    }

    async fn earlier_requests(
        &self,
        subject_hashes: &[Digest],
        recipient_hash: Digest,
        now: Timestamp,
    ) -> Result<EarlierRequests, StoreError> {
        self.store.earlier_requests(subject_hashes, recipient_hash, now).await
    }

    async fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Result<Option<Flow>, StoreError> {
        self.store.registration(by, now).await
    }

    async fn mails_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Mail>, StoreError> {
        self.store.mails_due(now, limit).await
    }

    async fn next_mail(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_mail(after).await
    }

    async fn endings(&self, of: &Subject, after: &[Seq]) -> Result<Vec<Option<Ending>>, StoreError> {
        self.store.endings(of, after).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.store.keys().await
    }

    async fn client(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError> {
        let found = self.store.client(digest).await;
        self.turn(Act::Load).await;
        found
    }

    async fn client_named(&self, name: &ClientName) -> Result<Option<StoredClient>, StoreError> {
        self.store.client_named(name).await
    }

    async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<StoredClient>, StoreError> {
        self.store.clients(after, limit).await
    }

    async fn secret(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        self.store.secret(name).await
    }

    async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.store.remembered(name).await
    }

    async fn commit(&self, change: Change) -> Result<Receipt, StoreError> {
        self.turn(Act::Commit).await;
        self.answer(Act::LostBefore)?;
        let receipt = self.store.commit(change).await;
        self.turn(Act::Answer).await;
        if receipt.is_ok() {
            self.answer(Act::LostAfter)?;
        }
        receipt
    }

    fn newest(&self) -> watch::Receiver<Seq> {
        self.store.newest()
    }
}
