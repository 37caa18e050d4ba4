//! A store whose changes are written in the order in which they were submitted, as SQLite does: the
//! PostgreSQL store writes those that are submitted at once in any order.

use async_trait::async_trait;
use quash_core::model::*;
use quash_store::{
    AccountCount, AccountSearch, LiveSessions, SessionCount, SessionSearch, Store, StoreError,
};
use tokio::sync::{Mutex, watch};

/// The store, and the place of the change that is being written.
pub(crate) struct InOrder<S> {
    store: S,
    place: Mutex<()>,
}

impl<S> InOrder<S> {
    pub(crate) fn new(store: S) -> Self {
        Self { store, place: Mutex::new(()) }
    }
}

macro_rules! in_order {
    ($($read:ident($($value:ident: $of:ty),*) -> $found:ty;)+) => {
        #[async_trait]
        impl<S: Store> Store for InOrder<S> {
            $(async fn $read(&self, $($value: $of),*) -> Result<$found, StoreError> {
                self.store.$read($($value),*).await
            })+

            async fn commit(&self, change: Change) -> Result<Receipt, StoreError> {
                let _place = self.place.lock().await;
                self.store.commit(change).await
            }

            fn newest(&self) -> watch::Receiver<Seq> {
                self.store.newest()
            }
        }
    };
}

in_order! {
    head() -> Head;
    account(by: &AccountBy, now: Timestamp) -> AccountLoaded;
    foreign(key: ScopeKey, scopes: &[ScopeKey], user: ScopeKey, account: Option<&AccountBy>, now: Timestamp) -> ForeignLoaded;
    accounts(after: Option<&str>, limit: u32) -> Vec<Account>;
    search_accounts(search: &AccountSearch, after: Option<&str>, now: Timestamp, limit: u32) -> Vec<Account>;
    count_accounts(after: Option<&Subject>, now: Timestamp, limit: u32) -> AccountCount;
    live_sessions(search: &SessionSearch, before: Option<SessionId>, now: Timestamp, limit: u32) -> LiveSessions;
    count_sessions(after: Option<SessionId>, now: Timestamp, limit: u32) -> SessionCount;
    is_gone(subject: &Subject) -> bool;
    largest_number() -> u64;
    password_classes(limit: u32) -> Vec<String>;
    session(id: SessionId) -> SessionLoaded;
    sessions_of(subject: &Subject, after: Option<SessionId>, limit: u32) -> Vec<Session>;
    entries_after(after: Seq, limit: u32) -> Vec<Entry>;
    follow(after: Seq, limit: u32) -> Followed;
    entries_between(after: Seq, until: Seq, limit: u32) -> Vec<(Entry, bool)>;
    entries_of(keys: &[ScopeKey]) -> Vec<Entry>;
    audit(after: u64, of: Option<&Subject>, limit: u32) -> Vec<Audit>;
    audit_before(before: (Timestamp, u64), filter: &AuditFilter, limit: u32) -> Vec<Audit>;
    audit_head() -> AuditHead;
    unblanked() -> Option<Subject>;
    flow(id: FlowId) -> FlowLoaded;
    earlier_requests(subject_hashes: &[Digest], recipient_hash: Digest, now: Timestamp) -> EarlierRequests;
    registration(by: &RegistrationBy, now: Timestamp) -> Option<Flow>;
    mails_due(now: Timestamp, limit: u32) -> Vec<Mail>;
    next_mail(after: Timestamp) -> Option<Timestamp>;
    endings(of: &Subject, after: &[Seq]) -> Vec<Option<Ending>>;
    keys() -> Vec<KeyRecord>;
    client(digest: SecretDigest) -> Option<Client>;
    clients(after: Option<&ClientName>, limit: u32) -> Vec<StoredClient>;
    client_named(name: &ClientName) -> Option<StoredClient>;
    secret(name: &str) -> Option<Sealed>;
    remembered(name: &str) -> Option<String>;
}
