//! Tallies of wrong passwords, by account, known device or unknown name. Each table is bounded, and an
//! attacker's invented names can't evict an account's tally.

use std::collections::HashMap;
use std::time::Duration;

use quash_core::decide::lock_span;
use quash_core::model::LockoutPolicy;

use super::bounded_map::BoundedMap;
use super::{Bucket, Counted, CounterKey};

/// The failures and locks of one counter. Times are this process's uptime in milliseconds, so a jump of the
/// wall clock ends no lock here.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Tally {
    failed_at: u64,
    locked_until: u64,
    failures: u32,
    locks: u32,
}

/// The tallies of one process.
pub(super) struct Tallies {
    policy: LockoutPolicy,
    accounts: ExactTallies,
    unknown_names: BoundedMap<CounterKey, Tally>,
}

/// Tallies that are forgotten only when they no longer matter.
struct ExactTallies {
    most: usize,
    /// The number of tallies at which those that no longer matter are removed.
    sweep_at: usize,
    swept_at: u64,
    tallies: HashMap<CounterKey, Tally>,
}

/// The most accounts and known devices with a tally of their own. If more have failed within the longest
/// lock, further ones share tallies by the first bytes of their keyed hashes. That is stricter, never more
/// lenient.
const ACCOUNTS: usize = 1 << 19;
/// The most unknown names remembered. Beyond it, those that failed longest ago are forgotten, as they protect
/// nothing.
const UNKNOWN_NAMES: usize = 1 << 17;

/// The number of bytes of a keyed hash that select a shared tally.
const SHARED_BYTES: usize = 2;
/// A smaller table isn't swept, unless it is full.
const SWEEP_FROM: usize = 1024;
/// The interval between sweeps of a full table, in milliseconds.
const SWEEP_AGAIN: u64 = 60_000;

impl Tallies {
    pub(super) fn new(policy: LockoutPolicy) -> Self {
        Self::bounded(policy, ACCOUNTS, UNKNOWN_NAMES)
    }

    fn bounded(policy: LockoutPolicy, accounts: usize, unknown_names: usize) -> Self {
        let accounts =
            ExactTallies { most: accounts, sweep_at: SWEEP_FROM, swept_at: 0, tallies: HashMap::new() };
        Self { policy, accounts, unknown_names: BoundedMap::new(unknown_names) }
    }

    /// The most attempts that may be evaluated at once: all of them may fail, and together must not exceed
    /// the limit.
    pub(super) fn slots(&self, counted: Counted, uptime: Duration) -> u32 {
        self.policy.failures.saturating_sub(self.tally(counted, uptime).failures).max(1)
    }

    pub(super) fn is_locked(&self, counted: Counted, uptime: Duration) -> bool {
        self.tally(counted, uptime).locked_until > millis(uptime)
    }

    /// Counts a failure, and returns whether this locks. `locks` is the number of consecutive locks in the
    /// store.
    pub(super) fn failed(&mut self, counted: Counted, locks: u32, uptime: Duration) -> bool {
        let policy = self.policy;
        let Tally { mut failures, locks: counted_locks, mut locked_until, .. } = self.tally(counted, uptime);
        let mut locks = locks.max(counted_locks);
        failures += 1;
        let is_locked = failures >= policy.failures;
        if is_locked {
            locked_until = millis(uptime + lock_span(locks, &policy));
            failures = 0;
            locks = locks.saturating_add(1);
        }
        let tally = Tally { failed_at: millis(uptime), locked_until, failures, locks };
        match counted.bucket {
            Bucket::Account | Bucket::Device => self.accounts.put(counted.key, tally, policy, millis(uptime)),
            Bucket::UnknownName => self.unknown_names.put(counted.key, tally),
        }
        is_locked
    }

    pub(super) fn clear(&mut self, counted: Counted) {
        match counted.bucket {
            Bucket::Account | Bucket::Device => {
                self.accounts.tallies.remove(&counted.key);
            }
            Bucket::UnknownName => {
                self.unknown_names.remove(&counted.key);
            }
        }
    }

