//! Remembers the owners who were recently notified of a lock. A restart forgets them, and may cause one more
//! notice.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Subject, limits};

use crate::bounded_map::BoundedMap;

/// The uptime at which each owner was notified.
pub(crate) struct LockNotices(Mutex<BoundedMap<Subject, Duration>>);

/// The most owners remembered. Beyond it, those who were notified first are forgotten; the last half never
/// is.
const OWNERS: usize = 20_000;

impl LockNotices {
    /// Returns whether an owner may be notified, and remembers it.
    pub(crate) fn may_notify(&self, subject: &Subject, uptime: Duration) -> bool {
        let mut notified = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notified.of(subject).is_some_and(|at| uptime.saturating_sub(at) < limits::LOCK_NOTICE_INTERVAL) {
            return false;
        }
        notified.put(subject.clone(), uptime);
        true
    }
}

impl Default for LockNotices {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(OWNERS)))
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
        let notify = |n| notified.may_notify(&subject(n), limits::LOCK_NOTICE_INTERVAL);
        assert!((0..OWNERS / 2).all(notify));
        assert!(!notify(0), "one of the last half");
        assert!((OWNERS / 2..2 * OWNERS).all(notify));
        assert!(notified.0.lock().expect("a memory").len() <= OWNERS);
        assert!(notify(0), "forgotten");
    }
}
