//! Writes locks in a background task: the failing request's latency doesn't reveal the lock, and a client
//! that disconnects can't prevent it.

use std::sync::Weak;

use quash_core::decide::lock_account;
use quash_core::model::{AccountBy, Extent, Road, Session, SessionId, Subject, limits};
use tokio::sync::mpsc;

use crate::context::Desk;
use crate::failure::Failure;
use crate::lockout::Order;
use crate::retry::retry;

/// Writes ordered locks until the service is dropped.
pub(crate) async fn follow(desk: Weak<Desk>, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        let Some(desk) = desk.upgrade() else { return };
        let subject = &order.subject;
        match desk.lock(&order).await {
            Ok(()) => tracing::warn!(%subject, "locked an account after failed attempts"),
            Err(failure) => {
                tracing::error!(%subject, ?failure, "failed to write a lock to the store; the account is locked in this process only")
            }
        }
    }
}

impl Desk {
    async fn lock(&self, order: &Order) -> Result<(), Failure> {
        retry!({
            let loaded = self.store.account(&AccountBy::Subject(order.subject.clone()), order.at).await?;
            let Some(account) = loaded.account else { return Ok(()) };
            let mut live = Vec::new();
            if Road::Locked.ends(&self.policy) == Extent::Unbound {
                live = self.sessions_of(&order.subject).await?;
                live.retain(|session| session.is_live(&account, &loaded.head));
            }
            let Some(change) = lock_account(&account, &live, &self.policy, self.guard.scopes(), order.at)
            else {
                return Ok(());
            };
            self.end(change).await?;
            self.tell_of_lock(&account).await;
            Ok(())
        })
    }

    async fn sessions_of(&self, subject: &Subject) -> Result<Vec<Session>, Failure> {
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
