//! Reads from the in-memory data. `memory/state.rs` applies the changes.

use std::collections::BTreeSet;

use std::time::Duration;

use quash_core::model::{
    Account, AccountBy, AccountLoaded, Audit, Client, ClientName, Ending, Entry, FlowId, FlowLoaded,
    ForeignLoaded, Head, KeyRecord, Name, Reason, ScopeKey, ScopeKind, Sealed, SecretDigest, Seq, Session,
    SessionId, SessionLoaded, SessionState, StoredClient, Subject, Timestamp,
};

use super::State;
use crate::memory::mail::FlowsAndMails;

impl State {
    pub(in crate::memory) fn head(&self) -> Head {
        let Self { seq, chain, sessions_before, foreign_after, forgotten, ring, settings, .. } = *self;
        let longest_lifetime = Duration::from_millis(self.longest_lifetime_ms);
        Head { seq, chain, sessions_before, foreign_after, forgotten, ring, settings, longest_lifetime }
    }

    /// Returns whether a name is the subject of an account other than `own`.
    pub(super) fn is_subject_of_another(&self, name: &Name, own: &Subject) -> bool {
        self.accounts.keys().any(|subject| subject != own && name.is_subject(subject))
    }

    pub(in crate::memory) fn account(&self, by: &AccountBy, now: Timestamp) -> AccountLoaded {
        let account = match by {
            AccountBy::Name(folded) => {
                self.accounts.values().find(|account| account.username.folded() == folded)
            }
            AccountBy::Subject(subject) => self.accounts.get(subject),
            AccountBy::Email(folded) => self.addressed(folded),
            AccountBy::NameOrEmail(folded) => {
                let named = || self.accounts.values().find(|account| account.username.folded() == folded);
                let addressed = self.addressed(folded);
                let is_confirmed = |account: &&Account| {
                    account.email.as_ref().is_some_and(|email| email.verified_at.is_some())
                };
                addressed.filter(is_confirmed).or_else(named).or(addressed)
            }
        };
        self.loaded(account, now)
    }

    /// Returns the account that has an address.
    fn addressed(&self, folded: &str) -> Option<&Account> {
        self.accounts
            .values()
            .find(|account| account.email.as_ref().is_some_and(|email| email.folded() == folded))
    }

    pub(in crate::memory) fn foreign(
        &self,
        key: ScopeKey,
        scopes: &[ScopeKey],
        user: ScopeKey,
        by: Option<&AccountBy>,
        now: Timestamp,
    ) -> ForeignLoaded {
        let session = self.adopted_by(key);
        let adopted =
            session.and_then(|session| Some((session.clone(), self.accounts.get(&session.subject)?.clone())));
        ForeignLoaded {
            account: by.map_or_else(|| self.loaded(None, now), |by| self.account(by, now)),
            adopted,
            revoked: self.adopted.contains_key(&key.0) || scopes.iter().any(|scope| self.is_logged(*scope)),
            freed_at: self.freed_at(user),
        }
    }

    /// Returns the time at which an account last lost the name or address of a scope.
    fn freed_at(&self, user: ScopeKey) -> Option<Timestamp> {
        let freed = |entry: &&Entry| {
            matches!(entry.reason, Reason::Deleted | Reason::NameChanged | Reason::EmailChanged)
        };
        self.log
            .values()
            .map(|logged| &logged.entry)
            .filter(|entry| entry.key == user)
            .filter(freed)
            .map(|entry| entry.at)
            .max()
    }

    pub(in crate::memory) fn accounts(&self, after: Option<&str>, limit: u32) -> Vec<Account> {
        let mut accounts: Vec<_> = self
            .accounts
            .values()
            .filter(|account| after.is_none_or(|after| account.username.folded() > after))
            .cloned()
            .collect();
        accounts.sort_by(|a, b| a.username.folded().cmp(b.username.folded()));
        accounts.truncate(limit as usize);
        accounts
    }

    pub(in crate::memory) fn is_gone(&self, subject: &Subject) -> bool {
        self.gone.contains(subject)
    }

    pub(in crate::memory) fn largest_number(&self) -> u64 {
        self.accounts.keys().chain(&self.gone).filter_map(Subject::number).max().unwrap_or(0)
    }

    pub(in crate::memory) fn password_classes(&self, limit: u32) -> Vec<String> {
        let classes: BTreeSet<_> =
            self.accounts.values().filter_map(|account| account.password.as_ref()?.class()).collect();
        classes.into_iter().take(limit as usize).map(str::to_owned).collect()
    }

    pub(in crate::memory) fn session(&self, id: SessionId) -> SessionLoaded {
        let session = self.sessions.get(&id);
        let found =
            session.and_then(|session| Some((session.clone(), self.accounts.get(&session.subject)?.clone())));
        SessionLoaded { head: self.head(), found }
    }

