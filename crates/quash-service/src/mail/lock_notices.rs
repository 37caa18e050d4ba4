//! Remembers the owners who were recently notified of a lock. A restart forgets them, and may cause one more
//! notice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Subject, limits};

/// The uptime at which each owner was notified.
#[derive(Default)]
pub(crate) struct LockNotices(Mutex<HashMap<Subject, Duration>>);

/// The most owners remembered. Beyond it, the one who was notified first is forgotten.
const OWNERS: usize = 10_000;

impl LockNotices {
    /// Returns whether an owner may be notified, and remembers it.
    pub(crate) fn may_notify(&self, subject: &Subject, uptime: Duration) -> bool {
        let mut notified = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notified.get(subject).is_some_and(|at| uptime.saturating_sub(*at) < limits::LOCK_NOTICE_INTERVAL) {
            return false;
        }
        if notified.len() >= OWNERS && !notified.contains_key(subject) {
            let longest = notified.iter().min_by_key(|(_, at)| **at).map(|(subject, _)| subject.clone());
            longest.and_then(|longest| notified.remove(&longest));
        }
        notified.insert(subject.clone(), uptime);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: usize) -> Subject {
        Subject::parse(&n.to_string()).expect("a subject")
    }

    #[test]
    fn owners_are_notified_of_locks_once_daily() {
        let (notified, day) = (LockNotices::default(), limits::LOCK_NOTICE_INTERVAL);
        assert!(notified.may_notify(&subject(1), day));
        assert!(notified.may_notify(&subject(2), day));
        assert!(!notified.may_notify(&subject(1), day * 2 - Duration::from_millis(1)));
        assert!(notified.may_notify(&subject(1), day * 2));
    }

    #[test]
    fn notified_owners_are_limited() {
        let notified = LockNotices::default();
        assert!((0..=OWNERS).all(|n| notified.may_notify(&subject(n), Duration::from_secs(n as u64))));
        assert_eq!(notified.0.lock().expect("a memory").len(), OWNERS);
        assert!(notified.may_notify(&subject(0), Duration::from_secs(20_000)), "the first is forgotten");
    }
}
