//! Delivers mails: those that are due are handed to the mailer, again after a pause that doubles, until they are sent.

use std::sync::Arc;
use std::time::Duration;

use quash_core::model::{Account, AccountBy, Change, Mail, MailOutcome, Subject, limits};
use tokio::task::JoinSet;

use crate::context::{Desk, Service};
use crate::failure::Failure;
use crate::mail::{Letter, LetterProof, Post, PostFault};

/// How many mails are on their way at a time.
const AT_ONCE: u32 = 8;
/// How long the first failure waits; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// How long any failure waits at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How often the outbox is looked into where nothing is due.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Service {
    /// Sends mails for as long as the process runs.
    pub async fn deliver(&self, post: Arc<dyn Post>) {
        let outbox = &self.desk.outbox;
        loop {
            let pause = match self.deliver_due(&post).await {
                Ok(pause) => pause,
                Err(failure) => {
                    tracing::warn!(?failure, "mails could not be looked at");
                    LOOK_AGAIN
                }
            };
            // A new mail or the next one's time, whichever comes first.
            let _ = tokio::time::timeout(pause, outbox.woken.notified()).await;
        }
    }

    /// Tries to send all that is due, and says how long there is nothing to do then.
    ///
    /// # Errors
    /// The store is away.
    pub async fn deliver_due(&self, post: &Arc<dyn Post>) -> Result<Duration, Failure> {
        let idle_since = loop {
            let now = self.desk.clock.now();
            let due = self.desk.store.mails_due(now, AT_ONCE).await?;
            if due.is_empty() {
                break now;
            }
            let mut sending = JoinSet::new();
            for mail in due {
                let (desk, post) = (Arc::clone(&self.desk), Arc::clone(post));
                sending.spawn(async move { desk.send(&mail, &*post).await });
            }
            // All come to their end before the first failure is told: who is cut off has perhaps been sent.
            let sent = sending.join_all().await;
            sent.into_iter().collect::<Result<(), Failure>>()?;
        };
        let next = self.desk.store.next_mail(idle_since).await?;
        Ok(next.map_or(LOOK_AGAIN, |due_at| due_at.since(self.desk.clock.now()).min(LOOK_AGAIN)))
    }
}

impl Desk {
    /// Tries to send one mail. That it is tried is written before: a process that ends meanwhile has perhaps sent it.
    async fn send(&self, mail: &Mail, post: &dyn Post) -> Result<(), Failure> {
        let now = self.clock.now();
        let account = mail.subject.as_ref().map_or("none", Subject::as_str);
        let is_live = now < mail.keep_until && mail.doubts < limits::MAIL_DOUBTS;
        let letter = if is_live { self.letter(mail).await? } else { None };
        let Some(letter) = letter else {
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
        self.store.commit(Change::TryMail { mail: mail.id, attempts: mail.attempts, due_at }).await?;
        let attempts = mail.attempts + 1;
        let settled = |outcome| Change::SettleMail { mail: mail.id, attempts, outcome };
        match post.send(&letter).await {
            Ok(()) => self.settle(settled(MailOutcome::Sent(self.clock.now()))).await,
            Err(fault) => {
                tracing::warn!(mail = %mail.id, kind = mail.kind.as_str(), account, attempts, %fault, "failed to send a mail");
                match fault {
                    PostFault::NotNow(_) => self.settle(settled(MailOutcome::NotSent)).await,
                    PostFault::Never(_) => self.settle(Change::DropMail(mail.id)).await,
                    // What was written before says so.
                    PostFault::Doubtful(_) => Ok(()),
                }
            }
        }
    }

    /// Writes what has become of a mail. One that is gone meanwhile has had its time.
    async fn settle(&self, change: Change) -> Result<(), Failure> {
        match self.store.commit(change).await {
            Ok(_) | Err(quash_store::StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The letter of a mail; `None` where it has no recipient.
    async fn letter(&self, mail: &Mail) -> Result<Option<Letter>, Failure> {
        let Some(to) = mail.to.clone() else { return Ok(None) };
        let proof = match (mail.flow, mail.kind.purpose()) {
            (Some(flow), Some(purpose)) => Some(LetterProof {
                link: self.flow_key.link(flow, purpose),
                code: self.flow_key.code(flow, purpose),
                lifetime: mail.keep_until.since(mail.created_at),
            }),
            _ => None,
        };
        let username = self.confirmed_name(mail).await?;
        Ok(Some(Letter {
            kind: mail.kind,
            to,
            id: mail.id.to_string(),
            at: mail.created_at,
            username,
            proof,
        }))
    }

    /// The name of the recipient's account, if the account has confirmed the address that the mail goes to. Anybody could
    /// have chosen the name of another.
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

/// How long after an attempt the next one is made.
fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_as_long_as_the_one_before_up_to_a_bound() {
        let pauses: Vec<u64> = [0, 1, 2, 8, 9, u32::MAX].map(|attempts| pause(attempts).as_secs()).to_vec();
        assert_eq!(pauses, [2, 4, 8, 512, 600, 600]);
    }
}