    pub(in crate::memory) fn sessions_of(
        &self,
        subject: &Subject,
        after: Option<SessionId>,
        limit: u32,
    ) -> Vec<Session> {
        let of_account = self.sessions.values().filter(|session| session.subject == *subject);
        of_account
            .filter(|session| after.is_none_or(|after| session.id > after))
            .take(limit as usize)
            .cloned()
            .collect()
    }

    pub(in crate::memory) fn entries_after(&self, after: Seq, limit: u32) -> Vec<Entry> {
        self.log
            .values()
            .map(|logged| &logged.entry)
            .filter(|entry| entry.seq > after)
            .take(limit as usize)
            .cloned()
            .collect()
    }

    pub(in crate::memory) fn entries_between(
        &self,
        after: Seq,
        until: Seq,
        limit: u32,
    ) -> Vec<(Entry, bool)> {
        let log: Vec<&Entry> =
            self.log.values().map(|logged| &logged.entry).filter(|entry| entry.seq <= until).collect();
        // An entry about a late event covers less than an earlier one may.
        let newest = |entry: &Entry| log.iter().rfind(|one| one.key == entry.key && one.until.is_none());
        let is_newest = |entry: &Entry| {
            // They end once.
            matches!(entry.kind, ScopeKind::Session | ScopeKind::Token)
                || newest(entry).is_none_or(|newest| newest.seq <= entry.seq || newest.at < entry.at)
        };
        log.iter()
            .filter(|entry| entry.seq > after)
            .take(limit as usize)
            .map(|&entry| (entry.clone(), is_newest(entry)))
            .collect()
    }

    pub(in crate::memory) fn entries_of(&self, keys: &[ScopeKey]) -> Vec<Entry> {
        self.log
            .values()
            .map(|logged| &logged.entry)
            .filter(|entry| keys.contains(&entry.key))
            .cloned()
            .collect()
    }

    pub(in crate::memory) fn flow(&self, id: FlowId) -> FlowLoaded {
        let flow = self.mail.flow(id).cloned();
        let account = flow.as_ref().and_then(|flow| self.accounts.get(flow.subject.as_ref()?)).cloned();
        FlowLoaded { head: self.head(), flow, account }
    }

    pub(in crate::memory) fn mail(&self) -> &FlowsAndMails {
        &self.mail
    }

    pub(in crate::memory) fn endings(&self, of: &Subject, after: &[Seq]) -> Vec<Option<Ending>> {
        let over = |audit: &&Audit| {
            audit.new.raises_watermark() && audit.new.subject.as_ref().is_none_or(|subject| subject == of)
        };
        let raised: Vec<&Audit> = self.audit.all().filter(over).collect();
        let first = |after: &Seq| {
            raised.iter().find(|audit| audit.seq > Some(*after)).and_then(|audit| audit.new.end())
        };
        after.iter().map(first).collect()
    }

    pub(in crate::memory) fn keys(&self) -> Vec<KeyRecord> {
        self.keys.all()
    }

    pub(in crate::memory) fn client(&self, digest: SecretDigest) -> Option<Client> {
        self.clients.values().find(|(_, kept)| *kept == digest).map(|(stored, _)| stored.client.clone())
    }

    pub(in crate::memory) fn clients(&self, after: Option<&ClientName>, limit: u32) -> Vec<StoredClient> {
        let found = self
            .clients
            .values()
            .map(|(stored, _)| stored)
            .filter(|stored| after.is_none_or(|after| stored.client.name > *after));
        found.take(limit as usize).cloned().collect()
    }

    pub(in crate::memory) fn client_named(&self, name: &ClientName) -> Option<StoredClient> {
        self.clients.get(name).map(|(stored, _)| stored.clone())
    }

    pub(in crate::memory) fn secret(&self, name: &str) -> Option<Sealed> {
        self.secrets.get(name).cloned()
    }

    pub(in crate::memory) fn remembered(&self, name: &str) -> Option<String> {
        self.remembered.get(name).cloned()
    }

    /// The live sessions of an account as of `now`.
    pub(super) fn counted(&self, subject: &Subject, now: Timestamp) -> impl Iterator<Item = &Session> {
        let watermark = self.watermark(subject);
        self.sessions.values().filter(move |session| {
            session.subject == *subject
                && session.state == SessionState::Live
                && session.idle_until > now
                && session.opened_seq >= watermark
        })
    }

    fn loaded(&self, account: Option<&Account>, now: Timestamp) -> AccountLoaded {
        let head = self.head();
        let counted: Vec<&Session> =
            account.iter().flat_map(|account| self.counted(&account.subject, now)).collect();
        AccountLoaded {
            head,
            account: account.cloned(),
            live_sessions: u32::try_from(counted.len()).unwrap_or(u32::MAX),
            longest_idle: counted
                .iter()
                .min_by_key(|session| (session.rotated_at, session.id))
                .map(|session| (*session).clone()),
        }
    }
}
