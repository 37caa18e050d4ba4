//! A node: one of several processes that share a store. It reads the log's head after each request has
//! arrived, holds a lease of its own, and confirms in that lease what its guard has.
//!
//! `follower.rs` reads the log in rounds, `lease.rs` holds the lease, `use_cases/keys/rotation.rs` loads keys that
//! another node has changed, and `use_cases/operation/fail_over.rs` takes a promoted server over. A service without a
//! node is the only process over its store, and needs none of this.

pub(crate) mod follower;
pub(crate) mod lease;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quash_core::decide::AfterFailOver;
use quash_core::model::{Entropy, InstanceId, ProcessLabel, draw};
use quash_store::{FailOver, Known};
use quash_verify::VerifyError;
use tokio::sync::{Notify, watch};

/// The configuration of a process that shares its store with others.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    pub id: InstanceId,
    /// The host and the process id.
    pub label: ProcessLabel,
    /// The term of the process's own lease.
    pub term: Duration,
    /// Whether a start may change the settings that define tokens. Other nodes then stop answering, and
    /// must be restarted.
    pub applies_settings: bool,
    /// Present if the store's server may be replaced by a promoted standby.
    pub fail_over: Option<FailOverSetup>,
}

/// The dependencies of a node that can take over a promoted server.
#[derive(Clone, Debug)]
pub struct FailOverSetup {
    pub server: Arc<dyn FailOver>,
    pub rule: AfterFailOver,
}

/// The state that the tasks of a node share.
pub(crate) struct Node {
    pub(crate) id: InstanceId,
    pub(crate) label: ProcessLabel,
    pub(crate) term: Duration,
    /// Present if the store's server may be replaced, and with it the log.
    fail_over: Option<Arc<dyn FailOver>>,
    /// The number of changes of the settings that define tokens, when this process started.
    settings: u64,
    /// The number of changes of the signing keys, as the newest read of the log's head says.
    ring_in_store: watch::Sender<u64>,
    /// The same number for the keys that the guard verifies with and this process signs with. Changes only
    /// while the signing key is locked.
    ring: watch::Sender<u64>,
    /// Requests that the keys are loaded again.
    pub(crate) reload: Notify,
    /// The entries and keys that the guard has.
    published: watch::Sender<Known>,
    /// The time at which the newest read of the log's head began that is applied, together with its keys.
    proven: watch::Sender<Duration>,
    /// Whether the process ends, and has given its lease back.
    left: watch::Sender<bool>,
    /// The newest lease that was recorded.
    recorded: watch::Sender<Option<Recorded>>,
    /// Whether the newest read of the log has failed with an error, rather than without an answer.
    is_refused: AtomicBool,
    /// Whether the wall clock differs from the database's by more than a node may have.
    has_wrong_clock: AtomicBool,
    /// Whether the log has a warning that the clocks differ.
    was_clock_off: AtomicBool,
    /// The uptime until which the lease lasts, as far as it counts.
    until: watch::Sender<Duration>,
    /// The hash over this process's settings, once it is shown to operators: a server's.
    pub(crate) digest: OnceLock<String>,
    /// The settings of other nodes that were logged last.
    logged: Mutex<BTreeSet<String>>,
}

/// The state of a node, for operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeStatus {
    /// Its lease is valid, so it may accept and sign.
    pub is_leased: bool,
    /// The time since the newest renewal of its lease.
    pub renewed_before: Duration,
    /// The time since the newest read of the log began that the node has applied.
    pub read_before: Duration,
    /// A promoted server was found, and it isn't known yet whether it lacks entries of the log.
    pub is_in_doubt: bool,
    /// The newest read of the log has failed with an error.
    pub is_refused: bool,
    /// Its wall clock differs from the database's by more than a node may have.
    pub has_wrong_clock: bool,
}

/// A lease of this process that was recorded. It counts once a read of the log's head that began later is
/// applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Recorded {
    at: Duration,
    /// The time at which the request for it began, and its term.
    until: Duration,
}

/// The shortest term of a node's own lease: a database may be unavailable for some seconds.
const SHORTEST_TERM: Duration = Duration::from_secs(10);
/// The longest wait of a request for keys that another node has changed.
const RING_WITHIN: Duration = Duration::from_secs(5);

