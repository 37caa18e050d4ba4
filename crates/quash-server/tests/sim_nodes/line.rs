//! One process of a node, and its line to the store.
//!
//! A paused process is simulated by its clock: its time runs ahead of the world's, and nothing that it says
//! leaves the process until the world has caught up. So a pause can fall between any two of its steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quash_core::model::{Clock, Entropy, Seeded, Timestamp};
use quash_store::{MemoryStore, StoreError};

use crate::TERM;
use crate::chance::Chance;
use crate::gate::Gates;
use crate::parameters::Parameters;
use crate::time::{Issuers, Time};
use crate::wait::pass;

pub(crate) struct Line {
    pub(crate) time: Arc<Time>,
    chance: Chance,
    temper: Parameters,
    /// Its clock runs too fast or too slow by this many millionths.
    ppm: i64,
    /// The newest reading of its clock: no two are the same.
    newest_reading: AtomicU64,
    alive: AtomicBool,
    /// Set while nothing goes wrong.
    pub(crate) calm: AtomicBool,
    /// The times of the world, in milliseconds, until which the process is paused, is cut from the store,
    /// is left alone with an old primary, and gets keys only slowly.
    paused_until: AtomicU64,
    cut_until: AtomicU64,
    isolated_until: AtomicU64,
    slow_keys_until: AtomicU64,
    lags_until: AtomicU64,
    slow_commits_until: AtomicU64,
    races_until: AtomicU64,
    /// Whether it is left alone with an old primary once its next lease is written.
    isolates_after_lease: AtomicBool,
    /// The pause before its next signature after a rotation, in milliseconds, and whether that was written.
    pause_at_signature: AtomicU64,
    has_rotated: AtomicBool,
    old_primary: std::sync::Mutex<Option<Arc<MemoryStore>>>,
    pub(crate) gates: Gates,
    /// How often it was left alone with an old primary.
    isolations: AtomicU64,
    pub(crate) pauses: AtomicU64,
    pub(crate) lost_answers: AtomicU64,
}

/// A kind of request to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    Read,
    Keys,
    /// A change.
    Write,
    /// The row of a lease.
    Lease,
}

/// Which store a request reaches.
pub(crate) enum Reached {
    Primary,
    /// A primary that the others have left. It commits nothing.
    OldPrimary(Arc<MemoryStore>),
}

/// The time after which a process notices that the store doesn't answer, if it doesn't give up before.
const NOTICED_AFTER: Duration = Duration::from_millis(2500);

