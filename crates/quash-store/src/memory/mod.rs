//! The in-memory store: the model that the other stores are compared with, and a store for tests. It persists
//! nothing.

mod audit;
mod keys;
mod mail;
mod outcome;
mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, AuditFilter, AuditHead, Change, Client, ClientName, Digest,
    EarlierRequests, Ending, Entry, Flow, FlowId, FlowLoaded, Followed, ForeignLoaded, Head, KeyRecord, Mail,
    Receipt, RegistrationBy, ScopeKey, Sealed, SecretDigest, Seq, Session, SessionId, SessionLoaded,
    StoredClient, Subject, Timestamp,
};
use tokio::sync::watch;

use self::state::State;
use crate::{AccountCount, AccountSearch, LiveSessions, SessionCount, SessionSearch, Store, StoreError};

/// A [`Store`] whose data lasts as long as the process.
///
/// ```
/// use quash_store::{MemoryStore, Store};
/// let store = MemoryStore::new();
/// assert_eq!(*store.newest().borrow(), quash_core::model::Seq::start_of(1));
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    newest: watch::Sender<Seq>,
}

impl MemoryStore {
    pub fn new() -> Self {
        let state = State::default();
        let newest = watch::Sender::new(state.head().seq);
        Self { state: Mutex::new(state), newest }
    }

    /// Returns an independent store with a copy of this store's data, like one that was restored from a
    /// backup.
    pub fn copy(&self) -> Self {
        let state = self.state().clone();
        let newest = watch::Sender::new(state.head().seq);
        Self { state: Mutex::new(state), newest }
    }

    /// Locks the state, ignoring poison: a change is applied only after everything that may fail, so a panic
    /// can't leave the state half written.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.state().head())
    }

    async fn account(&self, by: &AccountBy, now: Timestamp) -> Result<AccountLoaded, StoreError> {
        Ok(self.state().account(by, now))
    }

    async fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        account: Option<&AccountBy>,
        now: Timestamp,
    ) -> Result<ForeignLoaded, StoreError> {
        Ok(self.state().foreign(key, scopes, user, account, now))
    }

    async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, StoreError> {
        Ok(self.state().accounts(after, limit))
    }

    async fn search_accounts(
        &self,
        search: &AccountSearch,
        after: Option<&str>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        Ok(self.state().search_accounts(search, after, now, limit))
    }

    async fn count_accounts(
        &self,
        after: Option<&Subject>,
        now: Timestamp,
        limit: u32,
    ) -> Result<AccountCount, StoreError> {
        Ok(self.state().count_accounts(after, now, limit))
    }

    async fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<LiveSessions, StoreError> {
        Ok(self.state().live_sessions(search, before, now, limit))
    }

    async fn count_sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<SessionCount, StoreError> {
        Ok(self.state().count_sessions(after, now, limit))
    }

    async fn password_classes(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        Ok(self.state().password_classes(limit))
    }

    async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError> {
        Ok(self.state().session(id))
    }

    async fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        Ok(self.state().sessions_of(subject, after, limit))
    }

    async fn entries_after(&self, after: Seq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(self.state().entries_after(after, limit))
    }

    async fn follow(&self, after: Seq, limit: u32) -> Result<Followed, StoreError> {
        let state = self.state();
        Ok(Followed { head: state.head(), entries: state.entries_after(after, limit) })
    }

    async fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Result<Vec<(Entry, bool)>, StoreError> {
        Ok(self.state().entries_between(after, until, limit))
    }

    async fn entries_of(&self, keys: &[ScopeKey]) -> Result<Vec<Entry>, StoreError> {
        Ok(self.state().entries_of(keys))
    }

    async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, StoreError> {
        Ok(self.state().audit.entries(after, of, limit))
    }

    async fn audit_before(
        &self,
        before: (Timestamp, u64),
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<Audit>, StoreError> {
        Ok(self.state().audit.before(before, filter, limit))
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        Ok(self.state().audit.head())
    }

    async fn is_gone(&self, subject: &Subject) -> Result<bool, StoreError> {
        Ok(self.state().is_gone(subject))
    }

    async fn largest_number(&self) -> Result<u64, StoreError> {
        Ok(self.state().largest_number())
    }

    async fn unblanked(&self) -> Result<Option<Subject>, StoreError> {
        Ok(self.state().audit.unblanked())
    }

    async fn flow(&self, id: FlowId) -> Result<FlowLoaded, StoreError> {
        Ok(self.state().flow(id))
    }

    async fn earlier_requests(
        &self,
        subject_hashes: &[Digest],
        recipient_hash: Digest,
        now: Timestamp,
    ) -> Result<EarlierRequests, StoreError> {
        Ok(self.state().mail().earlier_requests(subject_hashes, recipient_hash, now))
    }

    async fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Result<Option<Flow>, StoreError> {
        Ok(self.state().mail().registration(by, now))
    }

    async fn mails_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Mail>, StoreError> {
        Ok(self.state().mail().due(now, limit))
    }

    async fn next_mail(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().mail().next_due(after))
    }

    async fn endings(&self, of: &Subject, after: &[Seq]) -> Result<Vec<Option<Ending>>, StoreError> {
        Ok(self.state().endings(of, after))
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        Ok(self.state().keys())
    }

    async fn client(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError> {
        Ok(self.state().client(digest))
    }

    async fn client_named(&self, name: &ClientName) -> Result<Option<StoredClient>, StoreError> {
        Ok(self.state().client_named(name))
    }

    async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<StoredClient>, StoreError> {
        Ok(self.state().clients(after, limit))
    }

    async fn secret(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        Ok(self.state().secret(name))
    }

    async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.state().remembered(name))
    }

    async fn commit(&self, change: Change) -> Result<Receipt, StoreError> {
        let mut state = self.state();
        let receipt = state.apply(&change)?;
        if let Some(seq) = receipt.seq {
            // Sent under the lock, so that the newest number never decreases.
            self.newest.send_replace(seq);
        }
        Ok(receipt)
    }

    fn newest(&self) -> watch::Receiver<Seq> {
        self.newest.subscribe()
    }
}