    /// The current tally. Failures that led to no lock are forgotten after the longest lock: waiting for that
    /// gains an attacker no more attempts than waiting for locks to end.
    fn tally(&self, counted: Counted, uptime: Duration) -> Tally {
        let tally = match counted.bucket {
            Bucket::Account | Bucket::Device => self.accounts.of(counted.key),
            Bucket::UnknownName => self.unknown_names.of(&counted.key),
        };
        let Some(tally) = tally else { return Tally::default() };
        if tally.is_recent(&self.policy, millis(uptime)) { tally } else { Tally { failures: 0, ..tally } }
    }
}

impl Tally {
    fn is_recent(&self, policy: &LockoutPolicy, uptime: u64) -> bool {
        uptime.saturating_sub(self.failed_at) < millis(policy.longest_lock)
    }

    /// Returns whether the tally holds more than the store does.
    fn matters(&self, policy: &LockoutPolicy, uptime: u64) -> bool {
        self.locked_until > uptime || (self.failures > 0 && self.is_recent(policy, uptime))
    }
}

impl ExactTallies {
    fn of(&self, key: CounterKey) -> Option<Tally> {
        self.tallies.get(&key).or_else(|| self.tallies.get(&shared(key))).copied()
    }

    fn put(&mut self, key: CounterKey, tally: Tally, policy: LockoutPolicy, uptime: u64) {
        let is_new = !self.tallies.contains_key(&key);
        // A sweep is paid for by the insertions since the last one, or comes long after it.
        let is_due = self.tallies.len() >= self.sweep_at;
        let is_due_at_last = self.is_full() && uptime.saturating_sub(self.swept_at) >= SWEEP_AGAIN;
        if is_new && (is_due || is_due_at_last) {
            self.tallies.retain(|_, tally| tally.matters(&policy, uptime));
            self.sweep_at = (self.tallies.len() * 2).max(SWEEP_FROM);
            self.swept_at = uptime;
        }
        let key = if is_new && self.is_full() { shared(key) } else { key };
        self.tallies.insert(key, tally);
    }

    fn is_full(&self) -> bool {
        self.tallies.len() >= self.most
    }
}

