//! The trait [`Store`], whose work the other modules do.

use async_trait::async_trait;
use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, AuditFilter, AuditHead, Change, Client, ClientName, Digest,
    EarlierRequests, Ending, Entry, Flow, FlowId, FlowLoaded, Followed, ForeignLoaded, Head, KeyRecord, Mail,
    Receipt, RegistrationBy, ScopeKey, Sealed, SecretDigest, Seq, Session, SessionId, SessionLoaded,
    StoredClient, Subject, Timestamp,
};
use tokio::sync::watch;

use super::read::{reader, search};
use super::{PostgresStore, audit};
use crate::{
    AccountCount, AccountSearch, LiveSessions, SessionCount, SessionSearch, Store, StoreConnections,
    StoreError,
};

#[async_trait]
impl Store for PostgresStore {
    async fn head(&self) -> Result<Head, StoreError> {
        self.reads.head().await
    }

    async fn account(&self, by: &AccountBy, now: Timestamp) -> Result<AccountLoaded, StoreError> {
        Ok(reader::account(&self.database, by, now).await?)
    }

    async fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        account: Option<&AccountBy>,
        now: Timestamp,
    ) -> Result<ForeignLoaded, StoreError> {
        Ok(reader::foreign(&self.database, key, scopes, user, account, now).await?)
    }

    async fn accounts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Account>, StoreError> {
        Ok(reader::accounts(&self.database, after, limit).await?)
    }

    async fn search_accounts(
        &self,
        search: &AccountSearch,
        after: Option<&str>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        Ok(search::accounts(&self.database, search, after, now, limit).await?)
    }

    async fn count_accounts(
        &self,
        after: Option<&Subject>,
        now: Timestamp,
        limit: u32,
    ) -> Result<AccountCount, StoreError> {
        Ok(search::count_accounts(&self.database, after, now, limit).await?)
    }

    async fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<LiveSessions, StoreError> {
        Ok(search::live_sessions(&self.database, search, before, now, limit).await?)
    }

    async fn count_sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<SessionCount, StoreError> {
        Ok(search::count_sessions(&self.database, after, now, limit).await?)
    }

    async fn is_gone(&self, subject: &Subject) -> Result<bool, StoreError> {
        Ok(reader::is_gone(&self.database, subject).await?)
    }

    async fn largest_number(&self) -> Result<u64, StoreError> {
        Ok(reader::largest_number(&self.database).await?)
    }

    async fn password_classes(&self, limit: u32) -> Result<Vec<String>, StoreError> {
        Ok(reader::password_classes(&self.database, limit).await?)
    }

    async fn session(&self, id: SessionId) -> Result<SessionLoaded, StoreError> {
        self.reads.session(id).await
    }

    async fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        Ok(reader::sessions_of(&self.database, subject, after, limit).await?)
    }

    fn connections(&self) -> Option<StoreConnections> {
        Some(self.counted())
    }

    async fn entries_after(&self, after: Seq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        Ok(reader::entries_after(&self.database, after, limit).await?)
    }

    async fn follow(&self, after: Seq, limit: u32) -> Result<Followed, StoreError> {
        Ok(reader::follow(&self.database, &self.following, after, limit).await?)
    }

    async fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Result<Vec<(Entry, bool)>, StoreError> {
        Ok(reader::entries_between(&self.database, after, until, limit).await?)
    }

    async fn entries_of(&self, keys: &[ScopeKey]) -> Result<Vec<Entry>, StoreError> {
        Ok(reader::entries_of(&self.database, keys).await?)
    }

    async fn audit(&self, after: u64, of: Option<&Subject>, limit: u32) -> Result<Vec<Audit>, StoreError> {
        Ok(audit::entries(&self.database, after, of, limit).await?)
    }

    async fn audit_before(
        &self,
        before: (Timestamp, u64),
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<Audit>, StoreError> {
        Ok(audit::before(&self.database, before, filter, limit).await?)
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        Ok(audit::head(&self.database).await?)
    }

    async fn unblanked(&self) -> Result<Option<Subject>, StoreError> {
        Ok(reader::unblanked(&self.database).await?)
    }

    async fn flow(&self, id: FlowId) -> Result<FlowLoaded, StoreError> {
        Ok(reader::flow(&self.database, id).await?)
    }

    async fn earlier_requests(
        &self,
        subject_hashes: &[Digest],
        recipient_hash: Digest,
        now: Timestamp,
    ) -> Result<EarlierRequests, StoreError> {
        Ok(reader::earlier_requests(&self.database, subject_hashes, recipient_hash, now).await?)
    }

    async fn registration(&self, by: &RegistrationBy, now: Timestamp) -> Result<Option<Flow>, StoreError> {
        Ok(reader::registration(&self.database, by, now).await?)
    }

    async fn mails_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Mail>, StoreError> {
        Ok(reader::mails_due(&self.database, now, limit).await?)
    }

    async fn next_mail(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(reader::next_mail(&self.database, after).await?)
    }

    async fn endings(&self, of: &Subject, after: &[Seq]) -> Result<Vec<Option<Ending>>, StoreError> {
        Ok(reader::endings(&self.database, of, after).await?)
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        Ok(reader::keys(&self.database).await?)
    }

    async fn client(&self, digest: SecretDigest) -> Result<Option<Client>, StoreError> {
        Ok(reader::client(&self.database, digest).await?)
    }

    async fn client_named(&self, name: &ClientName) -> Result<Option<StoredClient>, StoreError> {
        Ok(reader::client_named(&self.database, name).await?)
    }

    async fn clients(&self, after: Option<&ClientName>, limit: u32) -> Result<Vec<StoredClient>, StoreError> {
        Ok(reader::clients(&self.database, after, limit).await?)
    }

    async fn secret(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        Ok(reader::secret(&self.database, name).await?)
    }

    async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(reader::remembered(&self.database, name).await?)
    }

    async fn commit(&self, change: Change) -> Result<Receipt, StoreError> {
        self.lanes.commit(&self.database, change).await
    }

    fn newest(&self) -> watch::Receiver<Seq> {
        self.database.newest.subscribe()
    }
}
