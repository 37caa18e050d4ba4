//! The leases of verifiers, and the entries that they have confirmed. A lease is recorded before its head is
//! read, and counts until no clock within the tolerance can still consider it valid. Leases are in memory
//! only: after its start, a process waits until those of the process before it have expired.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::{Change, Seq, limits};
use tokio::sync::watch;

use super::process::ProcessLabel;

/// The leases of all verifiers.
pub(crate) struct Leases {
    holders: Mutex<BTreeMap<InstanceId, LeaseHolder>>,
    confirmed: watch::Sender<()>,
    /// The time for which a lease counts, from its request.
    counted: Duration,
    /// Whether leases of an earlier process may last longer than this process's own, according to the store.
    shorter: AtomicBool,
    /// The uptime at which all leases of an earlier process have expired.
    previous_expired_at: Duration,
}

/// A process that follows the feed, identified by its credential and a number that it chose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct InstanceId {
    /// The credential's name.
    pub name: String,
    pub number: [u8; 16],
}

/// A verifier's behaviour while it has no valid lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// It refuses tokens: a lease covers everything that it accepts.
    Bound,
    /// It accepts tokens without a lease, so its knowledge is unknown.
    NotBound,
}

/// The lease of a process that follows the feed.
#[derive(Clone, Debug)]
pub(crate) struct LeaseHolder {
    /// The uptime until which the lease counts.
    pub(crate) until: Duration,
    /// The sequence number that it confirmed last.
    pub(crate) confirmed: Seq,
    pub(crate) binding: Binding,
    pub(crate) label: ProcessLabel,
    /// Whether the process has given its lease back. It never gets another one.
    has_left: bool,
}

/// The reason not to record a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotEntered {
    /// A limit is reached.
    Full(TooMany),
    /// The process has given its lease back: this request was sent before that, and arrived later.
    Left,
}

/// The limit on verifiers that is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TooMany {
    /// The limit for all credentials together.
    Altogether,
    /// The limit for this credential.
    WithCredential,
}

/// The name of the setting for the longest term of leases that may still be valid.
pub(crate) const LONGEST_TERM: &str = "feed_term";

/// The largest drift between two clocks, in parts per million. It is counted three times: for both clocks,
/// and for rounding.
const DRIFT_PPM: u32 = 200;
/// The time for which a verifier is still shown after its lease has expired.
const SHOWN: Duration = Duration::from_secs(3600);
/// The time for which a process that has given its lease back is remembered: longer than a request of it can
/// be under way.
const LEFT: Duration = Duration::from_secs(60);

impl Leases {
    /// Creates an empty set of leases for a process started at `started`. Leases of the process before it had
    /// the term `before`.
    pub(crate) fn new(term: Duration, before: Duration, started: Duration) -> Self {
        let (confirmed, shorter) = (watch::Sender::new(()), AtomicBool::new(term < before));
        Self {
            holders: Mutex::default(),
            confirmed,
            counted: counted(term),
            shorter,
            previous_expired_at: started + counted(before),
        }
    }

    /// Records a lease requested at `arrived`, before its head is read.
    pub(crate) fn enter(
        &self,
        id: InstanceId,
        binding: Binding,
        label: &ProcessLabel,
        arrived: Duration,
    ) -> Result<(), NotEntered> {
        let until = arrived + self.counted;
        let mut holders = self.holders();
        if let Some(holder) = holders.get_mut(&id) {
            if holder.has_left {
                return Err(NotEntered::Left);
            }
            (holder.until, holder.binding) = (until.max(holder.until), binding);
            if holder.label != *label {
                holder.label = label.clone();
            }
            return Ok(());
        }
        if let Some(full) = full_after_eviction(&mut holders, &id, arrived) {
            return Err(NotEntered::Full(full));
        }
        holders.insert(id, LeaseHolder { until, binding, label: label.clone(), ..LeaseHolder::default() });
        Ok(())
    }

    /// Ends the lease of a process that accepts no token any more, and wakes the requests that wait for it.
    /// Remembers the process even if it has no lease: a request for one may be under way.
    pub(crate) fn leave(&self, id: InstanceId, now: Duration) {
        let mut holders = self.holders();
        if holders.contains_key(&id) || full_after_eviction(&mut holders, &id, now).is_none() {
            holders.insert(id, LeaseHolder { until: now, has_left: true, ..LeaseHolder::default() });
        }
        drop(holders);
        self.confirmed.send_replace(());
    }

