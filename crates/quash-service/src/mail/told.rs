//! Remembers the owners who were recently notified of a lock. A restart forgets them, and may cause one more
//! notice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quash_core::model::{Subject, limits};

/// The uptime at which each owner was notified.
#[derive(Default)]
pub(crate) struct Told(Mutex<HashMap<Subject, Duration>>);

/// The most owners remembered. Beyond it, the one who was notified first is forgotten.
const OWNERS: usize = 10_000;

impl Told {
    /// Returns whether an owner may be notified, and remembers it.
    pub(crate) fn may_tell(&self, subject: &Subject, uptime: Duration) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(subject).is_some_and(|at| uptime.saturating_sub(*at) < limits::TOLD_OF_LOCKS) {
            return false;
        }
        if told.len() >= OWNERS && !told.contains_key(subject) {
            let longest = told.iter().min_by_key(|(_, at)| **at).map(|(subject, _)| subject.clone());
            longest.and_then(|longest| told.remove(&longest));
        }
        told.insert(subject.clone(), uptime);
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
    fn an_owner_is_told_once_a_day() {
        let (told, day) = (Told::default(), limits::TOLD_OF_LOCKS);
        assert!(told.may_tell(&subject(1), day));
        assert!(told.may_tell(&subject(2), day));
        assert!(!told.may_tell(&subject(1), day * 2 - Duration::from_millis(1)));
        assert!(told.may_tell(&subject(1), day * 2));
    }

    #[test]
    fn as_many_are_remembered_as_there_is_room_for() {
        let told = Told::default();
        assert!((0..=OWNERS).all(|n| told.may_tell(&subject(n), Duration::from_secs(n as u64))));
        assert_eq!(told.0.lock().expect("a memory").len(), OWNERS);
        assert!(told.may_tell(&subject(0), Duration::from_secs(20_000)), "the first is forgotten");
    }
}
