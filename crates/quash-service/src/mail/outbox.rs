//! The way out: mails that are due are given to whoever sends them, again and again until they are sent, with more time
//! between each. No answer waits for that.

use std::time::Duration;

use async_trait::async_trait;
use quash_core::model::{Digest, MailKind, Timestamp};
use tokio::sync::{Mutex, MutexGuard, Notify};
use zeroize::Zeroizing;

use super::networks::Networks;
use super::told::Told;

/// A mail on its way out.
#[derive(Clone)]
pub struct Letter {
    /// What it says.
    pub kind: MailKind,
    /// Where it goes.
    pub to: String,
    /// A name of its own: whoever gets it twice can tell.
    pub id: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// The name of the recipient's account, where the account has confirmed this address.
    pub username: Option<String>,
    /// What its reader needs, if there is something to do.
    pub proof: Option<LetterProof>,
}

/// What a mail's reader needs to do something.
#[derive(Clone)]
pub struct LetterProof {
    /// What stands in the link.
    pub link: Zeroizing<String>,
    /// The code.
    pub code: Zeroizing<String>,
    /// How long the link is good.
    pub lifetime: Duration,
}

/// What sends mails.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends one, or says why not. It must come to an end.
    async fn send(&self, letter: &Letter) -> Result<(), PostFault>;
}

/// Why a mail wasn't sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PostFault {
    /// It surely wasn't; it may be later.
    #[error("not now: {0}")]
    NotNow(String),
    /// It surely wasn't, and never will be.
    #[error("never: {0}")]
    Never(String),
    /// It may have been.
    #[error("nobody knows: {0}")]
    Doubtful(String),
}

/// What the desk keeps about mails.
pub(crate) struct Outbox {
    pub(crate) woken: Notify,
    turns: Vec<Mutex<()>>,
    pub(crate) networks: Networks,
    pub(crate) told: Told,
}

/// How many readers can be asked for at once.
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
    /// There is a new mail.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until nobody else asks for this reader.
    pub(crate) async fn turn(&self, whom: Digest) -> MutexGuard<'_, ()> {
        self.turns[usize::from(whom.0[0]) % TURNS].lock().await
    }
}