    /// Records that a verifier has applied everything up to `seq`.
    pub(crate) fn confirm(&self, id: &InstanceId, seq: Seq) {
        if let Some(holder) = self.holders().get_mut(id) {
            holder.confirmed = holder.confirmed.max(seq);
        }
        self.confirmed.send_replace(());
    }

    /// The verifiers that have a lease at `now` or had one recently. Forgets the others.
    pub(crate) fn seen(&self, now: Duration) -> BTreeMap<InstanceId, LeaseHolder> {
        let mut holders = self.holders();
        holders.retain(|_, holder| holder.until + if holder.has_left { LEFT } else { SHOWN } > now);
        holders
            .iter()
            .filter(|(_, holder)| !holder.has_left)
            .map(|(id, holder)| (id.clone(), holder.clone()))
            .collect()
    }

    /// Returns whether a process has given its lease back.
    pub(crate) fn has_left(&self, id: &InstanceId) -> bool {
        self.holders().get(id).is_some_and(|holder| holder.has_left)
    }

    /// The last sequence number that a verifier has confirmed.
    pub(crate) fn confirmed_by(&self, id: &InstanceId) -> Option<Seq> {
        self.holders().get(id).map(|holder| holder.confirmed)
    }

    /// Changes with each confirmation, and with each lease that is given back.
    pub(crate) fn confirmations(&self) -> watch::Receiver<()> {
        self.confirmed.subscribe()
    }

    /// The uptime at which all leases of an earlier process have expired.
    pub(crate) fn previous_expired_at(&self) -> Duration {
        self.previous_expired_at
    }

    /// Returns `true` once, when leases of an earlier process with a longer term have expired.
    pub(crate) fn have_become_shorter(&self, now: Duration) -> bool {
        now >= self.previous_expired_at && self.shorter.swap(false, Ordering::Relaxed)
    }

    fn holders(&self) -> MutexGuard<'_, BTreeMap<InstanceId, LeaseHolder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for LeaseHolder {
    fn default() -> Self {
        let (confirmed, binding, label) = (Seq::ZERO, Binding::Bound, ProcessLabel::default());
        Self { until: Duration::ZERO, confirmed, binding, label, has_left: false }
    }
}

/// The limit, if reached, that prevents a lease for another verifier with this credential.
fn full(holders: &BTreeMap<InstanceId, LeaseHolder>, id: &InstanceId) -> Option<TooMany> {
    let of_credential = |number| InstanceId { name: id.name.clone(), number };
    if holders.range(of_credential([0; 16])..=of_credential([0xFF; 16])).count()
        >= limits::VERIFIERS_PER_CREDENTIAL
    {
        return Some(TooMany::WithCredential);
    }
    (holders.len() >= limits::VERIFIERS).then_some(TooMany::Altogether)
}

/// The limit that prevents a lease for another verifier although the expired ones have been forgotten.
fn full_after_eviction(
    holders: &mut BTreeMap<InstanceId, LeaseHolder>,
    id: &InstanceId,
    now: Duration,
) -> Option<TooMany> {
    let full_before = full(holders, id)?;
    let concerns = |other: &InstanceId| full_before == TooMany::Altogether || other.name == id.name;
    holders.retain(|other, holder| holder.until > now || !concerns(other));
    full(holders, id)
}

/// The change that stores the longest term of leases that may still be valid.
pub(crate) fn remember_term(term: Duration) -> Change {
    Change::Remember { name: LONGEST_TERM, value: term.as_millis().to_string() }
}