impl NodeSetup {
    /// A new instance, with the term of verifiers' leases.
    pub fn new(label: ProcessLabel, term: Duration, entropy: &dyn Entropy) -> Self {
        Self {
            id: InstanceId::of_node(draw(entropy)),
            label,
            term: term.max(SHORTEST_TERM),
            applies_settings: false,
            fail_over: None,
        }
    }
}

impl Node {
    /// A node whose guard has nothing that is proven. Its keys are as new as `ring` changes of them.
    pub(crate) fn new(setup: NodeSetup, settings: u64, ring: u64) -> Self {
        let NodeSetup { id, label, term, fail_over, .. } = setup;
        Self {
            id,
            label,
            term,
            fail_over: fail_over.map(|fail_over| fail_over.server),
            settings,
            ring_in_store: watch::Sender::new(ring),
            ring: watch::Sender::new(ring),
            reload: Notify::new(),
            published: watch::Sender::default(),
            proven: watch::Sender::new(Duration::ZERO),
            left: watch::Sender::default(),
            recorded: watch::Sender::new(None),
            is_refused: AtomicBool::new(false),
            has_wrong_clock: AtomicBool::new(false),
            was_clock_off: AtomicBool::new(false),
            until: watch::Sender::new(Duration::ZERO),
            digest: OnceLock::new(),
            logged: Mutex::default(),
        }
    }

    /// The state of the lease, of the reads of the log, and of the server, at the uptime `now`.
    pub(crate) fn status(&self, now: Duration) -> NodeStatus {
        let renewed = *self.recorded.borrow();
        NodeStatus {
            is_leased: now < *self.until.borrow() && !*self.left.borrow(),
            renewed_before: renewed.map_or(now, |recorded| now.saturating_sub(recorded.at)),
            read_before: now.saturating_sub(*self.proven.borrow()),
            is_in_doubt: self.fail_over.as_ref().is_some_and(|server| *server.is_due().borrow()),
            is_refused: self.is_refused.load(Ordering::Relaxed),
            has_wrong_clock: self.has_wrong_clock.load(Ordering::Relaxed),
        }
    }

    /// Returns whether these settings of other nodes were logged last, and notes that they are logged now.
    pub(crate) fn has_told(&self, others: &BTreeSet<String>) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *logged, others.clone()) == *others
    }

    /// The number of changes of the keys up to which this process has them.
    pub(crate) fn ring(&self) -> u64 {
        *self.ring.borrow()
    }

    /// Notes that this process has the keys of this number of changes. Called with the signing key locked.
    pub(crate) fn has_ring(&self, ring: u64) {
        self.ring.send_if_modified(|known| std::mem::replace(known, ring.max(*known)) < ring);
    }

    /// Waits until the store has keys that this process lacks, or must load again.
    pub(crate) async fn ring_needed(&self) {
        let mut in_store = self.ring_in_store.subscribe();
        tokio::select! {
            biased;
            _ = in_store.wait_for(|in_store| *in_store > self.ring()) => {}
            () = self.reload.notified() => {}
        }
    }

    /// Waits until this process has the keys of this number of changes.
    ///
    /// # Errors
    /// It doesn't get them in time.
    pub(crate) async fn ring_reached(&self, ring: u64) -> Result<(), VerifyError> {
        self.ring_in_store.send_if_modified(|known| std::mem::replace(known, ring.max(*known)) < ring);
        let mut known = self.ring.subscribe();
        match tokio::time::timeout(RING_WITHIN, known.wait_for(|known| *known >= ring)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(VerifyError::Stale),
        }
    }

    /// Returns whether a decision at `now` may rest on what was read from the store since `began`: a term later, the
    /// other processes don't wait for this one any more.
    pub(crate) fn decides_in_time(&self, began: Duration, now: Duration) -> bool {
        now.saturating_sub(began) < self.term
    }

    /// Returns whether these are the settings that this process started with.
    pub(crate) fn has_settings(&self, settings: u64) -> bool {
        self.settings == settings
    }
}
