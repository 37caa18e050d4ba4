//! A client ends sessions of quash's own: one by its id, or all of an account.

use quash_core::decide::{AccountEnd, Cause, end_account, end_session};
use quash_core::model::{
    AccountBy, AccountEdit, Actor, Change, Client, EndCause, Reason, Seq, SessionEnd, SessionId, Subject,
    Timestamp,
};

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::repeated::NamesRevoked;
use crate::retry::retry;

/// An item of a request that ends sessions of quash's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NamedEnd {
    Session {
        session: SessionId,
        reason: Reason,
    },
    Account {
        /// The account, as tokens name it.
        user_id: String,
        cause: EndCause,
        /// The time of the event, if it is reported late: sessions opened since stay.
        before: Option<Timestamp>,
    },
}

/// The ends of a request.
#[derive(Default)]
struct NamedEnds {
    sessions: Vec<SessionEnd>,
    accounts: Vec<AccountEdit>,
}

impl Service {
    /// Ends sessions, in one transaction. Once this returns, this process refuses their tokens. A session that
    /// is unknown or has ended is left out, and so is one that another client has opened. With a key, a
    /// repeated request of the same client gets the first answer again.
    ///
    /// # Errors
    /// The store is unavailable. The ends may or may not have been written.
    pub async fn end_named(
        &self,
        client: &Client,
        items: &[NamedEnd],
        key: Option<&str>,
    ) -> Result<NamesRevoked, Failure> {
        self.context.once(client, key, self.context.end_named(client, items)).await
    }
}

impl Context {
    async fn end_named(&self, client: &Client, items: &[NamedEnd]) -> Result<NamesRevoked, Failure> {
        retry!({
            let mut ends = NamedEnds::default();
            for item in items {
                self.add_named(item, client, &mut ends).await?;
            }
            let written = ends.sessions.len() + ends.accounts.len();
            let seq = if written == 0 {
                let head = self.store.head().await?;
                self.announce(head.seq).await?;
                Some(head.seq)
            } else {
                self.end(ends.into_change()).await?.seq
            };
            Ok(NamesRevoked { seq: seq.unwrap_or(Seq::ZERO), written })
        })
    }

    async fn add_named(&self, item: &NamedEnd, client: &Client, ends: &mut NamedEnds) -> Result<(), Failure> {
        let (now, scopes, actor) =
            (self.clock.now(), self.guard.scopes(), Actor::Client(client.name.clone()));
        match item {
            NamedEnd::Session { session, reason } => {
                let loaded = self.store.session(*session).await?;
                let opened_by = loaded.found.as_ref().and_then(|(session, _)| session.client.as_ref());
                if opened_by.is_some_and(|name| *name != client.name) || ends.has(*session) {
                    return Ok(());
                }
                let cause = Cause { reason: *reason, actor };
                ends.sessions.extend(end_session(&loaded, &cause, scopes, now));
            }
            NamedEnd::Account { user_id, cause, before } => {
                let by = AccountBy::user_id(self.policy.tokens.names.user_id_field, user_id);
                let Some(by) = by else { return Ok(()) };
                let loaded = self.store.account(&by, now).await?;
                let Some(account) = loaded.account.filter(|account| !ends.has_account(&account.subject))
                else {
                    return Ok(());
                };
                let mut live = Vec::new();
                if before.is_some() {
                    live = self.sessions_of(&account.subject).await?;
                    live.retain(|session| session.is_live(&account, &loaded.head));
                }
                let end = end_account(&account, &live, *cause, *before, &actor, &self.policy, scopes, now);
                match end {
                    AccountEnd::All(edit) => ends.accounts.push(*edit),
                    AccountEnd::Older(older) => {
                        let new: Vec<_> = older.into_iter().filter(|end| !ends.has(end.session)).collect();
                        ends.sessions.extend(new);
                    }
                }
            }
        }
        Ok(())
    }
}

impl NamedEnds {
    fn has(&self, session: SessionId) -> bool {
        self.sessions.iter().any(|end| end.session == session)
    }

    fn has_account(&self, subject: &Subject) -> bool {
        self.accounts.iter().any(|edit| edit.subject == *subject)
    }

    /// The sessions come first: after an account's watermark they would no longer be live.
    fn into_change(self) -> Change {
        let sessions = Change::EndSessions { sessions: self.sessions, tokens: Vec::new() };
        Change::Together(
            std::iter::once(sessions)
                .chain(self.accounts.into_iter().map(|edit| Change::EditAccount(Box::new(edit))))
                .collect(),
        )
    }
}
