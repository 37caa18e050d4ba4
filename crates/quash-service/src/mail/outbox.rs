//! The outbox: the state for mails, and the transport that sends them. `use_cases/mail/deliver.rs` delivers
//! due mails.

use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{Digest, MailKind, Timestamp};
use tokio::sync::{Mutex, MutexGuard, Notify};
use zeroize::Zeroizing;

use super::networks::Networks;
use super::told::Told;

/// A mail to be sent.
#[derive(Clone)]
pub struct Letter {
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
    pub proof: Option<LetterProof>,
}

/// The link and code of a mail.
#[derive(Clone)]
pub struct LetterProof {
    /// The token in the link.
    pub link: Zeroizing<String>,
    pub code: Zeroizing<String>,
    /// The time for which the link is valid.
    pub lifetime: Duration,
}

/// A transport for mails.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends a mail. Must return eventually.
    async fn send(&self, letter: &Letter) -> Result<(), PostFault>;
}

/// A reason why a mail wasn't sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PostFault {
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

/// The state for mails.
pub(crate) struct Outbox {
    pub(crate) woken: Notify,
    turns: Vec<Mutex<()>>,
    pub(crate) networks: Networks,
    pub(crate) told: Told,
}

/// The number of locks that recipients share.
const TURNS: usize = 64;

impl Default for Outbox {
    fn default() -> Self {
        Self {
            woken: Notify::new(),
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
            networks: Networks::default(),
            told: Told::default(),
        }
    }
}

impl Outbox {
    /// Signals a new mail.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until no other request for this recipient is in progress.
    pub(crate) async fn turn(&self, whom: Digest) -> MutexGuard<'_, ()> {
        self.turns[usize::from(whom.0[0]) % TURNS].lock().await
    }
}
