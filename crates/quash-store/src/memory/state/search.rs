//! Searches over the in-memory data, and counts.

use quash_core::model::{Account, AccountStatus, Email, Session, SessionId, Subject, Timestamp};

use super::State;
use crate::search::EXAMINED;
use crate::{AccountCount, AccountSearch, LiveSessions, SessionCount, SessionSearch};

impl State {
    pub(in crate::memory) fn search_accounts(
        &self,
        search: &AccountSearch,
        after: Option<&str>,
        now: Timestamp,
        limit: u32,
    ) -> Vec<Account> {
        let key = |account: &Account| match search {
            AccountSearch::Name { prefix, status } => {
                let has_status = status.is_none_or(|status| account.status(now) == status);
                let name = account.username.folded().to_owned();
                Some(name).filter(|name| has_status && name.starts_with(prefix))
            }
            AccountSearch::Email { prefix } => {
                account.email.as_ref().map(Email::folded).filter(|email| email.starts_with(prefix))
            }
        };
        let mut found: Vec<_> = self
            .accounts
            .values()
            .filter_map(|account| Some((key(account)?, account)))
            .filter(|(key, _)| after.is_none_or(|after| **key > *after))
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found.into_iter().take(limit as usize).map(|(_, account)| account.clone()).collect()
    }

    pub(in crate::memory) fn count_accounts(
        &self,
        after: Option<&Subject>,
        now: Timestamp,
        limit: u32,
    ) -> AccountCount {
        let part: Vec<_> = self
            .accounts
            .values()
            .filter(|account| after.is_none_or(|after| account.subject > *after))
            .take(limit as usize)
            .collect();
        let count = |status| part.iter().filter(|account| account.status(now) == status).count() as u64;
        AccountCount {
            active: count(AccountStatus::Active),
            unverified: count(AccountStatus::Unverified),
            locked: count(AccountStatus::Locked),
            deactivated: count(AccountStatus::Deactivated),
            next: part.last().filter(|_| part.len() >= limit as usize).map(|account| account.subject.clone()),
        }
    }

    pub(in crate::memory) fn live_sessions(
        &self,
        search: &SessionSearch,
        before: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> LiveSessions {
        let is_wanted = |session: &Session| match search {
            SessionSearch::All => true,
            SessionSearch::OfAccount(subject) => session.subject == *subject,
            SessionSearch::OfClient(client) => session.client.as_ref() == Some(client),
        };
        let older = self.sessions.values().rev();
        let older = older.filter(|session| before.is_none_or(|before| session.id < before));
        let mut page = LiveSessions { sessions: Vec::new(), next: None };
        for (examined, session) in (1..).zip(older.filter(|session| is_wanted(session))) {
            if let Some(account) = self.accounts.get(&session.subject).filter(|_| self.is_live(session, now))
            {
                page.sessions.push((session.clone(), account.clone()));
            }
            if page.sessions.len() >= limit as usize || examined == EXAMINED {
                page.next = Some(session.id);
                break;
            }
        }
        page
    }

    pub(in crate::memory) fn count_sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> SessionCount {
        let part: Vec<_> = self
            .sessions
            .values()
            .filter(|session| after.is_none_or(|after| session.id > after))
            .take(limit as usize)
            .collect();
        SessionCount {
            live: part.iter().filter(|session| self.is_live(session, now)).count() as u64,
            next: part.last().filter(|_| part.len() >= limit as usize).map(|session| session.id),
        }
    }

    fn is_live(&self, session: &Session, now: Timestamp) -> bool {
        let account = self.accounts.get(&session.subject);
        account.is_some_and(|account| session.is_live(account, &self.head())) && now < session.idle_until
    }
}