impl Line {
    pub(crate) fn new(time: Arc<Time>, temper: Parameters, chance: Chance) -> Self {
        let ppm = i64::try_from(chance.below(401)).expect("small") - 200;
        Self {
            time,
            chance,
            temper,
            ppm,
            newest_reading: AtomicU64::new(0),
            alive: AtomicBool::new(true),
            calm: AtomicBool::new(true),
            paused_until: AtomicU64::new(0),
            cut_until: AtomicU64::new(0),
            isolated_until: AtomicU64::new(0),
            slow_keys_until: AtomicU64::new(0),
            lags_until: AtomicU64::new(0),
            slow_commits_until: AtomicU64::new(0),
            races_until: AtomicU64::new(0),
            isolates_after_lease: AtomicBool::new(false),
            pause_at_signature: AtomicU64::new(0),
            has_rotated: AtomicBool::new(false),
            old_primary: std::sync::Mutex::default(),
            gates: Gates::default(),
            isolations: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            lost_answers: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// The process is killed: it says nothing more.
    pub(crate) fn kill(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }

    /// The world's time at which the process does what it does now.
    pub(crate) fn local_now(&self) -> Duration {
        self.time.now().max(Duration::from_millis(self.paused_until.load(Ordering::Relaxed)))
    }

    pub(crate) fn pause(&self, span: Duration) {
        let until = self.local_now() + span;
        self.paused_until.store(millis(until), Ordering::Relaxed);
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }

    fn may_be_paused(&self, once_in: u64) {
        if !self.is_calm() && self.chance.once_in(once_in) {
            self.pause(self.chance.millis(if self.chance.once_in(2) { millis(TERM) * 2 } else { 200 }));
        }
    }

    pub(crate) fn cut(&self, span: Duration) {
        self.cut_until.store(millis(self.time.now() + span), Ordering::Relaxed);
    }

    pub(crate) fn slow_keys(&self, span: Duration) {
        self.slow_keys_until.store(millis(self.time.now() + span), Ordering::Relaxed);
    }

    /// Delays all answers to reads.
    pub(crate) fn lag(&self, span: Duration) {
        self.lags_until.store(millis(self.time.now() + span), Ordering::Relaxed);
    }

    /// Delays answers to changes.
    pub(crate) fn slow_commits(&self, span: Duration) {
        self.slow_commits_until.store(millis(self.time.now() + span), Ordering::Relaxed);
    }

    /// Delays leases on their way to the store, and answers to reads.
    pub(crate) fn race(&self, span: Duration) {
        self.lag(span);
        self.races_until.store(millis(self.time.now() + span), Ordering::Relaxed);
    }

    /// Pauses the process when it signs an answer to the next rotation.
    pub(crate) fn pause_at_signature(&self, span: Duration) {
        self.has_rotated.store(false, Ordering::Relaxed);
        self.pause_at_signature.store(millis(span), Ordering::Relaxed);
    }

    /// A rotation was written.
    pub(crate) fn rotated(&self) {
        self.has_rotated.store(true, Ordering::Relaxed);
    }

    /// The process draws random bytes.
    fn draws(&self) {
        if self.has_rotated.load(Ordering::Relaxed) {
            let span = Duration::from_millis(self.pause_at_signature.swap(0, Ordering::Relaxed));
            if !span.is_zero() && !self.is_calm() {
                self.pause(span);
            }
        }
        self.may_be_paused(self.temper.pauses / 40);
    }

    pub(crate) fn isolate_after_next_lease(&self, isolates: bool) {
        self.isolates_after_lease.store(isolates, Ordering::Relaxed);
    }

    /// A lease of the process was written. Returns whether it is left alone now.
    pub(crate) fn is_left_alone_after_lease(&self) -> bool {
        !self.is_calm() && self.isolates_after_lease.swap(false, Ordering::Relaxed)
    }

    /// Leaves the process alone with a primary that knows what this copy of the store knows.
    pub(crate) fn isolate(&self, old_primary: MemoryStore, span: Duration) {
        *self.old_primary.lock().expect("no panic") = Some(Arc::new(old_primary));
        self.isolated_until.store(millis(self.time.now() + span), Ordering::Relaxed);
        self.isolations.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the process was left alone with an old primary, and whether it is now.
    pub(crate) fn isolation(&self) -> (u64, bool) {
        (self.isolations.load(Ordering::Relaxed), self.is(&self.isolated_until))
    }

    fn is(&self, until: &AtomicU64) -> bool {
        !self.is_calm() && millis(self.time.now()) < until.load(Ordering::Relaxed)
    }

    /// Waits until the process isn't paused. Never returns if it is killed.
    pub(crate) async fn runs(&self) {
        loop {
            let ahead = self.local_now().saturating_sub(self.time.now());
            if ahead.is_zero() {
                break;
            }
            pass(ahead).await;
        }
        if !self.alive.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// A request goes to the store.
    pub(crate) async fn reaches(&self, act: Act) -> Result<Reached, StoreError> {
        self.runs().await;
        pass(self.delay()).await;
        if act == Act::Keys && self.is(&self.slow_keys_until) {
            pass(self.chance.millis(millis(TERM) * 3)).await;
        }
        if act == Act::Lease && self.is(&self.races_until) {
            pass(Duration::from_millis(300) + self.chance.millis(600)).await;
        }
        match act {
            Act::Lease => self.gates.leases.passed(&self.calm).await,
            Act::Keys => self.gates.keys.passed(&self.calm).await,
            Act::Read | Act::Write => {}
        }
        self.runs().await;
        if self.is(&self.cut_until) {
            pass(NOTICED_AFTER).await;
            return Err(StoreError::Unavailable("the node is cut from the store".into()));
        }
        if self.is(&self.isolated_until) {
            let old_primary = self.old_primary.lock().expect("no panic").clone();
            if matches!(act, Act::Write | Act::Lease) {
                pass(NOTICED_AFTER).await;
                return Err(StoreError::Unknown("no standby has confirmed the commit".into()));
            }
            if let Some(old_primary) = old_primary {
                return Ok(Reached::OldPrimary(old_primary));
            }
        }
        if self.is_lost() {
            return Err(StoreError::Unavailable("the request was lost".into()));
        }
        Ok(Reached::Primary)
    }

    /// An answer comes back from the store.
    pub(crate) async fn returns<T>(&self, act: Act, found: Result<T, StoreError>) -> Result<T, StoreError> {
        pass(self.delay()).await;
        if act == Act::Read && self.is(&self.lags_until) {
            pass(self.chance.millis(900)).await;
        }
        if act == Act::Write && self.is(&self.slow_commits_until) {
            pass(self.chance.millis(millis(TERM) * 2)).await;
        }
        match act {
            Act::Read => self.gates.reads.passed(&self.calm).await,
            Act::Write => self.gates.commits.passed(&self.calm).await,
            Act::Lease | Act::Keys => {}
        }
        self.runs().await;
        let is_lost = self.is(&self.cut_until) || self.is_lost();
        match act {
            Act::Write | Act::Lease if is_lost => {
                self.lost_answers.fetch_add(1, Ordering::Relaxed);
                Err(StoreError::Unknown("the answer was lost".into()))
            }
            Act::Read | Act::Keys if is_lost => Err(StoreError::Unavailable("the answer was lost".into())),
            _ => found,
        }
    }

    fn is_lost(&self) -> bool {
        !self.is_calm() && self.chance.once_in(self.temper.lossy)
    }

    /// The delay of a message.
    pub(crate) fn delay(&self) -> Duration {
        match (self.is_calm(), self.chance.once_in(self.temper.slow)) {
            (true, _) => self.chance.millis(2),
            (false, true) => self.chance.millis(if self.chance.once_in(4) { 1200 } else { 100 }),
            (false, false) => self.chance.millis(4),
        }
    }
}

impl Clock for Line {
    fn now(&self) -> Timestamp {
        let ahead = self.local_now().saturating_sub(self.time.now());
        Issuers(Arc::clone(&self.time)).now() + ahead
    }

    /// The process may be paused just before.
    fn uptime(&self) -> Duration {
        self.may_be_paused(self.temper.pauses);
        let nanos = i64::try_from(self.local_now().as_nanos()).expect("a short run");
        let nanos = u64::try_from(nanos + nanos / 1_000_000 * self.ppm).expect("it runs forwards");
        let after = self.newest_reading.fetch_max(nanos, Ordering::Relaxed).max(nanos) + 1;
        self.newest_reading.fetch_max(after, Ordering::Relaxed);
        Duration::from_nanos(after)
    }
}

/// The random numbers of a process, which may be paused while it draws them.
pub(crate) struct Draws {
    pub(crate) line: Arc<Line>,
    pub(crate) seeded: Seeded,
}

impl Entropy for Draws {
    fn fill(&self, bytes: &mut [u8]) {
        self.line.draws();
        self.seeded.fill(bytes);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("a short run")
}
