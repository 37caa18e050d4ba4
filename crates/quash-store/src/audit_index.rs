//! How the entries of the audit that match a filter are found, in both engines.

use quash_core::model::{Actor, AuditFilter, Event, Timestamp};

/// The index by which the entries of a filter are found. Each is a partial one that leaves out the values of most
/// entries, because these are found soon among all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AuditIndex {
    Subject,
    Event,
    Actor,
    Time,
}

impl AuditIndex {
    pub(crate) fn of(filter: &AuditFilter) -> Self {
        let is_rare = |event| !matches!(event, Event::SignedIn | Event::SessionEnded);
        if filter.subject.is_some() {
            Self::Subject
        } else if filter.event.is_some_and(is_rare) {
            Self::Event
        } else if filter.actor.as_ref().is_some_and(|actor| *actor != Actor::Owner) {
            Self::Actor
        } else {
            Self::Time
        }
    }
}

/// Returns the place before which the entries of a filter are: the given one, or the end of the filter's time.
pub(crate) fn place_before(filter: &AuditFilter, (at, id): (Timestamp, u64)) -> (Timestamp, u64) {
    match filter.until {
        Some(until) if until <= at => (until, 0),
        Some(_) | None => (at, id),
    }
}