/// The time for which a lease of this term counts, by a clock that may run faster than the verifier's.
fn counted(term: Duration) -> Duration {
    term + term * (3 * DRIFT_PPM) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(10);

    fn id(number: u8) -> InstanceId {
        InstanceId { name: "api".into(), number: [number; 16] }
    }

    #[test]
    fn leases_count_longer_than_their_term() {
        let leases = Leases::new(T, T, Duration::ZERO);
        assert!(
            leases.enter(id(1), Binding::Bound, &ProcessLabel::default(), Duration::from_secs(100)).is_ok()
        );
        assert!(
            leases.enter(id(1), Binding::Bound, &ProcessLabel::default(), Duration::from_secs(90)).is_ok(),
            "a request that was delayed"
        );
        let seen = leases.seen(Duration::from_secs(100));
        assert_eq!(seen[&id(1)].until, Duration::from_secs(110) + Duration::from_millis(6));
        assert_eq!(leases.previous_expired_at(), T + Duration::from_millis(6));
    }

    fn numbered(name: usize, number: usize) -> InstanceId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        InstanceId { name: format!("api-{name:02}"), number: bytes }
    }

    #[test]
    fn expired_leases_are_evicted_when_full() {
        let leases = Leases::new(T, T, Duration::ZERO);
        let enter = |number: usize, at: Duration| {
            leases.enter(
                numbered(number / limits::VERIFIERS_PER_CREDENTIAL, number),
                Binding::Bound,
                &ProcessLabel::default(),
                at,
            )
        };
        assert!((0..limits::VERIFIERS).all(|number| enter(number, Duration::ZERO).is_ok()));
        assert_eq!(
            enter(limits::VERIFIERS, Duration::from_secs(1)),
            Err(NotEntered::Full(TooMany::Altogether)),
            "one past the edge"
        );
        assert!(enter(0, Duration::from_secs(1)).is_ok(), "renewing needs no room");
        assert!(enter(limits::VERIFIERS, Duration::from_secs(11)).is_ok());
        assert_eq!(leases.seen(Duration::from_secs(11)).len(), 2, "only those that hold one");
    }

    #[test]
    fn one_credential_leaves_leases_to_others() {
        let leases = Leases::new(T, T, Duration::ZERO);
        let enter = |name, number, at| {
            leases.enter(numbered(name, number), Binding::Bound, &ProcessLabel::default(), at)
        };
        assert!((0..limits::VERIFIERS_PER_CREDENTIAL).all(|number| enter(1, number, Duration::ZERO).is_ok()));
        let past_the_edge = enter(1, limits::VERIFIERS_PER_CREDENTIAL, Duration::ZERO);
        assert_eq!(past_the_edge, Err(NotEntered::Full(TooMany::WithCredential)), "one past the edge");
        assert!(enter(0, 0, Duration::ZERO).is_ok() && enter(2, 0, Duration::ZERO).is_ok());
        assert!(enter(1, 0, Duration::from_secs(1)).is_ok(), "renewing needs no room");
        assert!(enter(1, limits::VERIFIERS_PER_CREDENTIAL, Duration::from_secs(11)).is_ok());
        assert_eq!(leases.seen(Duration::from_secs(11)).len(), 4, "two that are gone are still shown");
    }

    #[test]
    fn leases_that_were_given_back_are_not_revived() {
        let leases = Leases::new(T, T, Duration::ZERO);
        assert!(leases.enter(id(1), Binding::Bound, &ProcessLabel::default(), Duration::ZERO).is_ok());
        let mut changes = leases.confirmations();
        changes.mark_unchanged();
        leases.leave(id(1), Duration::from_secs(1));
        assert!(changes.has_changed().expect("a sender"), "requests that wait for it are woken");
        assert!(leases.seen(Duration::from_secs(1)).is_empty() && leases.has_left(&id(1)));
        let late = leases.enter(id(1), Binding::Bound, &ProcessLabel::default(), Duration::from_secs(2));
        assert_eq!(late, Err(NotEntered::Left), "a request that was under way");
        leases.confirm(&id(1), Seq::start_of(1));
        assert!(leases.seen(Duration::from_secs(2)).is_empty());
        // The request may also arrive before the process has had any lease.
        leases.leave(id(2), Duration::from_secs(2));
        assert_eq!(
            leases.enter(id(2), Binding::Bound, &ProcessLabel::default(), Duration::from_secs(3)),
            Err(NotEntered::Left)
        );
        leases.seen(Duration::from_secs(61));
        assert!(!leases.has_left(&id(1)) && leases.has_left(&id(2)), "forgotten after a minute");
    }

    #[test]
    fn processes_that_left_take_no_place() {
        let leases = Leases::new(T, T, Duration::ZERO);
        let most = limits::VERIFIERS_PER_CREDENTIAL;
        (0..=most).for_each(|number| leases.leave(numbered(1, number), Duration::ZERO));
        assert!((0..most).all(|number| {
            leases
                .enter(
                    numbered(1, most + 1 + number),
                    Binding::Bound,
                    &ProcessLabel::default(),
                    Duration::ZERO,
                )
                .is_ok()
        }));
        leases.leave(numbered(1, 0), Duration::ZERO);
        assert!(!leases.has_left(&numbered(1, 0)), "there is no place to remember it");
        assert_eq!(leases.seen(Duration::ZERO).len(), most);
    }

    #[test]
    fn confirmations_never_decrease() {
        let leases = Leases::new(T, T, Duration::ZERO);
        assert!(leases.enter(id(1), Binding::Bound, &ProcessLabel::default(), Duration::ZERO).is_ok());
        leases.confirm(&id(1), Seq::start_of(1).next());
        leases.confirm(&id(1), Seq::start_of(1));
        assert_eq!(leases.confirmed_by(&id(1)), Some(Seq::start_of(1).next()));
    }
}
