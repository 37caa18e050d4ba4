//! Delivers mails: hands due mails to the transport, and retries with growing pauses until they are sent. No
//! answer to a client waits for this.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Account, AccountBy, Change, Mail, MailOutcome, Subject, Timestamp, limits};
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::context::{Context, Service};
use crate::failure::Failure;
use crate::mail::{EmailProof, Mailer, MailerError, OutgoingEmail, account_address};
use crate::traced::part;

/// The most mails being sent at once.
const AT_ONCE: u32 = 8;
/// The pause after the first failure. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The interval at which an idle outbox is read.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a mail must be overdue before a node tries it that hasn't just written one: the node that wrote
/// it tries first.
const OVERDUE: Duration = Duration::from_secs(5);

impl Service {
    /// Sends mails for as long as the process runs.
    pub async fn deliver(&self, post: Arc<dyn Mailer>) {
        let outbox = &self.context.outbox;
        let others = if self.context.node.is_some() { OVERDUE } else { Duration::ZERO };
        let mut overdue = others;
        loop {
            let pause = match self.deliver_overdue(&post, overdue).await {
                Ok(pause) => pause,
                Err(failure) => {
                    tracing::warn!(%failure, "failed to read the due mails");
                    LOOK_AGAIN
                }
            };
            // Waits for a new mail or the next mail's time, whichever comes first.
            let woken = tokio::time::timeout(pause, outbox.woken.notified()).await;
            overdue = if woken.is_ok() { Duration::ZERO } else { others };
        }
    }

    /// Tries to send all due mails, and returns the time until the next one.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn deliver_due(&self, post: &Arc<dyn Mailer>) -> Result<Duration, Failure> {
        self.deliver_overdue(post, Duration::ZERO).await
    }

    /// Like [`Service::deliver_due`], for mails that are overdue for this long.
    async fn deliver_overdue(&self, post: &Arc<dyn Mailer>, overdue: Duration) -> Result<Duration, Failure> {
        let idle_since = loop {
            let now = self.context.clock.now() - overdue;
            let due = self.context.store.mails_due(now, AT_ONCE).await?;
            if due.is_empty() {
                break now;
            }
            let mut sending = JoinSet::new();
            for mail in due {
                let (context, post) = (Arc::clone(&self.context), Arc::clone(post));
                sending.spawn(async move { context.send(&mail, &*post).await });
            }
            // Waits for every send before returning the first error: a cancelled send may have been
            // delivered.
            let sent = sending.join_all().await;
            sent.into_iter().collect::<Result<(), Failure>>()?;
        };
        let next = self.context.store.next_mail(idle_since).await?;
        let until = |due_at: Timestamp| (due_at + overdue).since(self.context.clock.now());
        Ok(next.map_or(LOOK_AGAIN, |due_at| until(due_at).min(LOOK_AGAIN)))
    }
}

impl Context {
    /// Tries to send one mail. The attempt is recorded first: if the process ends meanwhile, the mail may
    /// have been sent.
    async fn send(&self, mail: &Mail, post: &dyn Mailer) -> Result<(), Failure> {
        let now = self.clock.now();
        let account = mail.subject.as_ref().map_or("none", Subject::as_str);
        let is_live = now < mail.keep_until && mail.uncertain_attempts < limits::MAIL_UNCERTAIN_ATTEMPTS;
        let outgoing = if is_live { self.outgoing(mail).await? } else { None };
        if let Some(outgoing) = &outgoing
            && account_address(&outgoing.to, self.policy.accounts.local_parts).is_err()
        {
            tracing::warn!(mail = %mail.id, kind = mail.kind.as_str(), account, "dropped a mail to an address that cannot be mailed to");
            return self.settle(Change::DropMail(mail.id)).await;
        }
        let Some(outgoing) = outgoing else {
            if mail.to.is_some() {
                tracing::warn!(
                    mail = %mail.id,
                    kind = mail.kind.as_str(),
                    account,
                    attempts = mail.attempts,
                    "dropped a mail that was not sent in time, or may have been sent twice"
                );
            }
            return self.settle(Change::DropMail(mail.id)).await;
        };
        let due_at = now + pause(mail.attempts);
        match self.store.commit(Change::TryMail { mail: mail.id, attempts: mail.attempts, due_at }).await {
            // Another node is sending it.
            Err(quash_store::StoreError::Conflict) if self.node.is_some() => return Ok(()),
            tried => drop(tried?),
        }
        let attempts = mail.attempts + 1;
        let settled = |outcome| Change::SettleMail { mail: mail.id, attempts, outcome };
        let sent = post.send(&outgoing).instrument(part!("mail")).await;
        self.metrics.mailed(&sent, self.clock.now());
        match sent {
            Ok(()) => self.settle(settled(MailOutcome::Sent(self.clock.now()))).await,
            Err(fault) => {
                tracing::warn!(mail = %mail.id, kind = mail.kind.as_str(), account, attempts, %fault, "failed to send a mail");
                match fault {
                    MailerError::NotNow(_) => self.settle(settled(MailOutcome::NotSent)).await,
                    MailerError::Never(_) => self.settle(Change::DropMail(mail.id)).await,
                    // The attempt recorded before covers this case.
                    MailerError::Doubtful(_) => Ok(()),
                }
            }
        }
    }

    /// Writes the outcome of a mail. A conflict means that the mail has expired meanwhile.
    async fn settle(&self, change: Change) -> Result<(), Failure> {
        match self.store.commit(change).await {
            Ok(_) | Err(quash_store::StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The e-mail to send; `None` if the mail has no recipient.
    async fn outgoing(&self, mail: &Mail) -> Result<Option<OutgoingEmail>, Failure> {
        let Some(to) = mail.to.clone() else { return Ok(None) };
        let proof = match (mail.flow, mail.kind.purpose()) {
            (Some(flow), Some(purpose)) => Some(EmailProof {
                link: self.flow_key.link(flow, purpose),
                code: self.flow_key.code(flow, purpose),
                lifetime: mail.keep_until.since(mail.created_at),
            }),
            _ => None,
        };
        let username = self.confirmed_name(mail).await?;
        Ok(Some(OutgoingEmail {
            kind: mail.kind,
            to,
            id: mail.id.to_string(),
            at: mail.created_at,
            username,
            proof,
        }))
    }

    /// The name of the recipient's account, if the account has confirmed the address that the mail goes to.
    /// Otherwise the name could be an attacker's choice.
    async fn confirmed_name(&self, mail: &Mail) -> Result<Option<String>, Failure> {
        let Some(subject) = &mail.subject else { return Ok(None) };
        let account =
            self.store.account(&AccountBy::Subject(subject.clone()), self.clock.now()).await?.account;
        let is_confirmed = |account: &Account| {
            account
                .email
                .as_ref()
                .is_some_and(|email| email.verified_at.is_some() && Some(&email.shown) == mail.to.as_ref())
        };
        Ok(account.filter(is_confirmed).map(|account| account.username.shown().to_owned()))
    }
}

/// The pause before the next attempt.
fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(limits::MAIL_LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_pauses_double_up_to_a_limit() {
        let pauses: Vec<u64> = [0, 1, 2, 8, 9, u32::MAX].map(|attempts| pause(attempts).as_secs()).to_vec();
        assert_eq!(pauses, [2, 4, 8, 512, 600, 600]);
    }
}
