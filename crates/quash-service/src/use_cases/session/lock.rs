//! Writes locks in a background task: the failing request's latency doesn't reveal the lock, and a client
//! that disconnects can't prevent it.

use std::sync::Weak;

use quash_core::decide::{end_unbound, lock_account};
use quash_core::model::{Account, AccountBy, EndCause, EndScope, Session, SessionId, Subject, limits};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::failure::{Failure, Unavailable};
use crate::lockout::Order;
use crate::retry::retry;

/// Writes ordered locks until the service is dropped.
pub(crate) async fn follow(context: Weak<Context>, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        let Some(context) = context.upgrade() else { return };
        let subject = &order.subject;
        match context.lock(&order).await {
            Ok(true) => tracing::warn!(%subject, "locked an account after failed attempts"),
            Ok(false) => {}
            Err(Failure::Unavailable(unknown @ Unavailable::OutcomeUnknown(_))) => {
                tracing::error!(%subject, cause = %unknown, "a lock may not be in the store; the account is locked in this process in any case")
            }
            Err(failure) => {
                tracing::error!(%subject, %failure, "failed to write a lock to the store; the account is locked in this process only")
            }
        }
    }
}

impl Context {
    /// Locks an account. Returns whether it is there and wasn't locked or deactivated before.
    async fn lock(&self, order: &Order) -> Result<bool, Failure> {
        let locked: Result<Option<Account>, Failure> = retry!({
            let Some((account, live)) = self.lockable(order).await? else { return Ok(None) };
            let Some(change) = lock_account(&account, &live, &self.policy, self.guard.scopes(), order.at)
            else {
                return Ok(None);
            };
            self.end(change).await?;
            Ok(Some(account))
        });
        let may_be_locked = match &locked {
            Ok(Some(account)) => {
                self.notify_of_lock(account).await;
                true
            }
            Ok(None) => false,
            Err(failure) => matches!(failure, Failure::Unavailable(Unavailable::OutcomeUnknown(_))),
        };
        if may_be_locked && let Err(failure) = self.end_since_lock(order).await {
            tracing::error!(subject = %order.subject, %failure, "sessions that were opened while a lock was written may not have ended");
        }
        locked.map(|account| account.is_some())
    }

    /// Ends the unbound sessions that were opened while the lock was written.
    async fn end_since_lock(&self, order: &Order) -> Result<(), Failure> {
        retry!({
            let Some((account, live)) = self.lockable(order).await? else { return Ok(()) };
            if let Some(change) = end_unbound(&account, &live, self.guard.scopes(), order.at) {
                self.end(change).await?;
            }
            Ok(())
        })
    }

    /// The account, with its live sessions where only some of them end.
    async fn lockable(&self, order: &Order) -> Result<Option<(Account, Vec<Session>)>, Failure> {
        let loaded = self.store.account(&AccountBy::Subject(order.subject.clone()), order.at).await?;
        let Some(account) = loaded.account else { return Ok(None) };
        let mut live = Vec::new();
        if EndCause::Locked.ends(&self.policy) == EndScope::Unbound {
            live = self.sessions_of(&order.subject).await?;
            live.retain(|session| session.is_live(&account, &loaded.head));
        }
        Ok(Some((account, live)))
    }

    pub(super) async fn sessions_of(&self, subject: &Subject) -> Result<Vec<Session>, Failure> {
        let (mut sessions, mut after): (Vec<Session>, Option<SessionId>) = (Vec::new(), None);
        loop {
            let page = self.store.sessions_of(subject, after, limits::PAGE).await?;
            after = page.last().map(|session| session.id);
            let is_last = page.len() < limits::PAGE as usize;
            sessions.extend(page);
            if is_last {
                return Ok(sessions);
            }
        }
    }
}
