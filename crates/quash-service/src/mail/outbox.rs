//! The outbox: the state for mails in this process, and the trait of the transport that sends them.
//! `use_cases/mail/deliver.rs` delivers due mails.

use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{Digest, MailKind, Timestamp};
use tokio::sync::{Mutex, MutexGuard, Notify};
use zeroize::Zeroizing;

/// A mail to be sent.
#[derive(Clone)]
pub struct OutgoingEmail {
    pub kind: MailKind,
    /// The recipient's address.
    pub to: String,
    /// A unique id, by which a recipient can recognize a duplicate.
    pub id: String,
    /// The time of the request.
    pub at: Timestamp,
    /// The name of the recipient's account, if the account has confirmed this address.
    pub username: Option<String>,
    /// The link and code, if the recipient has something to do.
    pub proof: Option<EmailProof>,
}

/// The link and code of a mail.
#[derive(Clone)]
pub struct EmailProof {
    /// The token in the link.
    pub link: Zeroizing<String>,
    pub code: Zeroizing<String>,
    /// The time for which the link is valid.
    pub lifetime: Duration,
}

/// A transport for mails.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends a mail. Must return eventually.
    async fn send(&self, email: &OutgoingEmail) -> Result<(), MailerError>;
}

/// A reason why a mail wasn't sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MailerError {
    /// The mail wasn't sent, and may be retried.
    #[error("temporary failure: {0}")]
    NotNow(String),
    /// The mail wasn't sent, and a retry would fail too.
    #[error("permanent failure: {0}")]
    Never(String),
    /// The mail may have been sent.
    #[error("may have been sent: {0}")]
    Doubtful(String),
}

/// The state for mails in this process. The mails themselves are in the store.
pub(crate) struct Outbox {
    /// Notified when a mail was added.
    pub(crate) woken: Notify,
    /// Each is shared by a group of recipients: see [`Outbox::lock`].
    locks: Vec<Mutex<()>>,
}

/// The number of locks, which all recipients share.
const LOCKS: usize = 64;

impl Default for Outbox {
    fn default() -> Self {
        Self { woken: Notify::new(), locks: (0..LOCKS).map(|_| Mutex::default()).collect() }
    }
}

impl Outbox {
    /// Signals a new mail.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until no other request for this recipient is in progress, so that concurrent requests can't
    /// exceed the limit on a recipient's mails.
    pub(crate) async fn lock(&self, recipient_hash: Digest) -> MutexGuard<'_, ()> {
        self.locks[usize::from(recipient_hash.0[0]) % LOCKS].lock().await
    }
}
