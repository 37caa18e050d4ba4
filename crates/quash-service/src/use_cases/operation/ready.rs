//! Readiness: a check that reads and writes the store.

use std::time::Duration;

use quash_core::model::{Change, SessionId};
use quash_verify::VerifyError;

use crate::context::{Context, Service};
use crate::failure::{Failure, Unavailable};

/// How long an outcome is reused: the store is read and written at most once in this time, however often
/// clients ask.
const HOLDS: Duration = Duration::from_secs(1);

/// How long a node may wait for a read of the log that lets it decide.
const PROVEN_WITHIN: Duration = Duration::from_secs(2);

/// The name that the check writes under.
const NAME: &str = "readiness";
/// More than the free space of the row's page, so that a file that can't grow refuses the write.
const GROWTH_BYTES: usize = 3 * 4096;

/// The reason why a process can't serve, in words that reveal nothing of its store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotReady {
    /// Another node has applied other settings that define tokens.
    SettingsChanged,
    /// A promoted server may lack entries of the log.
    PromotionInDoubt,
    /// This node's wall clock differs too much from the database's.
    ClockDiffers,
    /// This node couldn't renew its lease.
    LeaseExpired,
    /// The log couldn't be read in time.
    LogUnread,
    /// A read of the log has failed with an error.
    LogRefused,
    /// The disk is full.
    StoreFull,
    /// The store can't be read or written for another reason.
    StoreFailed,
}

impl NotReady {
    /// The reason in words, for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SettingsChanged => {
                "another node has applied other settings that define tokens: restart this node with the same settings"
            }
            Self::PromotionInDoubt => {
                "a promoted database server was found, and it isn't known yet whether it lacks entries of the log"
            }
            Self::ClockDiffers => "this node's clock differs from the database's by more than five minutes",
            Self::LeaseExpired => {
                "this node's lease has expired, because the database didn't let the node renew it in time"
            }
            Self::LogUnread => "the database didn't answer a read of the log in time",
            Self::LogRefused => "the database can't be reached or refuses to be read: the log has the cause",
            Self::StoreFull => "the disk of the store is full",
            Self::StoreFailed => "the store can't be read or written: the log has the cause",
        }
    }
}

impl Service {
    /// The reason for a failure of [`Service::ready`].
    pub fn not_ready(&self, failure: &Failure) -> NotReady {
        let status = self.node_status();
        match failure {
            _ if self.context.guard.is_fenced() => NotReady::SettingsChanged,
            _ if status.is_some_and(|status| status.is_in_doubt) => NotReady::PromotionInDoubt,
            _ if status.is_some_and(|status| status.has_wrong_clock) => NotReady::ClockDiffers,
            Failure::Unavailable(Unavailable::StoreFull) => NotReady::StoreFull,
            _ if status.is_some_and(|status| status.is_refused) => NotReady::LogRefused,
            _ if status.is_some_and(|status| !status.is_leased) => NotReady::LeaseExpired,
            Failure::Unavailable(Unavailable::Stale) => NotReady::LogUnread,
            Failure::Unavailable(_) | Failure::Refused(_) => NotReady::StoreFailed,
        }
    }

    /// Checks that the store can be read and written. Requests within a second share one check.
    ///
    /// # Errors
    /// The store can't be read or written, or it is damaged.
    pub async fn ready(&self) -> Result<(), Failure> {
        let context = &*self.context;
        // Held during the check, so that concurrent requests wait for its outcome.
        let mut last = context.checked.lock().await;
        if let Some((at, outcome)) = &*last
            && context.clock.uptime().saturating_sub(*at) < HOLDS
        {
            return outcome.clone();
        }
        let outcome = context.check_store().await;
        *last = Some((context.clock.uptime(), outcome.clone()));
        outcome
    }
}

impl Context {
    async fn check_store(&self) -> Result<(), Failure> {
        let unavailable = |cause: String| Failure::Unavailable(Unavailable::StoreFailed(cause));
        if self.file.as_ref().is_some_and(|file| *file.broken().borrow()) {
            return Err(unavailable("a write to the disk failed".into()));
        }
        // A node that can't decide is of no use to a balancer, even if its store is: its settings or its keys are
        // outdated, or it doesn't follow the log.
        let proven = tokio::time::timeout(PROVEN_WITHIN, self.guard.proven()).await;
        proven.unwrap_or(Err(VerifyError::Stale))?;
        // Reads a page of each table that sign-ins and refreshes need.
        self.store.accounts(None, 1).await?;
        self.store.session(SessionId::from_bytes([0; 16])).await?;
        let remember = |value: String| Change::Remember { name: NAME, value };
        // The second change frees the pages that the first one takes, in the same transaction.
        self.store
            .commit(Change::Together(vec![remember("-".repeat(GROWTH_BYTES)), remember(String::new())]))
            .await?;
        match self.file.as_ref().and_then(|file| file.damage()) {
            Some(damage) => Err(unavailable(format!("the database is damaged: {damage}"))),
            None => Ok(()),
        }
    }
}
