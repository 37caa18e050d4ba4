//! The subjects of new accounts. Numbers are allocated one at a time: two concurrent additions never try the
//! same one, and the store refuses one that an account has or had.

use quash_core::model::{AccountBy, Subject, Subjects, Timestamp, fold};
use tokio::sync::MutexGuard;

use crate::context::Context;
use crate::failure::{Failure, Unavailable};

/// A subject for a new account.
pub(crate) struct NewSubject<'a> {
    pub(crate) subject: Subject,
    /// Dropped once the account is written.
    pub(crate) _turn: Option<MutexGuard<'a, ()>>,
}

impl Context {
    /// Returns a subject for a new account: `given`, or one of the kind that the settings choose.
    ///
    /// # Errors
    /// The store is unavailable, or no number is left.
    pub(crate) async fn subject(
        &self,
        given: Option<&Subject>,
        now: Timestamp,
    ) -> Result<NewSubject<'_>, Failure> {
        let chosen = given.cloned();
        let random = || Subject::new(now, &*self.entropy);
        let is_random = self.policy.accounts.subjects == Subjects::Uuid;
        if let Some(subject) = chosen.or_else(|| is_random.then(random)) {
            return Ok(NewSubject { subject, _turn: None });
        }
        let turn = self.numbering.lock().await;
        let used_up =
            || Unavailable::StoreFailed("the largest possible number is in use as a subject".into());
        let mut largest = self.store.largest_number().await?;
        loop {
            let subject = Subject::after(largest).ok_or_else(|| Failure::Unavailable(used_up()))?;
            // Older accounts may have numbers as names, and a subject must not equal another account's name.
            if !self.is_name(&subject, now).await? {
                return Ok(NewSubject { subject, _turn: Some(turn) });
            }
            largest += 1;
        }
    }

    /// Returns whether a subject equals the name of an account.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn is_name(&self, subject: &Subject, now: Timestamp) -> Result<bool, Failure> {
        Ok(self.store.account(&AccountBy::Name(fold(subject.as_str())), now).await?.account.is_some())
    }

    /// Returns whether a number that was free when it was chosen has been allocated meanwhile.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn was_given_out(&self, subject: &Subject) -> Result<bool, Failure> {
        match (self.policy.accounts.subjects, subject.number()) {
            (Subjects::Integer, Some(number)) => Ok(self.store.largest_number().await? >= number),
            _ => Ok(false),
        }
    }
}
