//! A quota of log and audit entries for each account: a burst, and then one entry a second. Without it, one
//! signed-in user could fill both, and the snapshots that every verifier takes.
//!
//! Sign-ins, and ends that only a signed-in user asks for, are refused while the quota is used up. Log-outs
//! are counted but never refused: each needs a session, which a sign-in has opened. Actions of operators and
//! clients aren't counted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Actor, Change, NewAudit, Subject, limits};

use crate::failure::{Failure, Unavailable};

/// The quotas of all accounts, in this process's memory.
#[derive(Default)]
pub(crate) struct Quotas {
    /// The uptime at which each account's quota is full again. Accounts with a full quota are forgotten.
    whole_at: Mutex<HashMap<Subject, Duration>>,
}

/// The most accounts remembered with a used quota. Each entry takes a second to regain, so exceeding this
/// number would take as many entries in one second.
const ACCOUNTS: usize = 1 << 16;

impl Quotas {
    /// Returns how long an account must wait before it may cause another entry, if it must.
    fn wait(&self, subject: &Subject, uptime: Duration) -> Option<Duration> {
        let whole_at = *self.whole_at.lock().unwrap_or_else(PoisonError::into_inner).get(subject)?;
        let most = limits::OWN_ENTRY_EVERY * (limits::OWN_ENTRIES - 1);
        whole_at.checked_sub(uptime + most).filter(|wait| !wait.is_zero())
    }

    /// Checks that an account's user may cause another entry.
    ///
    /// # Errors
    /// The account's quota is used up.
    pub(crate) fn check(&self, subject: &Subject, uptime: Duration) -> Result<(), Failure> {
        match self.wait(subject, uptime) {
            Some(retry_after) => Err(Failure::Unavailable(Unavailable::AccountThrottled { retry_after })),
            None => Ok(()),
        }
    }

    /// Counts the entries that users caused with a committed change.
    pub(crate) fn count_all(&self, caused: &[(Subject, u32)], uptime: Duration) {
        for (subject, entries) in caused {
            self.count(subject, *entries, uptime);
        }
    }

    fn count(&self, subject: &Subject, entries: u32, uptime: Duration) {
        let mut accounts = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= ACCOUNTS && !accounts.contains_key(subject) {
            accounts.retain(|_, whole_at| *whole_at > uptime);
            if accounts.len() >= ACCOUNTS {
                return;
            }
        }
        let whole_at = accounts.entry(subject.clone()).or_default();
        *whole_at = (*whole_at).max(uptime) + limits::OWN_ENTRY_EVERY * entries;
    }
}

/// Returns the number of entries that users caused with a change, for each account.
pub(crate) fn caused_by_users(change: &Change) -> Vec<(Subject, u32)> {
    let mut caused: Vec<(Subject, u32)> = Vec::new();
    for audit in NewAudit::of(change) {
        let (Actor::Owner | Actor::Rule, Some(subject)) = (&audit.actor, audit.subject) else { continue };
        match caused.iter_mut().find(|(known, _)| *known == subject) {
            Some((_, entries)) => *entries += 1,
            None => caused.push((subject, 1)),
        }
    }
    caused
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn subject(number: usize) -> Subject {
        Subject::parse(&number.to_string()).expect("a subject")
    }

    #[test]
    fn quotas_run_out_and_come_back() {
        let quotas = Quotas::default();
        let (busy, other) = (subject(1), subject(2));
        for entry in 0..limits::OWN_ENTRIES {
            assert_eq!(quotas.wait(&busy, SECOND), None, "entry {entry}");
            quotas.count(&busy, 1, SECOND);
        }
        assert_eq!(quotas.wait(&busy, SECOND), Some(SECOND), "one past the edge");
        assert_eq!(quotas.wait(&other, SECOND), None);
        assert_eq!(quotas.wait(&busy, SECOND * 2), None, "one a second");
        quotas.count(&busy, 2, SECOND * 2);
        assert_eq!(quotas.wait(&busy, SECOND * 2), Some(SECOND * 2), "what isn't refused counts, too");
        assert_eq!(quotas.wait(&busy, SECOND * 10_000), None);
    }

    #[test]
    fn remembered_accounts_are_bounded() {
        let quotas = Quotas::default();
        (0..=ACCOUNTS).for_each(|number| quotas.count(&subject(number), 1, Duration::ZERO));
        let remembered = || quotas.whole_at.lock().expect("a lock").len();
        assert_eq!(remembered(), ACCOUNTS);
        quotas.count(&subject(ACCOUNTS), 1, SECOND);
        assert_eq!(remembered(), 1, "those whose quota is whole are forgotten");
    }
}