/// The key of the tally that all keys with the same first bytes share.
fn shared(key: CounterKey) -> CounterKey {
    let mut shared = [0; 16];
    shared[..SHARED_BYTES].copy_from_slice(&key.0[..SHARED_BYTES]);
    CounterKey(shared)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn counted(bucket: Bucket, n: u64) -> Counted {
        let mut key = [0; 16];
        key.copy_from_slice(&digest(&SHA256, &n.to_le_bytes()).as_ref()[..16]);
        Counted { bucket, key: CounterKey(key) }
    }

    fn tallies(accounts: usize, unknown_names: usize) -> Tallies {
        Tallies::bounded(LockoutPolicy::default(), accounts, unknown_names)
    }

    fn fail(tallies: &mut Tallies, counted: Counted, times: usize, uptime: Duration) -> Vec<bool> {
        (0..times).map(|_| tallies.failed(counted, 0, uptime)).collect()
    }

    #[test]
    fn a22_counting_restarts_when_a_lock_ends() {
        for bucket in [Bucket::Account, Bucket::UnknownName] {
            let (mut tallies, dana) = (tallies(8, 8), counted(bucket, 1));
            assert_eq!(fail(&mut tallies, dana, 5, MINUTE), [false, false, false, false, true]);
            assert!(tallies.is_locked(dana, MINUTE * 2 - Duration::from_millis(1)));
            assert!(!tallies.is_locked(dana, MINUTE * 2));
            assert_eq!(tallies.slots(dana, MINUTE * 2), 5);
            assert_eq!(fail(&mut tallies, dana, 4, MINUTE * 2), [false; 4]);
            assert_eq!(tallies.slots(dana, MINUTE * 2), 1);
            assert!(tallies.failed(dana, 0, MINUTE * 2));
            assert!(tallies.is_locked(dana, MINUTE * 4 - Duration::from_millis(1)), "twice as long");
            assert!(!tallies.is_locked(dana, MINUTE * 4));
            tallies.clear(dana);
            assert!(fail(&mut tallies, dana, 5, HOUR)[4]);
            assert!(!tallies.is_locked(dana, HOUR + MINUTE), "the first one again");
        }
    }

    #[test]
    fn stored_consecutive_locks_lengthen_the_next() {
        let (mut tallies, dana) = (tallies(8, 8), counted(Bucket::Account, 1));
        assert!((0..5).any(|_| tallies.failed(dana, 4, HOUR)));
        assert!(tallies.is_locked(dana, HOUR + MINUTE * 16 - Duration::from_millis(1)));
        assert!(!tallies.is_locked(dana, HOUR + MINUTE * 16));
    }

    #[test]
    fn failures_are_forgotten_after_the_longest_lock() {
        let (mut tallies, dana) = (tallies(8, 8), counted(Bucket::Account, 1));
        fail(&mut tallies, dana, 4, MINUTE);
        assert_eq!(tallies.slots(dana, MINUTE + HOUR - Duration::from_millis(1)), 1);
        assert_eq!(tallies.slots(dana, MINUTE + HOUR), 5);
    }

    /// The number of rounds: more in soak tests.
    fn names() -> u64 {
        #[expect(clippy::disallowed_methods, reason = "the duration of a test is no setting of quash")]
        let soak = std::env::var_os("QUASH_SOAK").is_some();
        if soak { 1_000_000 } else { 2 * UNKNOWN_NAMES as u64 }
    }

    #[test]
    fn a26_soak_unknown_names_never_evict_account_tallies() {
        let mut tallies = Tallies::new(LockoutPolicy::default());
        let (victim, locked) = (counted(Bucket::Account, 1), counted(Bucket::Account, 2));
        fail(&mut tallies, victim, 4, MINUTE);
        fail(&mut tallies, locked, 5, MINUTE);
        for n in 0..names() {
            tallies.failed(counted(Bucket::UnknownName, 10 + n), 0, MINUTE);
            assert!(tallies.unknown_names.len() <= UNKNOWN_NAMES);
        }
        assert_eq!(tallies.slots(victim, MINUTE), 1);
        assert!(tallies.is_locked(locked, MINUTE));
        assert_eq!(tallies.accounts.tallies.len(), 2);
    }

    #[test]
    fn a26_accounts_share_tallies_beyond_the_limit() {
        let mut tallies = tallies(100, 8);
        for n in 0..100 {
            fail(&mut tallies, counted(Bucket::Account, n), 4, MINUTE);
        }
        // More than have tallies of their own, and enough to lock each shared one.
        for n in 100..700_000 {
            tallies.failed(counted(Bucket::Account, n), 0, MINUTE);
        }
        assert!(tallies.accounts.tallies.len() <= 100 + (1 << (8 * SHARED_BYTES)));
        assert!((0..100).all(|n| tallies.slots(counted(Bucket::Account, n), MINUTE) == 1));
        let locked =
            (5_000_000..5_001_000).filter(|n| tallies.is_locked(counted(Bucket::Account, *n), MINUTE));
        assert!(locked.count() > 900, "stricter");
        // Once the tallies no longer matter, they are removed.
        fail(&mut tallies, counted(Bucket::Account, 5_000_000), 1, HOUR * 3);
        assert_eq!(tallies.accounts.tallies.len(), 1);
    }

    #[test]
    fn unknown_names_are_evicted_in_order_of_failure() {
        let (mut tallies, early, late) =
            (tallies(8, 4), counted(Bucket::UnknownName, 1), counted(Bucket::UnknownName, 2));
        fail(&mut tallies, early, 4, MINUTE);
        for n in 10..13 {
            fail(&mut tallies, late, 1, MINUTE);
            tallies.failed(counted(Bucket::UnknownName, n), 0, MINUTE);
        }
        assert_eq!((tallies.slots(early, MINUTE), tallies.slots(late, MINUTE)), (5, 2));
    }
}
